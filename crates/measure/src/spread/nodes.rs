//! A spread over the nodes and zones of a cluster.

#![allow(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::choice::Choice;
use super::{Balancer, Band, Chance, Crossing, Spread, Uniformity};
use crate::Topology;
use crate::distribution::nine_digits;

/// The part of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeShare {
    /// Its name.
    pub name: String,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// How many ready pods it had when the run began.
    pub pods: u32,
    /// Requests that its pods answered.
    pub requests: u64,
    /// Connections that led to its pods.
    pub connections: u64,
    /// Its part of the requests, or of the connections where requests are not known, 0 to 1.
    pub share: f64,
    /// The sum of the shares that its pods should have; `None` where it is not known.
    pub expected_share: Option<f64>,
    /// Connections that entered the cluster here; `None` where that is not known.
    pub entered: Option<u64>,
}

/// The part of one zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ZoneShare {
    /// Its name.
    pub name: String,
    /// How many nodes it has.
    pub nodes: u32,
    /// How many ready pods it had when the run began.
    pub pods: u32,
    /// Requests that its pods answered.
    pub requests: u64,
    /// Connections that led to its pods.
    pub connections: u64,
    /// Its part of the requests, or of the connections where requests are not known, 0 to 1.
    pub share: f64,
    /// The sum of the shares that its pods should have; `None` where it is not known.
    pub expected_share: Option<f64>,
    /// Connections that entered the cluster here; `None` where that is not known.
    pub entered: Option<u64>,
}

impl Spread {
    /// The same with the node and the zone of each pod, and with the shares that they should have under the policies that
    /// are known by now. With one node it is unchanged. `opened` connections were opened in all.
    #[must_use]
    pub fn on_nodes(mut self, topology: &Topology, opened: u64) -> Self {
        if topology.nodes.len() < 2 {
            return self;
        }
        let placed: BTreeMap<&str, &str> =
            topology.pods.iter().map(|pod| (pod.name.as_str(), pod.node.as_str())).collect();
        for pod in &mut self.pods {
            pod.node = placed.get(pod.name.as_str()).map(|node| (*node).to_owned());
            pod.zone = pod.node.as_ref().and_then(|node| topology.zone(node)).map(str::to_owned);
        }
        let by_chance = self.balancer == Balancer::KubeProxy && self.chance.is_some();
        let shares = if by_chance { topology.expected_shares(&self.policies) } else { None };
        let spread = if by_chance { self.with_shares(shares.as_ref()) } else { self };
        let known = shares.filter(|_| spread.chance.is_some());
        let nodes = node_shares(&spread, topology, known.as_ref());
        let crossing = topology.entered.as_ref();
        let crossing = crossing.and_then(|entered| Crossing::of(topology, &entered.connections, opened));
        Self { zones: zone_shares(&nodes), nodes, crossing, ..spread }
    }

    /// The same with what to expect of pods that have these shares. Without them, or if they are those of other pods,
    /// nothing is said of chance.
    fn with_shares(self, shares: Option<&BTreeMap<&str, f64>>) -> Self {
        let Some(shares) = shares else { return self.of_changing_pods() };
        let probabilities: Vec<f64> = shares.values().copied().collect();
        let are_these = self.pods.iter().all(|pod| shares.contains_key(pod.name.as_str()))
            && usize::try_from(self.expected) == Ok(shares.len());
        let (true, Some(choice)) = (are_these, Choice::of(&probabilities)) else { return self.of_changing_pods() };
        let mut spread = self;
        for pod in &mut spread.pods {
            pod.expected_share = shares.get(pod.name.as_str()).copied().map(nine_digits);
        }
        if choice.is_uniform() {
            return spread;
        }
        for pod in &mut spread.pods {
            let share = shares.get(pod.name.as_str());
            pod.expected_connections = share.map(|share| Band::new(spread.connections, *share));
        }
        let connections: BTreeMap<&str, u64> =
            spread.pods.iter().map(|pod| (pod.name.as_str(), pod.connections)).collect();
        let counts = shares.iter().map(|(name, share)| (connections.get(name).copied().unwrap_or(0), *share));
        let tests = spread.uniformity.map_or(0, |test| test.tests);
        let test = Uniformity::of_choice(&counts.collect::<Vec<_>>());
        spread.uniformity = test.map(|test| Uniformity { tests, ..test });
        spread.chance = Chance::of(spread.connections, &choice);
        spread
    }

