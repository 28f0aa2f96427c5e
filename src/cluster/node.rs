//! The nodes of a cluster: their names, addresses and processes.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::config::{LabName, MOST_NODES, Paths, Subnet};

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

impl Node {
    /// The node with this index, which is below [`crate::config::MOST_NODES`].
    #[must_use]
    pub fn new(lab: &LabName, subnet: Subnet, index: u8) -> Self {
        Self {
            index,
            name: format!("{lab}-{index}"),
            address: subnet.node(index),
            pod_cidr: format!("10.244.{}.0/22", index * 4),
        }
    }

    /// The index in the name of a node: 2 in `lab-2`. `None` for another name, such as that of the router.
    #[must_use]
    pub fn index_in(name: &str) -> Option<u8> {
        name.rsplit('-').next()?.parse().ok().filter(|index| *index < MOST_NODES)
    }

    /// Its cgroup, below the root of every hierarchy.
    pub(super) fn cgroup(&self, lab: &LabName) -> String {
        format!("{}/{}", lab.cgroup(), self.name)
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

    /// The name of its link at the router's side.
    #[must_use]
    pub fn router_link(&self) -> String {
        format!("node{}", self.index)
    }
}

/// The name of the sandbox of a lab's router, and its hostname.
#[must_use]
pub(super) fn router_name(lab: &LabName) -> String {
    format!("{lab}-router")
}

/// The router of a lab of several nodes: a sandbox without a kubelet, between the machine and the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// The name of its sandbox.
    pub name: String,
    /// The host's process id of the sandbox's first process.
    pub pid: i32,
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
    /// Its addresses on the machine.
    pub subnet: Subnet,
    /// Its nodes, the control plane's first; never empty.
    pub nodes: Vec<RunningNode>,
    /// Its router. A lab that never had more than one node has none.
    pub router: Option<Router>,
}

impl Cluster {
    /// The node that runs the control plane.
    #[must_use]
    pub fn first(&self) -> &RunningNode {
        &self.nodes[0]
    }
}
