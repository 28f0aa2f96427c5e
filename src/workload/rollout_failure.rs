//! Why pods cannot start, as soon as Kubernetes reports it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::controller::ControllerKind;
use super::observe::View;
use super::pod_events::{REFUSAL, is_passing};
use super::pods::{has_ended, is_active};
use super::waiting_container::cannot_start;

/// How long a pod may be unschedulable while nothing happens to the others.
const UNSCHEDULABLE: SignedDuration = SignedDuration::from_secs(15);
/// Pods that ended count only when they were created within this time. Older ones were evicted and replaced.
const RECENT: SignedDuration = SignedDuration::from_secs(15);

/// The reason why a rollout cannot succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RolloutFailure {
    /// The reason as Kubernetes reports it.
    pub(super) reason: String,
    /// The crashed pod whose log may explain it.
    pub(super) crashed: Option<String>,
    /// The container of that pod.
    pub(super) container: Option<String>,
    /// Whether only the deadline of the rollout has passed, so that a warning about a pod says more.
    pub(super) is_late: bool,
}

impl RolloutFailure {
    fn said(reason: String) -> Self {
        Self { reason, crashed: None, container: None, is_late: false }
    }
}

/// The pods of the newest revision; empty until it is known which revision that is.
pub(super) fn newest_pods(view: &View) -> Vec<&Pod> {
    let Some(controller) = &view.controller else { return Vec::new() };
    let hash = match controller.kind {
        ControllerKind::Deployment => {
            let hash = newest(view).and_then(|newest| newest.labels().get("pod-template-hash").cloned());
            let Some(hash) = hash else { return Vec::new() };
            Some(("pod-template-hash", hash))
        }
        _ => controller.revision_hash.clone().map(|hash| ("controller-revision-hash", hash)),
    };
    let is_newest = |pod: &&Pod| hash.as_ref().is_none_or(|(label, hash)| pod.labels().get(*label) == Some(hash));
    view.pods.iter().map(AsRef::as_ref).filter(is_newest).collect()
}

/// What keeps the pods of the newest revision from starting; `None` while they may still start.
pub(super) fn find(view: &View, now: Timestamp) -> Option<RolloutFailure> {
    // Until the controller has seen its new specification, its status and the newest revision are those of the previous one.
    let controller = view.controller.as_ref().filter(|controller| controller.is_observed)?;
    let pods = newest_pods(view).into_iter();
    let active = pods.clone().filter(|pod| is_active(pod));
    let of_active = active.clone().find_map(of_containers);
    // A pod that is being deleted has ended because it was asked to, for example when it was scaled away.
    let failed = pods.filter(|pod| has_ended(pod) && pod.metadata.deletion_timestamp.is_none());
    of_active
        .or_else(|| unschedulable(active, &view.pods, now))
        .or_else(|| all_fail(failed, controller.wanted as usize, now))
        .or_else(|| refused(newest(view)?, now))
        .or_else(|| Some(RolloutFailure { is_late: true, ..RolloutFailure::said(controller.given_up.clone()?) }))
}

/// The ReplicaSet of the Deployment's current revision.
fn newest(view: &View) -> Option<&Arc<ReplicaSet>> {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    let current = view.controller.as_ref()?.revision.as_ref()?;
    view.replica_sets.iter().find(|set| set.annotations().get(REVISION) == Some(current))
}

fn of_containers(pod: &Pod) -> Option<RolloutFailure> {
    let (name, status) = (pod.name_any(), pod.status.as_ref()?);
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.find_map(|container| of_container(&name, container))
}

/// Whether one of these pods fits nowhere, and nothing has happened to any pod of the workload for a while. On a node that is full,
/// the last pods of a rollout fit only when older ones have ended.
fn unschedulable<'a>(
    mut pods: impl Iterator<Item = &'a Pod>,
    all: &[Arc<Pod>],
    now: Timestamp,
) -> Option<RolloutFailure> {
    let (pod, why) = pods.find_map(|pod| Some((pod, fits_nowhere(pod)?)))?;
    let last_change = all.iter().filter_map(|pod| last_change(pod)).max()?;
    (now.duration_since(last_change) >= UNSCHEDULABLE)
        .then(|| RolloutFailure::said(format!("pod {} cannot be scheduled: {why}", pod.name_any())))
}

/// Why the scheduler found no node for a pod.
fn fits_nowhere(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let mut refused = conditions.filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    let refused = refused.find(|condition| condition.reason.as_deref() == Some("Unschedulable"))?;
    Some(refused.message.as_deref().unwrap_or("no reason given"))
}

/// When a pod was created, changed its conditions, or has to end, whichever is last.
fn last_change(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let changes = conditions.filter_map(|condition| condition.last_transition_time.as_ref());
    let metadata = pod.metadata.creation_timestamp.iter().chain(&pod.metadata.deletion_timestamp);
    changes.chain(metadata).map(|at| at.0).max()
}

