//! Decides which nodes get connections to which external IP: a pure function of Services, EndpointSlices and Nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::ResourceExt;

use crate::cluster::{self, Routes};
use crate::config::Subnet;
use crate::workload::backends;
use crate::workload::endpoint::external_ips;
use crate::workload::nodes::is_ready;

/// A node with this label gets no new connections from load balancers (Kubernetes' own label).
pub const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// The label of an EndpointSlice that names its Service.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// What the API server has.
pub(super) struct Seen<'a> {
    pub(super) services: &'a [Arc<Service>],
    pub(super) slices: &'a [Arc<EndpointSlice>],
    pub(super) nodes: &'a [Arc<Node>],
}

/// The routes that are wanted.
///
/// A node is not used while it is not Ready. A cordoned node is still used: it forwards connections to pods on other nodes, and
/// Kubernetes' cloud controllers do not take it out either (KEP-3458). With `externalTrafficPolicy: Local`, only nodes with a
/// ready endpoint are used, and if there is none, those with an endpoint that terminates and still serves, as kube-proxy does
/// (KEP-1669).
pub(super) fn decide(seen: &Seen<'_>, subnet: Subnet) -> Routes {
    let (ready, used) = (indexes(seen.nodes, is_ready), indexes(seen.nodes, takes_connections));
    let mut external = BTreeMap::new();
    for service in seen.services {
        let ips: Vec<Ipv4Addr> = external_ips(service).filter_map(|ip| in_range(ip, subnet)).collect();
        if ips.is_empty() {
            continue;
        }
        let nodes = if is_local(service) { local(service, seen, &used) } else { used.clone() };
        external.extend(ips.into_iter().map(|ip| (ip, nodes.clone())));
    }
    Routes { external, keeping: ready }
}

fn in_range(ip: IpAddr, subnet: Subnet) -> Option<Ipv4Addr> {
    let IpAddr::V4(ip) = ip else { return None };
    let own = subnet.external().octets();
    (ip.octets()[..3] == own[..3]).then_some(ip)
}

fn is_local(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.external_traffic_policy.as_deref()) == Some("Local")
}

/// The nodes that have endpoints of their own, of those that are used.
fn local(service: &Service, seen: &Seen<'_>, used: &BTreeSet<u8>) -> BTreeSet<u8> {
    let own = |slice: &&Arc<EndpointSlice>| {
        slice.namespace() == service.namespace() && slice.labels().get(SERVICE_LABEL) == Some(&service.name_any())
    };
    let endpoints: Vec<&Endpoint> =
        seen.slices.iter().filter(own).flat_map(|slice| slice.endpoints.iter().flatten()).collect();
    let on_nodes = |usable: fn(&Endpoint) -> bool| -> BTreeSet<u8> {
        let names =
            endpoints.iter().filter(|endpoint| usable(endpoint)).filter_map(|endpoint| endpoint.node_name.as_deref());
        names.filter_map(cluster::Node::index_in).filter(|index| used.contains(index)).collect()
    };
    let ready = on_nodes(backends::is_ready);
    if !ready.is_empty() {
        return ready;
    }
    on_nodes(|endpoint| {
        condition(endpoint, |all| all.serving, true) && condition(endpoint, |all| all.terminating, false)
    })
}

/// A condition of an endpoint; `missing` if it has none.
fn condition(
    endpoint: &Endpoint,
    which: fn(&k8s_openapi::api::discovery::v1::EndpointConditions) -> Option<bool>,
    missing: bool,
) -> bool {
    endpoint.conditions.as_ref().and_then(which).unwrap_or(missing)
}

/// Whether a node is used for new connections.
pub(in crate::workload) fn takes_connections(node: &Node) -> bool {
    is_ready(node) && !node.labels().contains_key(EXCLUDE_LABEL)
}

