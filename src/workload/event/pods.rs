//! Events that affect one of the pods.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use tokio::time::{Instant, sleep, timeout};

use super::EventContext;
use crate::cluster;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;
use crate::workload::pods::{has_ended, is_active, is_ready, pods};

/// How long to wait before the API server is asked again.
pub(super) const REREAD: Duration = Duration::from_millis(100);
/// How long a killed container may take to run again, and terminating pods to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Kills the server in one pod, and waits until its container runs again; returns the pod's name.
pub(super) async fn kill_one(context: &EventContext<'_>, turn: usize) -> Result<String, WorkloadError> {
    let cluster = context.access.require_lab("killing a container")?;
    let api: Api<Pod> = Api::namespaced(context.access.client.clone(), &context.subject.namespace);
    let server = context.subject.require_container()?;
    let (pod, _) = pick(context, turn).await?;
    let (name, before) = (pod.name_any(), ContainerState::of(&pod, server));
    let no_container = || WorkloadError::Deadline {
        what: format!("a running container in pod {name}"),
        seconds: 0,
        why: "it has none".into(),
    };
    let uid = pod.uid().ok_or_else(no_container)?;
    let container = before.id.clone().ok_or_else(no_container)?;
    cluster::kill_container(cluster, &uid, &container)?;
    // A watch, because polling would cost as much as the restart itself. A broken watch is opened again.
    let again = |now: Option<&Pod>| now.is_some_and(|now| ContainerState::of(now, server).is_after(&before));
    let restarted = async {
        while await_condition(api.clone(), &name, again).await.is_err() {
            sleep(REREAD).await;
        }
    };
    let late = |_| WorkloadError::Deadline {
        what: format!("the restart of pod {name}"),
        seconds: PATIENCE.as_secs(),
        why: "its container has not become ready again".into(),
    };
    timeout(PATIENCE, restarted).await.map_err(late)?;
    Ok(name)
}

/// Deletes one pod; returns its name.
pub(super) async fn delete_one(context: &EventContext<'_>, turn: usize) -> Result<String, WorkloadError> {
    let api: Api<Pod> = Api::namespaced(context.access.client.clone(), &context.subject.namespace);
    let name = pick(context, turn).await?.0.name_any();
    let deleted = api.delete(&name, &DeleteParams::default()).await;
    deleted.map_err(|source| KubernetesError::new(format!("delete Pod {name}"), source))?;
    Ok(name)
}

/// Waits until no pod is terminating, but at most [`PATIENCE`].
pub(super) async fn drained(context: &EventContext<'_>) -> Result<(), WorkloadError> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let pods = pods(&context.access.client, context.subject).await?;
        if pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_none() || has_ended(pod)) {
            break;
        }
        sleep(REREAD).await;
    }
    Ok(())
}

/// One of the active pods that are ready, another one for each `turn`, and their number.
pub(super) async fn pick(context: &EventContext<'_>, turn: usize) -> Result<(Pod, u64), WorkloadError> {
    let pods = pods(&context.access.client, context.subject).await?;
    let mut ready: Vec<Pod> = pods.into_iter().filter(|pod| is_active(pod) && is_ready(pod)).collect();
    ready.sort_by_key(ResourceExt::name_any);
    if ready.is_empty() {
        return Err(WorkloadError::NoWorkload);
    }
    let count = ready.len();
    Ok((ready.swap_remove(turn % count), count as u64))
}

/// The state of the server's container.
#[derive(Default)]
pub(super) struct ContainerState {
    restarts: i32,
    ready: bool,
    /// Its ID, without the name of the runtime.
    pub(super) id: Option<String>,
}

impl ContainerState {
    /// The state of the container `server` of a pod.
    pub(super) fn of(pod: &Pod, server: &str) -> Self {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let server = statuses.into_iter().find(|container| container.name == server);
        server.map_or_else(Self::default, |container| Self {
            restarts: container.restart_count,
            ready: container.ready,
            id: container.container_id.as_ref().and_then(|id| Some(id.split_once("://")?.1.to_owned())),
        })
    }

    /// Whether it was restarted since `before`, and is ready.
    fn is_after(&self, before: &Self) -> bool {
        self.restarts > before.restarts && self.ready
    }
}