/// Finds out whether all new pods fail, for example because the kubelet rejects them. A few pods that ended are no failure,
/// because the ReplicaSet replaces them; more pods than wanted that ended within a short time are.
fn all_fail<'a>(ended: impl Iterator<Item = &'a Pod>, wanted: usize, now: Timestamp) -> Option<RolloutFailure> {
    let is_recent = |pod: &&Pod| !lasted(pod.metadata.creation_timestamp.as_ref(), RECENT, now);
    let recent: Vec<&Pod> = ended.filter(is_recent).collect();
    if recent.len() <= wanted {
        return None;
    }
    let last = recent.into_iter().max_by_key(|pod| pod.creation_timestamp())?;
    let status = last.status.as_ref();
    let why = status.and_then(|status| status.message.as_deref().or(status.reason.as_deref()));
    let (name, why) = (last.name_any(), why.unwrap_or("no reason given"));
    Some(RolloutFailure::said(format!("new pods fail as soon as they are created; pod {name}: {why}")))
}

fn of_container(pod: &str, container: &ContainerStatus) -> Option<RolloutFailure> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    if reason != "CrashLoopBackOff" {
        let message = waiting.message.as_deref().unwrap_or("no message given");
        let said = || RolloutFailure::said(format!("pod {pod}, container {}: {reason}: {message}", container.name));
        return cannot_start(reason, message).then(said);
    }
    let end = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let how = end.map_or_else(String::new, |end| {
        let why = end.reason.as_deref().filter(|why| *why != "Error");
        format!(" (exit {}{})", end.exit_code, why.map(|why| format!(", {why}")).unwrap_or_default())
    });
    let reason = format!("pod {pod}, container {}: crashes repeatedly{how}", container.name);
    Some(RolloutFailure {
        reason,
        crashed: Some(pod.to_owned()),
        container: Some(container.name.clone()),
        is_late: false,
    })
}

/// Whether the ReplicaSet is not allowed to create its pods: by Pod Security, a quota or a webhook.
fn refused(set: &ReplicaSet, now: Timestamp) -> Option<RolloutFailure> {
    let conditions = set.status.as_ref()?.conditions.as_ref()?;
    let failure =
        conditions.iter().find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    let message = failure.message.as_deref().or(failure.reason.as_deref()).unwrap_or("no reason given");
    if is_passing(message) {
        return None;
    }
    lasted(failure.last_transition_time.as_ref(), REFUSAL, now).then(|| RolloutFailure::said(message.to_owned()))
}

