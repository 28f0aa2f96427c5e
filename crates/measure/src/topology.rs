//! The nodes and zones of a cluster, and the share of the connections that each pod should have because of them.

use std::collections::BTreeMap;

use super::Policy;

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// Its zone, if it has one.
    pub zone: Option<String>,
}

/// A pod, and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacedPod {
    /// Its name.
    pub name: String,
    /// The name of its node.
    pub node: String,
    /// Whether it was ready when the run began: one of those that could get connections.
    pub ready: bool,
}

/// Connections that entered the cluster at a node, and that its kernel sent to a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnteredConnections {
    /// The node.
    pub node: String,
    /// The pod.
    pub pod: String,
    /// How many.
    pub connections: u64,
}

/// What the nodes' connection tracking counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryCounts {
    /// The names of the nodes whose connection tracking was read.
    pub nodes: Vec<String>,
    /// The connections that entered at these nodes.
    pub connections: Vec<EnteredConnections>,
}

/// Where the pods of a run were, and where its connections entered the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The nodes of the cluster.
    pub nodes: Vec<ClusterNode>,
    /// The pods that could answer.
    pub pods: Vec<PlacedPod>,
    /// The names of the nodes to which connections are divided evenly if they have pods that may serve them; `None` where
    /// that is not known.
    pub entries: Option<Vec<String>>,
    /// What the nodes' connection tracking counted; `None` where it could not be read.
    pub entered: Option<EntryCounts>,
}

/// Between which pods kube-proxy chooses on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidates {
    /// All.
    All,
    /// Those of the node.
    Local,
    /// Those of the node, or else those of its zone, or else all.
    PreferSameNode,
    /// Those of the zone, or else all.
    PreferSameZone,
}

impl Candidates {
    fn under(policies: &[Policy]) -> Self {
        let has = |policy| policies.contains(&policy);
        if has(Policy::ExternalLocal) || has(Policy::InternalLocal) {
            Self::Local
        } else if has(Policy::PreferSameNode) {
            Self::PreferSameNode
        } else if has(Policy::PreferSameZone) || has(Policy::PreferClose) {
            Self::PreferSameZone
        } else {
            Self::All
        }
    }
}

impl Topology {
    /// The zone of a node.
    #[must_use]
    pub fn zone(&self, node: &str) -> Option<&str> {
        self.nodes.iter().find(|known| known.name == node)?.zone.as_deref()
    }

    /// The share of the connections that each ready pod should have under these policies, by name; `None` where it is
    /// not known. Connections are divided evenly over the nodes at which they enter, and on each of these over the pods
    /// that kube-proxy chooses between.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "numbers of pods and nodes")]
    pub fn expected_shares(&self, policies: &[Policy]) -> Option<BTreeMap<&str, f64>> {
        let ready: Vec<&PlacedPod> = self.pods.iter().filter(|pod| pod.ready).collect();
        let candidates = Candidates::under(policies);
        if candidates == Candidates::All {
            return Some(ready.iter().map(|pod| (pod.name.as_str(), 1.0 / ready.len() as f64)).collect());
        }
        let entries = self.entries.as_ref()?.iter();
        // The router sends nothing to a node that has no pod to serve it.
        let chosen = entries.map(|entry| self.chosen(candidates, entry, &ready)).filter(|pods| !pods.is_empty());
        let chosen: Vec<Vec<&PlacedPod>> = chosen.collect();
        if chosen.is_empty() {
            return None;
        }
        let mut shares: BTreeMap<&str, f64> = ready.iter().map(|pod| (pod.name.as_str(), 0.0)).collect();
        for pods in &chosen {
            let each = 1.0 / (chosen.len() * pods.len()) as f64;
            for pod in pods {
                *shares.entry(&pod.name).or_default() += each;
            }
        }
        Some(shares)
    }