    /// Whether pods should have different shares, because nodes have different numbers of pods.
    #[must_use]
    pub fn has_unequal_shares(&self) -> bool {
        self.chance.is_some_and(|chance| chance.pod.is_none())
    }
}

/// The nodes, by zone and name.
fn node_shares(spread: &Spread, topology: &Topology, shares: Option<&BTreeMap<&str, f64>>) -> Vec<NodeShare> {
    let counts = topology.entered.as_ref().filter(|counts| !counts.connections.is_empty());
    let node = |name: &str, zone: Option<&str>| {
        let pods = || spread.pods.iter().filter(|pod| pod.node.as_deref() == Some(name));
        let ready = || topology.pods.iter().filter(|pod| pod.ready && pod.node == name);
        let share_of =
            |shares: &BTreeMap<&str, f64>| -> f64 { ready().filter_map(|pod| shares.get(pod.name.as_str())).sum() };
        NodeShare {
            name: name.to_owned(),
            zone: zone.map(str::to_owned),
            pods: u32::try_from(ready().count()).unwrap_or(u32::MAX),
            requests: pods().map(|pod| pod.requests).sum(),
            connections: pods().map(|pod| pod.connections).sum(),
            share: nine_digits(pods().map(|pod| part(spread, pod.requests, pod.connections)).sum()),
            expected_share: shares.map(|shares| nine_digits(share_of(shares))),
            entered: counts
                .filter(|counts| counts.nodes.iter().any(|node| node == name))
                .map(|counts| counts.connections.iter().filter(|of| of.node == name).map(|of| of.connections).sum()),
        }
    };
    let mut nodes: Vec<NodeShare> = topology.nodes.iter().map(|of| node(&of.name, of.zone.as_deref())).collect();
    nodes.sort_by(|a, b| a.zone.cmp(&b.zone).then_with(|| in_order(&a.name).cmp(&in_order(&b.name))));
    nodes
}