fn lasted(since: Option<&Time>, patience: SignedDuration, now: Timestamp) -> bool {
    since.is_some_and(|since| now.duration_since(since.0) >= patience)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::workload::controller_state::ControllerState;

    const NOW: &str = "2026-01-01T00:01:00Z";

    fn object<T: serde::de::DeserializeOwned>(value: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn view(pod_status: &Value, set_status: &Value) -> View {
        let revision = json!({"deployment.kubernetes.io/revision": "2"});
        let labels = json!({"pod-template-hash": "new"});
        View {
            controller: Some(ControllerState::of_deployment(
                &serde_json::from_value(json!({"metadata": {"annotations": revision}})).unwrap(),
            )),
            replica_sets: vec![object(
                json!({"metadata": {"annotations": revision, "labels": labels}, "status": set_status}),
            )],
            pods: vec![object(json!({"metadata": {"name": "p", "labels": labels}, "status": pod_status}))],
            ..View::default()
        }
    }

    fn reason(pod_status: &Value, set_status: &Value) -> Option<String> {
        find(&view(pod_status, set_status), NOW.parse().unwrap()).map(|failure| failure.reason)
    }

    fn container(state: &Value) -> Value {
        json!({"containerStatuses": [{
            "name": "server", "image": "", "imageID": "", "ready": false, "restartCount": 3, "state": state,
            "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}},
        }]})
    }

    #[test]
    fn a_missing_image_is_named() {
        let status =
            container(&json!({"waiting": {"reason": "ErrImageNeverPull", "message": "image x is not present"}}));
        let reason = reason(&status, &json!({"replicas": 1})).unwrap();
        assert_eq!(reason, "pod p, container server: ErrImageNeverPull: image x is not present");
    }

    #[test]
    fn a_crash_names_its_exit_and_its_pod() {
        let status = container(&json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}));
        let failure = find(&view(&status, &json!({"replicas": 1})), NOW.parse().unwrap()).unwrap();
        assert_eq!(failure.reason, "pod p, container server: crashes repeatedly (exit 2)");
        assert_eq!(failure.crashed.as_deref(), Some("p"));
    }

    #[test]
    fn creating_is_no_failure() {
        let status = container(&json!({"waiting": {"reason": "ContainerCreating"}}));
        assert_eq!(reason(&status, &json!({"replicas": 1})), None);
    }

    #[test]
    fn a_slow_runtime_is_no_failure() {
        let waiting = json!({"reason": "RunContainerError", "message": "context deadline exceeded"});
        assert_eq!(reason(&container(&json!({"waiting": waiting})), &json!({"replicas": 1})), None);
    }

    #[test]
    fn a_failure_of_the_previous_specification_does_not_count() {
        let status = container(&json!({"waiting": {"reason": "ErrImageNeverPull", "message": "gone"}}));
        let mut view = view(&status, &json!({"replicas": 1}));
        assert!(find(&view, NOW.parse().unwrap()).is_some());
        view.controller.as_mut().unwrap().is_observed = false;
        assert_eq!(find(&view, NOW.parse().unwrap()), None);
    }

    #[test]
    fn pods_of_an_older_revision_do_not_count() {
        let status = container(&json!({"waiting": {"reason": "ErrImageNeverPull", "message": "gone"}}));
        let mut view = view(&status, &json!({"replicas": 1}));
        Arc::make_mut(&mut view.pods[0]).labels_mut().insert("pod-template-hash".into(), "old".into());
        assert_eq!(find(&view, NOW.parse().unwrap()), None);
    }

    #[test]
    fn a_pod_that_was_evicted_counts_only_when_every_new_pod_fails() {
        let evicted = |number: usize, created: &str| {
            Arc::new(crate::workload::pods::tests::evicted(&format!("evicted-{number}"), created))
        };
        let mut view = view(&json!({"phase": "Running"}), &json!({"replicas": 1}));
        let found = |view: &View| find(view, NOW.parse().unwrap()).map(|failure| failure.reason);
        view.pods.push(evicted(1, "2026-01-01T00:00:55Z"));
        assert_eq!(found(&view), None, "the ReplicaSet replaced it");
        view.pods.extend((2..9).map(|number| evicted(number, "2026-01-01T00:00:10Z")));
        assert_eq!(found(&view), None, "pods that were evicted over time");
        view.pods.push(evicted(9, "2026-01-01T00:00:58Z"));
        let reason = found(&view).unwrap();
        assert!(reason.contains("evicted-9") && reason.contains("low on resource"), "{reason}");
    }

    #[test]
    fn pods_that_were_scaled_away_are_not_failures() {
        let mut view = view(&json!({"phase": "Running"}), &json!({"replicas": 1}));
        view.pods.extend((0..7).map(|number| {
            object(json!({
                "metadata": {
                    "name": format!("scaled-away-{number}"), "labels": {"pod-template-hash": "new"},
                    "creationTimestamp": "2026-01-01T00:00:55Z", "deletionTimestamp": "2026-01-01T00:00:59Z",
                },
                "status": {"phase": "Succeeded"},
            }))
        }));
        assert_eq!(find(&view, NOW.parse().unwrap()), None);
        for pod in &mut view.pods[1..] {
            Arc::make_mut(pod).metadata.deletion_timestamp = None;
        }
        assert!(find(&view, NOW.parse().unwrap()).is_some(), "the same pods, not deleted, are failures");
    }

    #[test]
    fn refusals_count_when_they_last() {
        let failure = |message: &str, since: &str| {
            json!({"replicas": 0, "conditions": [{
                "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": message, "lastTransitionTime": since,
            }]})
        };
        let long_ago = "2026-01-01T00:00:50Z";
        assert_eq!(reason(&json!({}), &failure("violates PodSecurity", "2026-01-01T00:00:59Z")), None);
        assert_eq!(reason(&json!({}), &failure("violates PodSecurity", long_ago)).unwrap(), "violates PodSecurity");
        let slow = "Timeout: request did not complete within requested timeout - context deadline exceeded";
        for passing in ["Unauthorized", slow, "etcdserver: request timed out"] {
            assert_eq!(reason(&json!({}), &failure(passing, long_ago)), None, "{passing}");
        }
        let webhook = "Internal error occurred: failed calling webhook \"a.b.c\": context deadline exceeded";
        assert_eq!(reason(&json!({}), &failure(webhook, long_ago)).unwrap(), webhook);
    }

    #[test]
    fn a_pod_that_fits_nowhere_counts_when_it_lasts() {
        let pending = |since: &str| {
            json!({"conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Too many pods", "lastTransitionTime": since,
            }]})
        };
        let set = json!({"replicas": 1});
        assert_eq!(reason(&pending("2026-01-01T00:00:55Z"), &set), None);
        assert!(reason(&pending("2026-01-01T00:00:30Z"), &set).unwrap().contains("Too many pods"));
    }

    #[test]
    fn a_pod_that_fits_nowhere_waits_while_others_start_or_end() {
        let pending = json!({"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Too many pods", "lastTransitionTime": "2026-01-01T00:00:10Z",
        }]});
        let found = |metadata: Value, ready_since: &str| {
            let mut view = view(&pending, &json!({"replicas": 1}));
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": ready_since});
            view.pods.push(object(json!({"metadata": metadata, "status": {"conditions": [ready]}})));
            find(&view, NOW.parse().unwrap()).is_some()
        };
        let old = |key: &str, at: &str| json!({"name": "old", key: at});
        let (just_now, long_ago) = ("2026-01-01T00:00:55Z", "2026-01-01T00:00:05Z");
        assert!(found(old("creationTimestamp", long_ago), long_ago));
        assert!(!found(old("creationTimestamp", long_ago), just_now), "a pod has become ready");
        assert!(!found(old("creationTimestamp", just_now), long_ago), "a pod was created");
        assert!(!found(old("deletionTimestamp", "2026-01-01T00:01:30Z"), long_ago), "a pod has time to end");
    }
}
