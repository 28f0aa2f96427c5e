//! The connections of a run in the nodes' connection tracking: their pods, for images whose responses do not name them, the
//! nodes at which they entered the cluster, where there are several, and which source address the pods saw.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use crate::cluster::Access;
use crate::workload::Subject;
use crate::workload::conntrack_table::{ConntrackTable, Destination, NodeIndex, NodePath, pod_names};
use evenkeel_load::RunResult;
use evenkeel_measure::{ClientAddress, EnteredConnections, EntryCounts};

/// The connections to the Service or its pods that the nodes tracked before a run.
pub(super) struct Tracking<'a> {
    access: &'a Access,
    subject: &'a Subject,
    destination: Destination,
    before: ConntrackTable,
    at: Instant,
}

/// What is to be known of the connections of a run, besides the pods that responses do not name.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The nodes at which they entered the cluster.
    pub(super) entries: bool,
    /// Which source address the pods saw.
    pub(super) client_address: bool,
}

/// What the tables tell of a run.
#[derive(Default)]
pub(super) struct Tracked {
    /// The connections to each pod, by name. Empty if responses named their pods, if each connection has its pod, or if the
    /// tables cannot be read. A pod that is gone is named by its address.
    pub(super) pods: Vec<(String, u64)>,
    /// Whether the tables told the pods of the connections whose requests the run counts.
    pub(super) by_connection: bool,
    /// The same by node and pod, if that was asked for; `None` too if the tables cannot be read, or if the connections went
    /// straight to pods.
    pub(super) entered: Option<EntryCounts>,
    /// Which source address the pods saw, if that was asked for.
    pub(super) client_address: Option<ClientAddress>,
}

impl<'a> Tracking<'a> {
    /// Reads the tables before the run; `None` if they cannot be read.
    pub(super) async fn begin(access: &'a Access, subject: &'a Subject, destination: Destination) -> Option<Self> {
        let before = ConntrackTable::now(access, destination).await.ok()?;
        Some(Self { access, subject, destination, before, at: Instant::now() })
    }

    /// The connections of `run`. If responses did not name their pods, those of its connections are named where they are known.
    /// The tables are read only then, or if more is `wanted`.
    pub(super) async fn end(self, run: &mut RunResult, wanted: Wanted) -> Tracked {
        let is_named = run.pods.iter().any(|pod| !pod.name.is_empty());
        let entries = wanted.entries && matches!(self.destination, Destination::Service(_));
        if is_named && !entries && !wanted.client_address {
            return Tracked::default();
        }
        let Ok(after) = ConntrackTable::now(self.access, self.destination).await else { return Tracked::default() };
        let elapsed = self.at.elapsed();
        let (kept, replaced) = after.addresses_since(&self.before, elapsed);
        let client_address = ClientAddress::of(kept, replaced).filter(|_| wanted.client_address);
        if is_named && !entries {
            return Tracked { client_address, ..Tracked::default() };
        }
        let names = pod_names(&self.access.client, self.subject).await.unwrap_or_default();
        let name = |pod: IpAddr| names.get(&pod).cloned().unwrap_or_else(|| pod.to_string());
        let opened = after.opened_since(&self.before, elapsed);
        let by_connection = !is_named && run.pods.iter().any(|pod| pod.client.is_some()) && {
            let pods = after.pods_since(&self.before, elapsed);
            run.name_connections(|client| pods.get(&client).copied().map(name));
            run.pods.iter().any(|pod| !pod.name.is_empty())
        };
        let of_pods = if is_named || by_connection { BTreeMap::new() } else { by_pod(&opened) };
        Tracked {
            pods: of_pods.into_iter().map(|(pod, count)| (name(pod), count)).collect(),
            by_connection,
            entered: entries.then(|| by_node(after.nodes(), &opened, name)),
            client_address,
        }
    }
}

/// The connections of each of these nodes, with their pods by name.
fn by_node(
    nodes: &BTreeMap<NodeIndex, String>,
    found: &BTreeMap<NodePath, u64>,
    pod_name: impl Fn(IpAddr) -> String,
) -> EntryCounts {
    let named = |(path, connections): (&NodePath, &u64)| {
        let node = nodes.get(&path.node)?.clone();
        Some(EnteredConnections { node, pod: pod_name(path.pod), connections: *connections })
    };
    EntryCounts { nodes: nodes.values().cloned().collect(), connections: found.iter().filter_map(named).collect() }
}

/// The connections of all nodes to each pod.
fn by_pod(found: &BTreeMap<NodePath, u64>) -> BTreeMap<IpAddr, u64> {
    let mut pods = BTreeMap::new();
    for (path, connections) in found {
        *pods.entry(path.pod).or_default() += connections;
    }
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_the_connections_of_all_nodes() {
        let [first, second] = ["10.244.0.5", "10.244.4.5"].map(|pod| pod.parse::<IpAddr>().unwrap());
        let path = |node, pod| NodePath { node, pod };
        let found = BTreeMap::from([(path(0, first), 3), (path(0, second), 1), (path(1, first), 4)]);
        assert_eq!(by_pod(&found), BTreeMap::from([(first, 7), (second, 1)]));
    }
}
