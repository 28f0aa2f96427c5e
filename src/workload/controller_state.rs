//! The state of a controller, as its status shows it, for every kind of controller.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt;

use super::controller::ControllerKind;

/// The time that the API server sets for a Deployment without `progressDeadlineSeconds`. It also applies to the kinds that
/// have no such field.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(600);
/// The time that the API server sets for pods without `terminationGracePeriodSeconds`.
const GRACE: i64 = 30;

/// The state of a controller at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControllerState {
    pub(super) kind: ControllerKind,
    pub(super) name: String,
    /// The pods that it should have.
    pub(super) wanted: u32,
    /// Whether its status belongs to its current specification.
    pub(super) is_observed: bool,
    /// All of its pods.
    pub(super) pods: u32,
    /// Its pods of the newest revision.
    pub(super) updated: u32,
    /// Its pods that have been ready for long enough.
    pub(super) available: u32,
    /// The revision of a Deployment: the annotation of its newest ReplicaSet.
    pub(super) revision: Option<String>,
    /// The hash in the label `controller-revision-hash` of the newest pods of a StatefulSet or DaemonSet, if it is known.
    pub(super) revision_hash: Option<String>,
    /// Why the controller has given up.
    pub(super) given_up: Option<String>,
    /// How long its manifest allows a rollout to make no progress.
    pub(super) progress_deadline: Duration,
    /// How long a pod may take to end, and to become available.
    pub(super) a_pod_takes: Duration,
}

impl ControllerState {
    pub(super) fn of_deployment(found: &Deployment) -> Self {
        let spec = found.spec.clone().unwrap_or_default();
        let status = found.status.clone().unwrap_or_default();
        let late = status.conditions.iter().flatten().find(|condition| {
            condition.type_ == "Progressing" && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
        });
        let late = late.map(|late| late.message.clone().unwrap_or_else(|| "no pod became ready in time".into()));
        let deadline = spec.progress_deadline_seconds.map(|seconds| seconds_of(seconds.into()));
        Self {
            is_observed: status.observed_generation >= found.metadata.generation,
            pods: count(status.replicas),
            updated: count(status.updated_replicas),
            available: count(status.available_replicas),
            revision: found.annotations().get("deployment.kubernetes.io/revision").cloned(),
            given_up: late,
            progress_deadline: deadline.unwrap_or(PROGRESS_DEADLINE),
            ..Self::new(ControllerKind::Deployment, found, spec.replicas, &spec.template, spec.min_ready_seconds)
        }
    }

    pub(super) fn of_stateful_set(found: &StatefulSet) -> Self {
        let spec = found.spec.clone().unwrap_or_default();
        let status = found.status.clone().unwrap_or_default();
        // Pods below the partition, or all with OnDelete, stay at the old revision.
        let strategy = spec.update_strategy.unwrap_or_default();
        let stays = count(strategy.rolling_update.and_then(|update| update.partition));
        let on_delete = strategy.type_.as_deref() == Some("OnDelete");
        let updated = if status.current_revision == status.update_revision {
            count(Some(status.replicas))
        } else {
            count(status.updated_replicas)
        };
        let state =
            Self::new(ControllerKind::StatefulSet, found, spec.replicas, &spec.template, spec.min_ready_seconds);
        Self {
            is_observed: status.observed_generation >= found.metadata.generation,
            pods: count(Some(status.replicas)),
            updated: if on_delete {
                count(Some(status.replicas))
            } else {
                (updated + stays).min(count(Some(status.replicas)))
            },
            available: count(status.available_replicas),
            revision_hash: status.update_revision,
            ..state
        }
    }

    pub(super) fn of_daemon_set(found: &DaemonSet) -> Self {
        let spec = found.spec.clone().unwrap_or_default();
        let status = found.status.clone().unwrap_or_default();
        let wanted = status.desired_number_scheduled;
        let on_delete = spec.update_strategy.and_then(|strategy| strategy.type_).as_deref() == Some("OnDelete");
        let state = Self::new(ControllerKind::DaemonSet, found, Some(wanted), &spec.template, spec.min_ready_seconds);
        Self {
            is_observed: status.observed_generation >= found.metadata.generation,
            pods: count(Some(status.current_number_scheduled)),
            updated: if on_delete { count(Some(wanted)) } else { count(status.updated_number_scheduled) },
            available: count(status.number_available),
            ..state
        }
    }

    pub(super) fn of_replica_set(found: &ReplicaSet) -> Self {
        let spec = found.spec.clone().unwrap_or_default();
        let status = found.status.clone().unwrap_or_default();
        let template = spec.template.unwrap_or_default();
        Self {
            is_observed: status.observed_generation >= found.metadata.generation,
            pods: count(Some(status.replicas)),
            updated: count(Some(status.replicas)),
            available: count(status.available_replicas),
            ..Self::new(ControllerKind::ReplicaSet, found, spec.replicas, &template, spec.min_ready_seconds)
        }
    }

    fn new(
        kind: ControllerKind,
        object: &impl ResourceExt,
        replicas: Option<i32>,
        template: &PodTemplateSpec,
        min_ready: Option<i32>,
    ) -> Self {
        let grace = template.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(GRACE);
        Self {
            kind,
            name: object.name_any(),
            wanted: replicas.unwrap_or(1).unsigned_abs(),
            is_observed: false,
            pods: 0,
            updated: 0,
            available: 0,
            revision: None,
            revision_hash: None,
            given_up: None,
            progress_deadline: PROGRESS_DEADLINE,
            a_pod_takes: seconds_of(grace) + seconds_of(i64::from(min_ready.unwrap_or(0))),
        }
    }

    /// How long a change of all pods may take. Pods of a StatefulSet are replaced one after the other, and pods of a
    /// Deployment in at most some turns.
    pub(super) fn patience(&self) -> Duration {
        let turns = match self.kind {
            ControllerKind::Deployment | ControllerKind::ReplicaSet => self.wanted.clamp(1, 8),
            ControllerKind::StatefulSet | ControllerKind::DaemonSet => self.wanted.max(1),
        };
        self.progress_deadline + self.a_pod_takes * turns + Duration::from_secs(u64::from(self.wanted))
    }
}

fn count(number: Option<i32>) -> u32 {
    number.unwrap_or(0).unsigned_abs()
}

fn seconds_of(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}
