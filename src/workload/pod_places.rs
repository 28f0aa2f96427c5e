//! Where the pods of a Service run: their nodes, and the zones of these.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Client, ResourceExt};

use super::backends::{is_ready, slices};
use super::endpoint::internal_ip;
use super::nodes;
use super::pods::{has_ended, pods};
use super::router::takes_connections;
use super::subject::Subject;
use crate::config::ZONE_LABEL;
use crate::workload::WorkloadError;

/// A node of the cluster, as far as load reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePlace {
    /// Its name.
    pub name: String,
    /// Its zone, if it has one.
    pub zone: Option<String>,
    /// Its address, if it has one.
    pub address: Option<IpAddr>,
    /// Whether the router sends it new connections: it is ready and not excluded.
    pub takes_connections: bool,
}

/// A pod, and the node on which it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPlace {
    /// Its name.
    pub name: String,
    /// The name of its node.
    pub node: String,
    /// Its address, if it has one.
    pub address: Option<IpAddr>,
    /// Whether it is a ready endpoint of the Service.
    pub ready: bool,
}

/// The nodes of the cluster, by name.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn node_places(client: &Client) -> Result<Vec<NodePlace>, WorkloadError> {
    let mut places: Vec<NodePlace> = nodes::list(client).await?.iter().map(node_place).collect();
    places.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(places)
}

fn node_place(node: &Node) -> NodePlace {
    NodePlace {
        name: node.name_any(),
        zone: node.labels().get(ZONE_LABEL).filter(|zone| !zone.is_empty()).cloned(),
        address: internal_ip(node),
        takes_connections: takes_connections(node),
    }
}

/// The pods of the subject that run on a node and have not ended.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn pod_places(client: &Client, subject: &Subject) -> Result<Vec<PodPlace>, WorkloadError> {
    let (pods, slices) = futures::join!(pods(client, subject), slices(client, subject));
    Ok(places_of(&pods?, &slices?))
}

fn places_of(pods: &[Pod], slices: &[EndpointSlice]) -> Vec<PodPlace> {
    let ready = ready_pods(slices);
    let place = |pod: &Pod| {
        let name = pod.name_any();
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref()?.parse().ok());
        let node = pod.spec.as_ref()?.node_name.clone()?;
        Some(PodPlace { ready: ready.contains(name.as_str()), name, node, address })
    };
    pods.iter().filter(|pod| !has_ended(pod)).filter_map(place).collect()
}

/// The names of the pods that are ready endpoints.
fn ready_pods(slices: &[EndpointSlice]) -> BTreeSet<&str> {
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|endpoint| is_ready(endpoint));
    ready.filter_map(|endpoint| endpoint.target_ref.as_ref()?.name.as_deref()).collect()
}

/// Adds the pods of `later` that are not among `places`, as pods that were not ready then.
#[must_use]
pub fn with_later(places: Vec<PodPlace>, later: Vec<PodPlace>) -> Vec<PodPlace> {
    let mut by_name: BTreeMap<String, PodPlace> = BTreeMap::new();
    for place in later {
        by_name.insert(place.name.clone(), PodPlace { ready: false, ..place });
    }
    for place in places {
        by_name.insert(place.name.clone(), place);
    }
    by_name.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::router::EXCLUDE_LABEL;

    fn pod(name: &str, node: Option<&str>, phase: &str) -> Pod {
        let spec = serde_json::json!({"nodeName": node, "containers": []});
        let status = serde_json::json!({"phase": phase, "podIP": "10.244.4.7"});
        serde_json::from_value(serde_json::json!({"metadata": {"name": name}, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn pods_have_their_node_and_only_ready_endpoints_are_ready() {
        let slice = serde_json::json!({"metadata": {}, "addressType": "IPv4", "endpoints": [
            {"addresses": ["10.244.4.7"], "nodeName": "lab-1", "targetRef": {"kind": "Pod", "name": "a"}},
            {"addresses": ["10.244.4.8"], "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "b"}},
        ]});
        let pods = [
            pod("a", Some("lab-1"), "Running"),
            pod("b", Some("lab-0"), "Running"),
            pod("pending", None, "Pending"),
            pod("evicted", Some("lab-1"), "Failed"),
        ];
        let places = places_of(&pods, &[serde_json::from_value(slice).unwrap()]);
        let found: Vec<_> = places.iter().map(|pod| (pod.name.as_str(), pod.node.as_str(), pod.ready)).collect();
        assert_eq!(found, [("a", "lab-1", true), ("b", "lab-0", false)]);
        assert_eq!(places[0].address, Some("10.244.4.7".parse().unwrap()));
        let later = places_of(&[pod("a", Some("lab-1"), "Running"), pod("new", Some("lab-2"), "Running")], &[]);
        let all: Vec<_> = with_later(places, later).into_iter().map(|pod| (pod.name, pod.ready)).collect();
        assert_eq!(all, [("a".to_owned(), true), ("b".to_owned(), false), ("new".to_owned(), false)]);
    }

    #[test]
    fn a_node_has_the_zone_of_its_label() {
        let node = serde_json::json!({"metadata": {"name": "lab-1", "labels": {ZONE_LABEL: "zone-b"}}, "status": {
            "addresses": [{"type": "Hostname", "address": "lab-1"}, {"type": "InternalIP", "address": "198.18.0.3"}],
            "conditions": [{"type": "Ready", "status": "True"}]}});
        let mut node: Node = serde_json::from_value(node).unwrap();
        let address = Some("198.18.0.3".parse().unwrap());
        let wanted = NodePlace { name: "lab-1".into(), zone: Some("zone-b".into()), address, takes_connections: true };
        assert_eq!(node_place(&node), wanted);
        node.metadata.labels.as_mut().unwrap().insert(EXCLUDE_LABEL.into(), String::new());
        assert_eq!(node_place(&node), NodePlace { takes_connections: false, ..wanted });
        let bare = serde_json::from_value(serde_json::json!({"metadata": {"name": "lab-2"}})).unwrap();
        assert_eq!(node_place(&bare), NodePlace { name: "lab-2".into(), ..NodePlace::default() });
    }
}
