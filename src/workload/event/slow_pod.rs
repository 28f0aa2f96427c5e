//! Events that make one of the pods slow for a while.

use std::cell::Cell;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use tokio::time::{Instant, sleep, timeout};

use super::pods::{ContainerState, PATIENCE, REREAD, pick};
use super::{EventContext, Slowdown};
use crate::cluster::{ContainerId, ContainerLimit, DelayedPod, SlowContainer};
use crate::workload::WorkloadError;
use crate::workload::pods::{is_active, is_ready};
use evenkeel_load::WatchId;

/// A pod that was slow for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowedPod {
    /// Its name.
    pub pod: String,
    /// How many pods were ready when the event began, this one included.
    pub pods: u64,
    /// The watch that counted its requests.
    pub watch: Option<WatchId>,
    /// How long it was slow.
    pub slow: Duration,
    /// From the begin of the event until the pod was not ready.
    pub not_ready: Option<Duration>,
    /// From the begin of the event until the pod was ready again.
    pub ready_again: Option<Duration>,
    /// Whether its container, or the pod, ended before the event was over.
    pub ended_early: bool,
}

impl SlowedPod {
    /// Whether the pod was not ready for a while, or its container was replaced.
    #[must_use]
    pub fn was_out_of_service(&self) -> bool {
        self.not_ready.is_some() || self.ended_early
    }
}

/// What the API server says about the pod.
#[derive(Clone, Copy, Default)]
struct Readiness {
    not_ready: Option<Duration>,
    ready_again: Option<Duration>,
    is_ready: bool,
    is_gone: bool,
}

/// Makes one pod slow for `time`, and waits until it is ready. Dropped before, the pod is as before.
pub(super) async fn slow_one(
    context: &EventContext<'_>,
    how: Slowdown,
    time: Duration,
    turn: usize,
) -> Result<SlowedPod, WorkloadError> {
    let server = context.subject.require_container()?;
    let (pod, pods) = pick(context, turn).await?;
    let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
    let id = ContainerState::of(&pod, server).id.ok_or_else(|| no_container(&name))?;
    let container = ContainerId { pod_uid: &uid, id: &id };
    let api: Api<Pod> = Api::namespaced(context.access.client.clone(), &context.subject.namespace);
    let began = Instant::now();
    let readiness = Cell::new(Readiness { is_ready: true, ..Readiness::default() });
    let mut follow = Box::pin(follow(&api, &name, &uid, began, &readiness));

    let watch = Watch { context, pod: &name, id: Cell::new(None) };
    let slow = tokio::select! {
        slow = slow_for(context, container, how, time, &watch) => slow?,
        // The pod is gone.
        () = &mut follow => None,
    };
    let ended_early = slow.is_none();
    let slow = slow.unwrap_or_else(|| began.elapsed());
    watch.end();
    let watch = watch.id.get();
    // The kubelet sees that it is as before only with its next probes.
    let waits = || !readiness.get().is_ready && !readiness.get().is_gone;
    let ready = timeout(PATIENCE, async {
        while waits() {
            tokio::select! {
                () = sleep(REREAD) => {}
                () = &mut follow => {}
            }
        }
    });
    ready.await.map_err(|_| not_ready_again(&name))?;
    let Readiness { not_ready, ready_again, is_gone, .. } = readiness.get();
    let ended_early = ended_early || is_gone;
    Ok(SlowedPod { pod: name.clone(), pods, watch, slow, not_ready, ready_again, ended_early })
}

/// Makes a container slow for `time`, and returns for how long it was; `None` if the container ended before. The watch begins
/// when the container is slow, and ends before it is as before.
async fn slow_for(
    context: &EventContext<'_>,
    container: ContainerId<'_>,
    how: Slowdown,
    time: Duration,
    watch: &Watch<'_>,
) -> Result<Option<Duration>, WorkloadError> {
    let what = "making a pod slow";
    let cluster = context.access.require_lab(what)?;
    let limit = match how {
        Slowdown::Throttle(percent) => ContainerLimit::Cpu(percent),
        Slowdown::Pause => ContainerLimit::Paused,
        Slowdown::Delay(delay) => {
            let (_, toolbox) = context.access.require_kernels(what)?;
            let Some(delayed) = DelayedPod::begin(cluster, toolbox, container, delay).await? else { return Ok(None) };
            let slow = watch.during(time).await;
            return Ok(delayed.end().await?.then_some(slow));
        }
    };
    let Some(slow) = SlowContainer::begin(cluster, container, limit)? else { return Ok(None) };
    let lasted = watch.during(time).await;
    Ok(slow.end()?.then_some(lasted))
}

fn not_ready_again(pod: &str) -> WorkloadError {
    let why = "it has not become ready again".into();
    WorkloadError::Deadline { what: format!("pod {pod}"), seconds: PATIENCE.as_secs(), why }
}

fn no_container(pod: &str) -> WorkloadError {
    WorkloadError::Deadline { what: format!("a running container in pod {pod}"), seconds: 0, why: "it has none".into() }
}

/// Follows the pod's readiness; returns when the pod is gone.
async fn follow(api: &Api<Pod>, name: &str, uid: &str, began: Instant, readiness: &Cell<Readiness>) {
    let is_gone = |pod: Option<&Pod>| pod.is_none_or(|pod| pod.uid().as_deref() != Some(uid) || !is_active(pod));
    loop {
        let now = readiness.get();
        let changed = |pod: Option<&Pod>| is_gone(pod) || pod.is_some_and(|pod| is_ready(pod) != now.is_ready);
        // A broken watch is opened again.
        let Ok(pod) = await_condition(api.clone(), name, changed).await else {
            sleep(REREAD).await;
            continue;
        };
        let after = began.elapsed();
        let is_gone = is_gone(pod.as_ref());
        let is_ready = !is_gone && pod.as_ref().is_some_and(is_ready);
        readiness.set(Readiness {
            not_ready: now.not_ready.or_else(|| (!is_ready).then_some(after)),
            ready_again: if is_ready { Some(after) } else { now.ready_again },
            is_ready,
            is_gone,
        });
        if is_gone {
            return;
        }
    }
}

/// Counts the requests of a pod until it is ended or dropped.
struct Watch<'a> {
    context: &'a EventContext<'a>,
    pod: &'a str,
    id: Cell<Option<WatchId>>,
}

impl Watch<'_> {
    /// Counts the requests of the next `time`; returns how long that was.
    async fn during(&self, time: Duration) -> Duration {
        self.id.set(self.context.watches.and_then(|watches| watches.begin(self.pod)));
        let began = Instant::now();
        sleep(time).await;
        self.end();
        began.elapsed()
    }

    fn end(&self) {
        if let (Some(watches), Some(id)) = (self.context.watches, self.id.get()) {
            watches.end(id);
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