    /// The pods between which kube-proxy chooses on the node `entry`.
    fn chosen<'a>(&self, candidates: Candidates, entry: &str, ready: &[&'a PlacedPod]) -> Vec<&'a PlacedPod> {
        let on_node = || ready.iter().copied().filter(|pod| pod.node == entry).collect::<Vec<_>>();
        let in_zone = || match self.zone(entry) {
            Some(zone) => ready.iter().copied().filter(|pod| self.zone(&pod.node) == Some(zone)).collect(),
            None => Vec::new(),
        };
        let all = || ready.to_vec();
        let or = |first: Vec<&'a PlacedPod>, second: &dyn Fn() -> Vec<&'a PlacedPod>| {
            if first.is_empty() { second() } else { first }
        };
        match candidates {
            Candidates::All => all(),
            Candidates::Local => on_node(),
            Candidates::PreferSameNode => or(or(on_node(), &in_zone), &all),
            Candidates::PreferSameZone => or(in_zone(), &all),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Nodes lab-0, lab-1, … in these zones, with so many ready pods each.
    pub(crate) fn cluster(nodes: &[(&str, u32)]) -> Topology {
        let name = |at: usize| format!("lab-{at}");
        let zone = |zone: &str| (!zone.is_empty()).then(|| zone.to_owned());
        let pod = |node: usize, pod| PlacedPod { name: format!("pod-{node}-{pod}"), node: name(node), ready: true };
        let numbered = || nodes.iter().enumerate();
        Topology {
            nodes: numbered().map(|(at, of)| ClusterNode { name: name(at), zone: zone(of.0) }).collect(),
            pods: numbered().flat_map(|(at, of)| (0..of.1).map(move |number| pod(at, number))).collect(),
            entries: Some(numbered().map(|(at, _)| name(at)).collect()),
            entered: None,
        }
    }

    fn near(got: f64, wanted: f64) {
        assert!((got - wanted).abs() < 1e-12, "{got}, not {wanted}");
    }

    #[test]
    fn local_divides_evenly_over_nodes_and_then_over_the_pods_of_each() {
        let topology = cluster(&[("a", 1), ("a", 9), ("b", 0)]);
        let shares = topology.expected_shares(&[Policy::ExternalLocal]).unwrap();
        near(shares["pod-0-0"], 0.5);
        near(shares["pod-1-8"], 0.5 / 9.0);
        near(shares.values().sum(), 1.0);
        let cluster = topology.expected_shares(&[Policy::ExternalCluster]).unwrap();
        assert!(cluster.values().all(|share| (share - 0.1).abs() < 1e-12) && cluster.len() == 10);
    }

    #[test]
    fn a_zone_is_preferred_where_it_has_pods() {
        let topology = cluster(&[("a", 1), ("a", 2), ("b", 1), ("c", 0)]);
        let shares = topology.expected_shares(&[Policy::ExternalCluster, Policy::PreferSameZone]).unwrap();
        // Half of the connections enter in zone a, a quarter in b, and a quarter in c, where all pods are chosen between.
        near(shares["pod-0-0"], 0.5 / 3.0 + 0.25 / 4.0);
        near(shares["pod-2-0"], 0.25 + 0.25 / 4.0);
        near(shares.values().sum(), 1.0);
        let shares = topology.expected_shares(&[Policy::ExternalCluster, Policy::PreferSameNode]).unwrap();
        near(shares["pod-0-0"], 0.25 + 0.25 / 4.0);
        near(shares["pod-1-0"], 0.125 + 0.25 / 4.0);
    }

    #[test]
    fn where_connections_enter_may_not_be_known() {
        let unknown = Topology { entries: None, ..cluster(&[("", 1), ("", 9)]) };
        assert_eq!(unknown.expected_shares(&[Policy::ExternalLocal]), None);
        assert_eq!(unknown.expected_shares(&[Policy::InternalCluster]).unwrap().len(), 10);
        let node = Topology { entries: Some(vec!["lab-1".into()]), ..cluster(&[("", 1), ("", 9)]) };
        let shares = node.expected_shares(&[Policy::ExternalLocal]).unwrap();
        near(shares["pod-0-0"], 0.0);
        near(shares["pod-1-0"], 1.0 / 9.0);
    }
}
