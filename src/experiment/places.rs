//! The nodes and zones of the pods of a run, and the nodes at which its connections enter the cluster.

use std::net::IpAddr;

use super::place::Place;
use crate::cluster::Access;
use crate::workload::{NodePlace, PodPlace, ServicePolicy, Subject, node_places, pod_places, with_later};
use evenkeel_measure::{ClusterNode, EntryCounts, PlacedPod, Topology};

/// The nodes of a cluster with more than one, and its pods before a run.
pub(super) struct Places<'a> {
    access: &'a Access,
    nodes: Vec<NodePlace>,
    /// The pods of the Service that the load is sent to.
    own: PodsOf<'a>,
    /// The pods of the Service under test, where it is another one.
    subject: Option<PodsOf<'a>>,
    entries: Option<Vec<String>>,
}

/// The pods of a Service.
struct PodsOf<'a> {
    subject: &'a Subject,
    pods: Vec<PodPlace>,
}

impl<'a> PodsOf<'a> {
    async fn find(access: &Access, subject: &'a Subject) -> Option<Self> {
        Some(Self { subject, pods: pod_places(&access.client, subject).await.ok()? })
    }

    /// The same with the pods that came later.
    async fn end(self, access: &Access) -> Vec<PodPlace> {
        let later = pod_places(&access.client, self.subject).await.unwrap_or_default();
        with_later(self.pods, later)
    }
}

impl<'a> Places<'a> {
    /// Finds the nodes and pods of a run that sends its load to `place`; `None` if there is only one node, or if they cannot
    /// be read. The Service under test is `subject`, if it is not the one of the place.
    pub(super) async fn find(place: &Place<'a>, subject: Option<&'a Subject>) -> Option<Self> {
        let workplace = place.workplace?;
        let access = workplace.access;
        let nodes = node_places(&access.client).await.ok()?;
        if nodes.len() < 2 {
            return None;
        }
        let own = PodsOf::find(access, workplace.subject).await?;
        let subject = match subject {
            Some(subject) => PodsOf::find(access, subject).await,
            None => None,
        };
        // What is between this machine and the nodes of another cluster is not known.
        let entries = access.lab().and_then(|_| entries(&nodes, place.target.address.ip(), &place.policies));
        Some(Self { access, nodes, own, subject, entries })
    }

    /// The topology of the run, with the connections that `entered` at each node. If a proxy chose the pods, they are those of
    /// the Service under test.
    pub(super) async fn end(self, proxied: bool, entered: Option<EntryCounts>) -> Topology {
        let Self { access, nodes, own, subject, entries } = self;
        let later = node_places(&access.client).await.unwrap_or_default();
        let nodes = with_later_nodes(nodes, later);
        let own = own.end(access).await;
        let pods = match subject {
            Some(subject) if proxied => with_later(subject.end(access).await, own),
            _ => own,
        };
        let node = |node: NodePlace| ClusterNode { name: node.name, zone: node.zone };
        let pod = |pod: PodPlace| PlacedPod { name: pod.name, node: pod.node, ready: pod.ready };
        Topology {
            nodes: nodes.into_iter().map(node).collect(),
            pods: pods.into_iter().map(pod).collect(),
            entries,
            entered,
        }
    }
}

/// Adds the nodes of `later` that are not among `nodes`: those that were added during the run.
fn with_later_nodes(mut nodes: Vec<NodePlace>, later: Vec<NodePlace>) -> Vec<NodePlace> {
    let is_known = |of: &NodePlace| nodes.iter().any(|node| node.name == of.name);
    let new: Vec<NodePlace> = later.into_iter().filter(|node| !is_known(node)).collect();
    nodes.extend(new);
    nodes
}

/// The names of the nodes to which connections to this address are sent in a lab: one node for a node port, and for an
/// external IP all that take connections, over which the router divides them evenly. `None` for other addresses.
fn entries(nodes: &[NodePlace], to: IpAddr, policies: &[ServicePolicy]) -> Option<Vec<String>> {
    if let Some(node) = nodes.iter().find(|node| node.address == Some(to)) {
        return Some(vec![node.name.clone()]);
    }
    let external = [ServicePolicy::ExternalCluster, ServicePolicy::ExternalLocal];
    let is_external = policies.iter().any(|policy| external.contains(policy));
    is_external.then(|| nodes.iter().filter(|node| node.takes_connections).map(|node| node.name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_were_added_during_the_run_are_shown() {
        let node =
            |name: &str, zone: &str| NodePlace { name: name.into(), zone: Some(zone.into()), ..NodePlace::default() };
        let before = vec![node("lab-0", "zone-a"), node("lab-1", "zone-b")];
        let after = vec![node("lab-1", "zone-x"), node("lab-2", "zone-a")];
        let all = with_later_nodes(before.clone(), after);
        assert_eq!(all, [before, vec![node("lab-2", "zone-a")]].concat());
    }

    #[test]
    fn connections_enter_at_all_ready_nodes_or_at_the_one_that_is_addressed() {
        let node = |number: u8, takes_connections| NodePlace {
            name: format!("lab-{number}"),
            address: Some(IpAddr::from([198, 18, 0, 2 + number])),
            takes_connections,
            ..NodePlace::default()
        };
        let nodes = [node(0, true), node(1, false), node(2, true)];
        let at = |to: &str, policy| entries(&nodes, to.parse().unwrap(), &[policy]);
        let all = Some(vec!["lab-0".to_owned(), "lab-2".to_owned()]);
        assert_eq!(at("198.18.1.1", ServicePolicy::ExternalLocal), all);
        assert_eq!(at("198.18.0.4", ServicePolicy::ExternalLocal), Some(vec!["lab-2".to_owned()]));
        assert_eq!(at("10.96.0.7", ServicePolicy::InternalLocal), None);
    }
}
