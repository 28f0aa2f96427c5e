//! Evicts the pods of a node, as `kubectl drain --ignore-daemonsets --delete-emptydir-data` does.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{EvictParams, ListParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep, timeout};

use crate::kubernetes_error::KubernetesError;
use crate::progress::Step;
use crate::workload::WorkloadError;
use crate::workload::pods::has_ended;
use crate::workload::scale::some;

/// How long to wait before an eviction is requested again that a PodDisruptionBudget does not allow.
const RETRY: Duration = Duration::from_millis(500);
/// How long an eviction may wait for an answer other than a refusal.
const ANSWER: Duration = Duration::from_secs(2);
/// How often it is looked which pods are gone.
const REREAD: Duration = Duration::from_millis(200);
/// How long a PodDisruptionBudget may refuse all evictions in a row.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same where no other node can run the pods that would satisfy it.
const NO_HOPE: Duration = Duration::from_secs(5);
/// The time that a pod has to end, unless it says another one, in seconds. That is Kubernetes' default.
const GRACE: i64 = 30;
/// The annotation of a static pod, which the kubelet would start again.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What a drain does to a pod.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Evicted,
    /// Its DaemonSet, or the kubelet, would start it again on the same node.
    Stays,
    /// Nothing would start it again elsewhere.
    Lost,
}

/// The rules of `kubectl drain`.
fn fate(pod: &Pod) -> Fate {
    if pod.annotations().contains_key(MIRROR) {
        return Fate::Stays;
    }
    let controller = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    match controller {
        _ if has_ended(pod) => Fate::Evicted,
        Some(controller) if controller.kind == "DaemonSet" => Fate::Stays,
        Some(_) => Fate::Evicted,
        None => Fate::Lost,
    }
}

/// The pods that a drain of a node evicts.
///
/// # Errors
/// [`WorkloadError::CannotEvict`] for a pod without a controller; [`WorkloadError::Kubernetes`].
pub(super) async fn pods_to_evict(client: &Client, node: &str) -> Result<Vec<Pod>, WorkloadError> {
    let mut pods = on_node(client, node).await?;
    if let Some(pod) = pods.iter().find(|pod| fate(pod) == Fate::Lost) {
        let pod = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
        return Err(WorkloadError::CannotEvict { pod, node: node.to_owned() });
    }
    pods.retain(|pod| fate(pod) == Fate::Evicted);
    Ok(pods)
}

async fn on_node(client: &Client, node: &str) -> Result<Vec<Pod>, WorkloadError> {
    let pods: Api<Pod> = Api::all(client.clone());
    let listed = pods.list(&ListParams::default().fields(&format!("spec.nodeName={node}"))).await;
    Ok(listed.map_err(|source| KubernetesError::new(format!("list the pods of the node {node}"), source))?.items)
}

/// Evicts the pods of a node, and waits until they are gone; returns their number. `is_last` is whether no other node can run
/// pods.
///
/// # Errors
/// As [`pods_to_evict`]; [`WorkloadError::Deadline`] when a PodDisruptionBudget refuses evictions for too long, or when pods do
/// not end.
pub(super) async fn evict_all(client: &Client, node: &str, is_last: bool, step: &Step) -> Result<u64, WorkloadError> {
    let pods = pods_to_evict(client, node).await?;
    let patience = if is_last { NO_HOPE } else { PATIENCE };
    let mut waiting: Vec<&Pod> = pods.iter().collect();
    let (mut evicted, mut accepted) = (0, Instant::now());
    loop {
        let (mut refused, mut why) = (Vec::new(), String::new());
        for pod in waiting {
            match evict(client, pod).await? {
                Answer::Accepted => (evicted, accepted) = (evicted + 1, Instant::now()),
                Answer::Gone => {}
                Answer::Refused(reason) => {
                    refused.push(pod);
                    why = reason;
                }
            }
        }
        waiting = refused;
        if waiting.is_empty() {
            break;
        }
        if accepted.elapsed() > patience {
            let what = format!("the eviction of {} of {node}", some(waiting.len(), "pod"));
            return Err(WorkloadError::Deadline { what, seconds: patience.as_secs(), why });
        }
        step.detail(format!("{evicted} of {} accepted; {why}", some(pods.len(), "eviction")));
        sleep(RETRY).await;
    }
    gone(client, node, &pods, step).await?;
    Ok(evicted)
}

/// The API server's answer to an eviction.
enum Answer {
    Accepted,
    /// There is no such pod any more.
    Gone,
    /// A PodDisruptionBudget does not allow it now.
    Refused(String),
}

async fn evict(client: &Client, pod: &Pod) -> Result<Answer, WorkloadError> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let params = EvictParams::default();
    let asked = pods.evict(&name, &params);
    // The client repeats a request that is refused for now, for minutes.
    match timeout(ANSWER, asked).await {
        Err(_) => Ok(Answer::Refused("a PodDisruptionBudget does not allow it now".into())),
        Ok(Ok(_)) => Ok(Answer::Accepted),
        Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Ok(Answer::Gone),
        Ok(Err(source)) => Err(KubernetesError::new(format!("evict Pod {namespace}/{name}"), source).into()),
    }
}

/// Waits until none of these pods is on the node.
async fn gone(client: &Client, node: &str, pods: &[Pod], step: &Step) -> Result<(), WorkloadError> {
    let uids: BTreeSet<String> = pods.iter().filter_map(ResourceExt::uid).collect();
    let grace = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(GRACE);
    let grace = pods.iter().map(grace).max().unwrap_or(GRACE);
    let patience = PATIENCE + Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let began = Instant::now();
    loop {
        let there = on_node(client, node).await?;
        let left: Vec<&Pod> = there.iter().filter(|pod| pod.uid().is_some_and(|uid| uids.contains(&uid))).collect();
        let Some(first) = left.first() else { return Ok(()) };
        if began.elapsed() > patience {
            let why = format!("{} has not ended", first.name_any());
            let what = format!("the end of {} of {node}", some(left.len(), "pod"));
            return Err(WorkloadError::Deadline { what, seconds: patience.as_secs(), why });
        }
        step.detail(format!("{} of {} gone", uids.len() - left.len(), some(uids.len(), "pod")));
        sleep(REREAD).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    #[test]
    fn the_fate_of_a_pod_is_that_of_kubectl_drain() {
        let fate = |metadata: Value, phase: &str| {
            fate(&from_value(json!({"metadata": metadata, "status": {"phase": phase}})).unwrap())
        };
        let owned = |kind: &str, controller: bool| {
            json!({"ownerReferences": [{
                "apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "u", "controller": controller,
            }]})
        };
        for kind in ["ReplicaSet", "StatefulSet", "Job"] {
            assert_eq!(fate(owned(kind, true), "Running"), Fate::Evicted, "{kind}");
        }
        assert_eq!(fate(owned("DaemonSet", true), "Running"), Fate::Stays);
        assert_eq!(fate(owned("DaemonSet", true), "Failed"), Fate::Evicted);
        assert_eq!(fate(json!({"annotations": {MIRROR: "x"}}), "Running"), Fate::Stays);
        for alone in [json!({}), owned("ConfigMap", false)] {
            assert_eq!(fate(alone.clone(), "Running"), Fate::Lost);
            assert_eq!(fate(alone, "Succeeded"), Fate::Evicted, "a pod that has completed is lost anyway");
        }
    }
}