/// The indexes of the nodes for which this is true.
fn indexes(nodes: &[Arc<Node>], is_wanted: fn(&Node) -> bool) -> BTreeSet<u8> {
    nodes.iter().filter(|node| is_wanted(node)).filter_map(|node| cluster::Node::index_in(&node.name_any())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(index: u8, ready: &str, labels: &Value) -> Arc<Node> {
        let node = json!({
            "metadata": { "name": format!("lab-{index}"), "labels": labels },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        });
        Arc::new(serde_json::from_value(node).unwrap())
    }

    fn nodes() -> Vec<Arc<Node>> {
        (0..3).map(|index| node(index, "True", &json!({}))).collect()
    }

    fn service(policy: &str) -> Arc<Service> {
        let service = json!({
            "metadata": { "name": "web", "namespace": "shop" },
            "spec": { "externalTrafficPolicy": policy },
            "status": { "loadBalancer": { "ingress": [{ "ip": "198.18.1.7" }, { "ip": "203.0.113.1" }] } },
        });
        Arc::new(serde_json::from_value(service).unwrap())
    }

    /// A slice of the Service with endpoints by their node, and whether they are ready, serving and terminating.
    fn slice(endpoints: &[(u8, bool, bool, bool)]) -> Arc<EndpointSlice> {
        let endpoint = |(node, ready, serving, terminating): &(u8, bool, bool, bool)| {
            json!({ "addresses": ["10.244.0.9"], "nodeName": format!("lab-{node}"),
                "conditions": { "ready": ready, "serving": serving, "terminating": terminating } })
        };
        let slice = json!({
            "metadata": { "name": "web-1", "namespace": "shop", "labels": { SERVICE_LABEL: "web" } },
            "addressType": "IPv4",
            "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        });
        Arc::new(serde_json::from_value(slice).unwrap())
    }

    fn decided(policy: &str, slices: &[Arc<EndpointSlice>], nodes: &[Arc<Node>]) -> (Vec<u8>, Vec<u8>) {
        let routes = decide(&Seen { services: &[service(policy)], slices, nodes }, Subnet::default());
        assert_eq!(routes.external.len(), 1, "addresses of others are not routed");
        let nodes = routes.external[&Ipv4Addr::new(198, 18, 1, 7)].iter().copied().collect();
        (nodes, routes.keeping.into_iter().collect())
    }

    const READY: (bool, bool, bool) = (true, true, false);
    const LEAVING: (bool, bool, bool) = (false, true, true);
    const ENDED: (bool, bool, bool) = (false, false, true);

    fn at(node: u8, (ready, serving, terminating): (bool, bool, bool)) -> (u8, bool, bool, bool) {
        (node, ready, serving, terminating)
    }

    #[test]
    fn every_ready_node_is_used_with_the_policy_cluster() {
        assert_eq!(decided("Cluster", &[], &nodes()).0, [0, 1, 2]);
        let mut nodes = nodes();
        nodes[1] = node(1, "Unknown", &json!({}));
        assert_eq!(decided("Cluster", &[], &nodes), (vec![0, 2], vec![0, 2]));
        nodes[2] = node(2, "True", &json!({ EXCLUDE_LABEL: "" }));
        assert_eq!(decided("Cluster", &[], &nodes), (vec![0], vec![0, 2]), "it keeps its connections");
    }

    #[test]
    fn only_nodes_with_ready_endpoints_are_used_with_the_policy_local() {
        let some = slice(&[at(1, READY), at(2, LEAVING), at(0, ENDED)]);
        assert_eq!(decided("Local", &[some], &nodes()), (vec![1], vec![0, 1, 2]));
        let last = slice(&[at(2, LEAVING), at(0, ENDED)]);
        assert_eq!(decided("Local", &[last], &nodes()).0, [2], "the last pods still serve");
        assert_eq!(decided("Local", &[slice(&[at(0, ENDED)])], &nodes()).0, Vec::<u8>::new());
        let mut silent = nodes();
        silent[1] = node(1, "Unknown", &json!({}));
        let both = slice(&[at(1, READY), at(2, LEAVING)]);
        assert_eq!(decided("Local", &[both], &silent).0, [2], "a node that is not Ready has no endpoint to be used");
    }
}
