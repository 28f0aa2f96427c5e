//! The subject's pods, as the API server lists them.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::subject::Subject;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// All pods of the subject, also those that are terminating or have ended.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub(super) async fn pods(client: &Client, subject: &Subject) -> Result<Vec<Pod>, WorkloadError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &subject.namespace);
    let listed = pods.list(&ListParams::default().labels(&subject.selector)).await;
    Ok(listed.map_err(|source| KubernetesError::new("list pods", source))?.items)
}

/// Whether all containers of a pod have stopped for good, because it was evicted or rejected, or because it completed.
/// Its controller replaces such a pod, but the pod stays in the list until it is garbage-collected.
pub(super) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// Whether a pod counts towards its ReplicaSet's replicas: it is not terminating and has not ended. The ReplicaSet
/// controller uses the same rule.
#[must_use]
pub fn is_active(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !has_ended(pod)
}

/// Whether a pod is ready, by its condition.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{from_value, json};

    use super::*;

    /// A pod whose `Ready` condition is true, as it stays for a moment after an eviction.
    pub(in crate::workload) fn evicted(name: &str, created: &str) -> Pod {
        let metadata = json!({"name": name, "creationTimestamp": created, "labels": {"pod-template-hash": "new"}});
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({
            "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
            "podIP": "10.244.0.5", "conditions": ready,
        });
        from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    #[test]
    fn pods_that_terminate_or_have_ended_are_not_active() {
        let pod =
            |metadata, phase: &str| from_value(json!({"metadata": metadata, "status": {"phase": phase}})).unwrap();
        for phase in ["Pending", "Running", "Unknown"] {
            assert!(is_active(&pod(json!({}), phase)), "{phase}");
            assert!(!is_active(&pod(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), phase)), "{phase}");
        }
        for phase in ["Failed", "Succeeded"] {
            assert!(!is_active(&pod(json!({}), phase)), "{phase}");
        }
    }
}
