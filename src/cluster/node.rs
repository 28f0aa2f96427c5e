//! The nodes of a cluster: their names, addresses and processes.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::config::{LINK_PREFIX, LabName, Paths};

/// One node: a sandbox with kubelet, containerd and kube-proxy; the first also runs the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// 0 for the first.
    pub index: u8,
    /// The node's name in Kubernetes and its hostname: `NAME-0`, …
    pub name: String,
    /// Its address on the link to the host: 198.18.0.2, …
    pub address: Ipv4Addr,
    /// The range of its pods' addresses, as CIDR: 10.244.0.0/22, 10.244.4.0/22, …
    pub pod_cidr: String,
}

/// The most nodes that a lab can have: the number of /22 in 10.244.0.0/16, less one.
pub(super) const MOST_NODES: u8 = 63;

impl Node {
    /// The node with this index (0 to 62).
    #[must_use]
    pub fn new(lab: &LabName, index: u8) -> Self {
        Self {
            index,
            name: format!("{lab}-{index}"),
            address: Ipv4Addr::new(198, 18, 0, 2 + index),
            pod_cidr: format!("10.244.{}.0/22", index * 4),
        }
    }

    /// The last address of its pods' range, at which its DNS server listens. Other nodes reach it like a pod.
    #[must_use]
    pub fn dns_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.index * 4 + 3, 254)
    }

    /// The last address that a pod may have.
    #[must_use]
    pub fn last_pod_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.index * 4 + 3, 253)
    }

    /// Whether the control plane runs here.
    #[must_use]
    pub fn is_control_plane(&self) -> bool {
        self.index == 0
    }

    /// The address with the link's prefix, as `ip address add` takes it.
    #[must_use]
    pub fn link_address(&self) -> String {
        format!("{}/{LINK_PREFIX}", self.address)
    }
}

/// A node whose sandbox runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningNode {
    /// The node.
    pub node: Node,
    /// The host's process id of the sandbox's first process.
    pub pid: i32,
}

/// A cluster that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its lab.
    pub name: LabName,
    /// Where its state is.
    pub paths: Paths,
    /// Its nodes, the control plane's first; never empty.
    pub nodes: Vec<RunningNode>,
}

impl Cluster {
    /// The node that runs the control plane.
    #[must_use]
    pub fn first(&self) -> &RunningNode {
        &self.nodes[0]
    }
}
