//! The nodes of the cluster, as the API server has them.

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// All nodes.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub(super) async fn list(client: &Client) -> Result<Vec<Node>, WorkloadError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let listed = nodes.list(&ListParams::default()).await;
    Ok(listed.map_err(|source| KubernetesError::new("list nodes", source))?.items)
}

/// The name of the node that is given by its name or its index.
///
/// # Errors
/// [`WorkloadError::UnknownNode`] with the names of all nodes; [`WorkloadError::Kubernetes`].
pub(super) async fn find(client: &Client, given: &str) -> Result<String, WorkloadError> {
    let names = list(client).await?.iter().map(ResourceExt::name_any).collect();
    named(names, given)
}

/// An index names the node whose name ends with it: 1 is `lab-1`.
fn named(mut names: Vec<String>, given: &str) -> Result<String, WorkloadError> {
    if names.iter().any(|name| name == given) {
        return Ok(given.to_owned());
    }
    let index = Some(given).filter(|given| given.bytes().all(|byte| byte.is_ascii_digit()));
    let is_meant = |name: &&String| name.rsplit_once('-').is_some_and(|(_, last)| Some(last) == index);
    let meant: Vec<&String> = names.iter().filter(is_meant).collect();
    if let [name] = meant.as_slice() {
        return Ok((*name).clone());
    }
    names.sort();
    Err(WorkloadError::UnknownNode { given: given.to_owned(), nodes: names })
}

/// Whether new pods can run on no other node than this one.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub(super) async fn is_last_schedulable(client: &Client, name: &str) -> Result<bool, WorkloadError> {
    Ok(!list(client).await?.iter().any(|node| node.name_any() != name && can_run_pods(node)))
}

/// Whether the scheduler assigns usual pods to a node.
fn can_run_pods(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    let is_cordoned = spec.is_some_and(|spec| spec.unschedulable == Some(true));
    let keeps_away = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
    let taints = spec.and_then(|spec| spec.taints.as_ref());
    let is_tainted = taints.into_iter().flatten().any(|taint| keeps_away(&taint.effect));
    !is_cordoned && !is_tainted && is_ready(node)
}

/// Whether a node is Ready, by its condition.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn a_node_is_given_by_its_name_or_its_index() {
        let names = || ["lab-0", "lab-1", "lab-10", "other-10"].map(str::to_owned).to_vec();
        let found = |given: &str| named(names(), given).map_err(|error| error.to_string());
        for (given, name) in [("lab-0", "lab-0"), ("0", "lab-0"), ("1", "lab-1"), ("other-10", "other-10")] {
            assert_eq!(found(given), Ok(name.to_owned()), "{given}");
        }
        for unknown in ["", "2", "lab", "LAB-0", "-1", "10", "b-1"] {
            let error = found(unknown).unwrap_err();
            assert!(error.ends_with("the nodes are: lab-0, lab-1, lab-10, other-10"), "{unknown:?}: {error}");
        }
    }

    #[test]
    fn pods_run_on_nodes_that_are_ready_and_neither_cordoned_nor_tainted() {
        let node = |spec: Value, ready: &str| {
            let status = json!({"conditions": [{"type": "Ready", "status": ready}]});
            can_run_pods(&from_value(json!({"metadata": {}, "spec": spec, "status": status})).unwrap())
        };
        let taint = |effect: &str| json!({"taints": [{"key": "k", "effect": effect}]});
        assert!(node(json!({}), "True") && node(taint("PreferNoSchedule"), "True"));
        assert!(!node(json!({}), "Unknown") && !node(json!({"unschedulable": true}), "True"));
        assert!(!node(taint("NoSchedule"), "True") && !node(taint("NoExecute"), "True"));
    }
}
