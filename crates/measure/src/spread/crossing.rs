//! Connections that a node sent on to a pod on another node, or in another zone.

use serde::{Deserialize, Serialize};

use super::{Balancer, Policy, Spread};
use crate::{EnteredConnections, Topology, grouped_count};

/// How many connections crossed from the node at which they entered the cluster to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crossing {
    /// The connections that were counted.
    pub connections: u64,
    /// Those of them whose pod is on another node.
    pub to_another_node: u64,
    /// Those of them whose pod is in another zone; `None` if a node has no zone.
    pub to_another_zone: Option<u64>,
    /// Connections of the run that could not be counted.
    pub uncounted: u64,
}

impl Crossing {
    /// The connections that entered at nodes of a cluster, of `opened` in all; `None` if none was counted.
    pub(super) fn of(topology: &Topology, entered: &[EnteredConnections], opened: u64) -> Option<Self> {
        let node_of = |pod: &str| topology.pods.iter().find(|known| known.name == pod).map(|pod| pod.node.as_str());
        let paths = entered.iter().filter_map(|entered| Some((entered, node_of(&entered.pod)?)));
        let paths: Vec<(&EnteredConnections, &str)> = paths.collect();
        let sum = |of: &dyn Fn(&str, &str) -> bool| -> u64 {
            let chosen = paths.iter().filter(|(entered, node)| of(&entered.node, node));
            chosen.map(|(entered, _)| entered.connections).sum()
        };
        let connections = sum(&|_, _| true);
        let zones_known = topology.nodes.iter().all(|node| node.zone.is_some());
        (connections > 0).then(|| Self {
            connections,
            to_another_node: sum(&|from, to| from != to),
            to_another_zone: zones_known.then(|| sum(&|from, to| topology.zone(from) != topology.zone(to))),
            uncounted: opened.saturating_sub(connections),
        })
    }
}

impl Spread {
    /// How many connections crossed to another node or zone, in one sentence; empty with one node, and where the client
    /// itself chose the pods.
    #[must_use]
    pub fn crossing_sentence(&self) -> String {
        if self.nodes.len() < 2 || self.balancer == Balancer::Client {
            return String::new();
        }
        let Some(crossing) = self.crossing else {
            let local = [Policy::ExternalLocal, Policy::InternalLocal];
            if let Some(policy) = self.policies.iter().find(|policy| local.contains(policy)) {
                return format!("With {policy} no connection crosses to another node.");
            }
            return "It is not known how many connections crossed to another node.".to_owned();
        };
        let Crossing { connections, to_another_node, to_another_zone, uncounted } = crossing;
        let percent = |part| percent(part, connections);
        let zone = match to_another_zone {
            Some(zone) if self.zones.len() > 1 => format!(", {} to another zone", percent(zone)),
            _ => String::new(),
        };
        let crossed = match to_another_node {
            0 => "No connection crossed to another node".to_owned(),
            node => format!("{} of the connections crossed to another node{zone}", percent(node)),
        };
        match uncounted {
            0 => format!("{crossed}."),
            more => format!("{crossed}; {} more could not be counted.", grouped_count(more)),
        }
    }
}

/// "67%", and "0.4%" where whole numbers would say nothing.
#[allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
fn percent(part: u64, of: u64) -> String {
    let percent = part as f64 / of.max(1) as f64 * 100.0;
    let is_whole = percent == 0.0 || (1.0..=99.0).contains(&percent) || part == of;
    if is_whole { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::cluster;

    fn entered(node: &str, pod: &str, connections: u64) -> EnteredConnections {
        EnteredConnections { node: node.into(), pod: pod.into(), connections }
    }

    #[test]
    fn connections_are_counted_from_the_node_where_they_entered() {
        let topology = cluster(&[("a", 1), ("b", 1), ("b", 1)]);
        let paths = [
            entered("lab-0", "pod-0-0", 4),
            entered("lab-0", "pod-2-0", 3),
            entered("lab-1", "pod-2-0", 2),
            entered("lab-1", "gone", 9),
        ];
        let crossing = Crossing::of(&topology, &paths, 20).unwrap();
        let wanted = Crossing { connections: 9, to_another_node: 5, to_another_zone: Some(3), uncounted: 11 };
        assert_eq!(crossing, wanted);
        let without_zones = cluster(&[("", 1), ("", 1), ("", 1)]);
        assert_eq!(Crossing::of(&without_zones, &paths, 9).unwrap().to_another_zone, None);
        assert_eq!(Crossing::of(&topology, &[], 20), None);
    }

    #[test]
    fn small_shares_are_not_nothing() {
        let shares = [(0, 10), (1, 1_000), (2, 3), (999, 1_000), (10, 10)].map(|(part, of)| percent(part, of));
        assert_eq!(shares, ["0%", "0.1%", "67%", "99.9%", "100%"]);
    }
}