/// The part of all requests, or of all connections where requests are not known.
fn part(spread: &Spread, requests: u64, connections: u64) -> f64 {
    let (part, all) = if spread.knows_requests() {
        (requests, spread.pods.iter().map(|pod| pod.requests).sum())
    } else {
        (connections, spread.connections)
    };
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

/// A name in an order in which lab-10 comes after lab-9.
fn in_order(name: &str) -> (&str, usize, &str) {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (stem, name.len(), name)
}

/// The zones; none if there is one only, or if a node has none.
fn zone_shares(nodes: &[NodeShare]) -> Vec<ZoneShare> {
    let names: BTreeSet<Option<&str>> = nodes.iter().map(|node| node.zone.as_deref()).collect();
    if names.len() < 2 || names.contains(&None) {
        return Vec::new();
    }
    let zone = |name: &str| {
        let nodes: Vec<&NodeShare> = nodes.iter().filter(|node| node.zone.as_deref() == Some(name)).collect();
        ZoneShare {
            name: name.to_owned(),
            nodes: u32::try_from(nodes.len()).unwrap_or(u32::MAX),
            pods: nodes.iter().map(|node| node.pods).sum(),
            requests: nodes.iter().map(|node| node.requests).sum(),
            connections: nodes.iter().map(|node| node.connections).sum(),
            share: nine_digits(nodes.iter().map(|node| node.share).sum()),
            expected_share: nodes.iter().map(|node| node.expected_share).sum::<Option<f64>>().map(nine_digits),
            entered: nodes.iter().map(|node| node.entered).sum(),
        }
    };
    names.into_iter().flatten().map(zone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::cluster;
    use crate::{ClusterNode, EnteredConnections, EntryCounts, PlacedPod, PodLoad, Policy, sentence};

    /// Each ready pod with these connections, and a hundred requests on each of them; a pod without any is idle.
    fn spread(topology: &Topology, connections: &[u64]) -> Spread {
        let loads = topology.pods.iter().zip(connections).filter(|(_, connections)| **connections > 0);
        let loads: Vec<PodLoad> = loads
            .map(|(pod, &connections)| PodLoad {
                name: pod.name.clone(),
                requests: connections * 100,
                connections,
                ..PodLoad::default()
            })
            .collect();
        Spread::new(&loads, Some(u32::try_from(topology.pods.len()).unwrap()))
    }

    const UNEVEN: [u64; 10] = [15, 2, 2, 2, 2, 2, 2, 2, 1, 0];

    #[test]
    fn local_on_two_nodes_with_one_and_nine_pods() {
        let topology = cluster(&[("a", 1), ("b", 9)]);
        let local = spread(&topology, &UNEVEN).under(&[Policy::ExternalLocal]).on_nodes(&topology, 30);
        let shares: Vec<_> = local
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.pods, node.connections, node.expected_share))
            .collect();
        assert_eq!(shares, [("lab-0", 1, 15, Some(0.5)), ("lab-1", 9, 15, Some(0.5))]);
        assert_eq!((local.zones.len(), local.zones[1].requests, local.zones[1].share), (2, 1_500, 0.5));
        assert_eq!((local.pods[0].node.as_deref(), local.pods[0].zone.as_deref()), (Some("lab-0"), Some("a")));
        assert_eq!(local.pods[0].expected_share, Some(0.5));
        assert_eq!(local.pods[0].expected_connections, Some(Band { ideal: 15.0, low: 10, high: 20 }));
        assert!(local.pods[1].expected_connections.unwrap().high < 6);
        assert!(!local.uniformity.unwrap().is_too_uneven() && local.has_unequal_shares());
        // The load of the pods is as uneven as it is.
        assert!((local.busiest - 5.0).abs() < 1e-9);
        assert_eq!(
            sentence(&local),
            "30 keep-alive connections landed on 9 of 10 pods; the busiest served 5.0 × the even share, and 5.0 × are to be \
             expected, because nodes have different numbers of pods; the choice of the router and of kube-proxy \
             (externalTrafficPolicy: Local) looks random (p = 0.99)."
        );
    }

    #[test]
    fn cluster_on_the_same_nodes_is_uniform_over_all_pods() {
        let topology = cluster(&[("a", 1), ("b", 9)]);
        let all = spread(&topology, &UNEVEN).under(&[Policy::ExternalCluster]).on_nodes(&topology, 30);
        assert!(all.uniformity.unwrap().is_too_uneven() && !all.has_unequal_shares());
        assert_eq!(all.nodes.iter().map(|node| node.expected_share).collect::<Vec<_>>(), [Some(0.1), Some(0.9)]);
        assert_eq!(all.pods[0].expected_connections, Some(Band::new(30, 0.1)));
        let same = spread(&topology, &UNEVEN).under(&[Policy::ExternalCluster]);
        assert_eq!((all.chance, all.uniformity), (same.chance, same.uniformity));
    }

    #[test]
    fn one_node_changes_nothing() {
        let topology = cluster(&[("a", 3)]);
        let before = spread(&topology, &[3, 2, 1]).under(&[Policy::ExternalLocal]);
        assert_eq!(before.clone().on_nodes(&topology, 6), before);
        assert_eq!(before.crossing_sentence(), "");
    }

    #[test]
    fn where_the_shares_are_not_known_nothing_is_said_of_chance() {
        let topology = Topology { entries: None, ..cluster(&[("", 1), ("", 9)]) };
        let unknown = spread(&topology, &UNEVEN).under(&[Policy::ExternalLocal]).on_nodes(&topology, 30);
        assert_eq!((unknown.chance, unknown.uniformity, unknown.pods[0].expected_connections), (None, None, None));
        assert_eq!((unknown.nodes[0].expected_share, unknown.zones.len()), (None, 0));
        assert!((unknown.nodes[0].share - 0.5).abs() < 1e-9);
        // A pod that was not there at the beginning.
        let mut later = cluster(&[("", 1), ("", 9)]);
        later.pods[0].ready = false;
        let unknown = spread(&later, &UNEVEN).under(&[Policy::ExternalLocal]).on_nodes(&later, 30);
        assert_eq!((unknown.chance, unknown.nodes[0].pods, unknown.nodes[0].connections), (None, 0, 15));
    }

    #[test]
    fn a_client_that_chooses_has_nodes_but_no_expectation() {
        let topology = cluster(&[("a", 1), ("b", 9)]);
        let chosen = spread(&topology, &UNEVEN).chosen_by(Balancer::Client).on_nodes(&topology, 30);
        assert_eq!((chosen.nodes[1].connections, chosen.nodes[1].expected_share), (15, None));
        assert_eq!(chosen.crossing_sentence(), "");
    }

    #[test]
    fn crossings_are_told() {
        let mut topology = cluster(&[("a", 1), ("a", 1), ("b", 1)]);
        let found = |topology: &Topology, opened| {
            let spread = spread(topology, &[10, 10, 10]).under(&[Policy::ExternalCluster]).on_nodes(topology, opened);
            (spread.crossing_sentence(), spread.nodes.iter().map(|node| node.entered).collect::<Vec<_>>())
        };
        assert_eq!(found(&topology, 30).0, "It is not known how many connections crossed to another node.");
        let entered =
            |node: &str, pod: &str, connections| EnteredConnections { node: node.into(), pod: pod.into(), connections };
        let counts = |nodes: &[&str], connections| {
            Some(EntryCounts { nodes: nodes.iter().map(|node| (*node).to_owned()).collect(), connections })
        };
        topology.entered = counts(
            &["lab-0", "lab-1", "lab-2"],
            vec![entered("lab-0", "pod-0-0", 10), entered("lab-0", "pod-1-0", 10), entered("lab-1", "pod-2-0", 10)],
        );
        let (said, entered_at) = found(&topology, 30);
        assert_eq!(said, "67% of the connections crossed to another node, 33% to another zone.");
        assert_eq!(entered_at, [Some(20), Some(10), Some(0)]);
        topology.entered = counts(&["lab-0", "lab-1"], vec![entered("lab-0", "pod-0-0", 10)]);
        let (said, entered_at) = found(&topology, 12_345);
        assert_eq!(said, "No connection crossed to another node; 12,335 more could not be counted.");
        assert_eq!(entered_at, [Some(10), Some(0), None], "the last node was not read");
    }

    #[test]
    fn connections_alone_have_nodes_too() {
        let topology = cluster(&[("", 1), ("", 1)]);
        let unnamed = [PodLoad { requests: 900, connections: 30, ..PodLoad::default() }];
        let found = [("pod-0-0".to_owned(), 10), ("pod-1-0".to_owned(), 20)];
        let counted = Spread::new(&unnamed, Some(2)).counted_by_conntrack(&found, 30).on_nodes(&topology, 30);
        assert!((counted.nodes[1].share - 2.0 / 3.0).abs() < 1e-8, "{:?}", counted.nodes);
    }

    #[test]
    fn nodes_are_in_the_order_of_their_numbers() {
        let nodes = ["lab-10", "lab-9", "lab-1"].map(|name| ClusterNode { name: name.into(), zone: None });
        let pods = vec![PlacedPod { name: "a".into(), node: "lab-9".into(), ready: true }];
        let topology = Topology { nodes: nodes.into(), pods, ..Topology::default() };
        let spread = spread(&topology, &[1]).on_nodes(&topology, 1);
        assert_eq!(
            spread.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
            ["lab-1", "lab-9", "lab-10"]
        );
    }
}
