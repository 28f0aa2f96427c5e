//! Performs an event's action, and waits until it is over.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::slow_pod::{self, SlowedPod};
use super::{Action, pods};
use crate::cluster::{self, Access, Cluster, ComponentProcess, ComponentState};
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::workload::WorkloadError;
use crate::workload::pod_template::patch;
use crate::workload::subject::Subject;
use crate::workload::{rollout, scale};
use evenkeel_load::PodWatches;

/// How often the supervisor's status of a component is read.
const REREAD: Duration = Duration::from_millis(20);
/// How long a killed component may take to run again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The annotation that `kubectl rollout restart` sets on the pod template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The cluster that events act on.
#[derive(Clone, Copy)]
pub struct EventContext<'a> {
    /// The cluster.
    pub access: &'a Access,
    /// The Service whose pods they affect.
    pub subject: &'a Subject,
    /// Receives the progress.
    pub progress: &'a Progress,
    /// Interrupts the events.
    pub shutdown: &'a Shutdown,
    /// Counts the requests of slow pods, if load runs.
    pub watches: Option<&'a PodWatches>,
}

/// Performs the action, and returns the pod that it made slow. `turn` counts the events, so that each event that affects one
/// pod picks another pod.
pub(super) async fn perform(
    context: &EventContext<'_>,
    action: &Action,
    turn: usize,
) -> Result<Option<SlowedPod>, WorkloadError> {
    let EventContext { access, subject, progress, shutdown, .. } = *context;
    match action {
        Action::Scale(replicas) => {
            scale(access, subject, *replicas, progress, shutdown).await?;
        }
        Action::Restart => restart(context).await?,
        Action::NewImage(image) => set_image(context, image).await?,
        Action::KillPod => {
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, Box::pin(pods::kill_one(context, turn)))
                .await?
                .map(|pod| step.done_with(pod))?;
            settle(context).await?;
        }
        Action::DeletePod => {
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, pods::delete_one(context, turn)).await?.map(|pod| step.done_with(pod))?;
            settle(context).await?;
        }
        Action::SlowPod(how, time) => {
            let step = progress.step(action.to_string());
            let slowed = Box::pin(slow_pod::slow_one(context, *how, *time, turn));
            let slowed = shutdown::unless(shutdown, slowed).await??;
            step.done_with(&slowed.pod);
            settle(context).await?;
            return Ok(Some(slowed));
        }
        Action::Kill(component) => {
            let cluster = access.require_lab(&action.to_string())?;
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, kill(cluster, component)).await??;
            step.done();
        }
        Action::Pause(component, time) => {
            let cluster = access.require_lab(&action.to_string())?;
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, pause(cluster, component, *time)).await??;
            step.done();
        }
    }
    Ok(None)
}

async fn settle(context: &EventContext<'_>) -> Result<(), WorkloadError> {
    scale::settle(context.access, context.subject, context.progress, context.shutdown).await
}

/// Waits until no pod is terminating.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn drained(context: &EventContext<'_>) -> Result<(), WorkloadError> {
    pods::drained(context).await
}

/// Changes the controller's pod template, and waits for the rollout and the load balancer.
async fn roll(context: &EventContext<'_>, template: &Value) -> Result<(), WorkloadError> {
    let (client, controller) = (&context.access.client, context.subject.require_controller()?);
    patch(client, controller, &json!({"spec": {"template": template}})).await?;
    Box::pin(rollout(client, controller, context.shutdown, context.progress)).await?;
    settle(context).await
}

fn restarted() -> Value {
    // With fractions of a second, since two restarts within a second would else be one.
    let now = jiff::Timestamp::now().to_string();
    json!({"metadata": {"annotations": {RESTARTED_AT: now}}})
}

fn with_image(container: &str, image: &str) -> Value {
    json!({"spec": {"containers": [{"name": container, "image": image}]}})
}

/// Replaces every pod by a new one with the same image.
///
/// # Errors
/// As [`set_variable`].
pub async fn restart(context: &EventContext<'_>) -> Result<(), WorkloadError> {
    roll(context, &restarted()).await
}

/// Sets an environment variable of the workload's container, and waits for the rollout.
///
/// # Errors
/// [`WorkloadError::NoWorkload`], [`WorkloadError::RolloutStuck`], [`WorkloadError::Kubernetes`] and more.
pub async fn set_variable(context: &EventContext<'_>, name: &str, value: &str) -> Result<(), WorkloadError> {
    let variable = json!({"name": name, "value": value});
    let container = context.subject.require_container()?;
    roll(context, &json!({"spec": {"containers": [{"name": container, "env": [variable]}]}})).await
}

/// Sets the image of the workload's container, which the nodes must have, and waits for the rollout.
async fn set_image(context: &EventContext<'_>, image: &str) -> Result<(), WorkloadError> {
    roll(context, &with_image(context.subject.require_container()?, image)).await
}

/// Kills a component, and waits until the supervisor has restarted it.
async fn kill(cluster: &Cluster, component: &str) -> Result<(), WorkloadError> {
    let process = cluster::component_process(cluster, component)?;
    // A process that has just ended by itself is restarted, too.
    process.signal_unless_ended(Signal::SIGKILL)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (restarts, state) = restarts(cluster, component)?;
        if restarts > process.restarts && state == ComponentState::Running {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = format!("{component} is {state:?} after {restarts} restarts");
            let what = format!("the restart of {component}");
            return Err(WorkloadError::Deadline { what, seconds: PATIENCE.as_secs(), why });
        }
        sleep(REREAD).await;
    }
}

fn restarts(cluster: &Cluster, component: &str) -> Result<(u32, ComponentState), WorkloadError> {
    let status = cluster::component_status(cluster, component)?;
    Ok(status.map_or((0, ComponentState::Waiting), |status| (status.restarts, status.state)))
}

/// Pauses a component for `time`.
async fn pause(cluster: &Cluster, component: &str, time: Duration) -> Result<(), WorkloadError> {
    let paused = Paused(cluster::component_process(cluster, component)?);
    paused.0.signal(Signal::SIGSTOP)?;
    sleep(time).await;
    // If something killed the process during the pause, the supervisor has started another one.
    Ok(paused.0.signal_unless_ended(Signal::SIGCONT)?)
}

/// A paused component. Dropped, it continues, so that an interrupted run leaves no component paused.
struct Paused(ComponentProcess);

impl Drop for Paused {
    fn drop(&mut self) {
        // The signal has no effect on a process that runs.
        let _ = self.0.signal(Signal::SIGCONT);
    }
}
