//! Does what an event says, and waits until it is over.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Action, pods};
use crate::cluster::{self, Access, Cluster, ComponentProcess, State};
use crate::config::{NAMESPACE, WORKLOAD};
use crate::error::Error;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::workload::{FIELD_MANAGER, rollout, scale, unchanged};

/// What the supervisor knows of a component is read again after this long.
const REREAD: Duration = Duration::from_millis(20);
/// How long a component that was killed may take to be back.
const PATIENCE: Duration = Duration::from_secs(60);
/// When a template was restarted, where `kubectl rollout restart` writes it, too.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// What events happen to, and with what they are done.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The cluster.
    pub access: &'a Access,
    /// Where news go.
    pub progress: &'a Progress,
    /// What breaks it off.
    pub shutdown: &'a Shutdown,
}

/// Does it. `turn` counts events, so that each that takes one pod of many takes another.
pub(super) async fn perform(stage: &Stage<'_>, action: &Action, turn: usize) -> Result<(), Error> {
    let Stage { access, progress, shutdown } = *stage;
    match action {
        Action::Scale(replicas) => {
            scale(access, *replicas, progress, shutdown).await?;
            Ok(())
        }
        Action::Restart => restart(stage).await,
        Action::NewImage(image) => set_image(stage, image).await,
        Action::KillPod => {
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, Box::pin(pods::kill_one(stage, turn))).await?.map(|pod| step.done_with(pod))?;
            settle(stage).await
        }
        Action::DeletePod => {
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, pods::delete_one(stage, turn)).await?.map(|pod| step.done_with(pod))?;
            settle(stage).await
        }
        Action::Kill(component) => {
            let cluster = access.require_lab(&action.to_string())?;
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, kill(cluster, component)).await??;
            step.done();
            Ok(())
        }
        Action::Pause(component, time) => {
            let cluster = access.require_lab(&action.to_string())?;
            let step = progress.step(action.to_string());
            shutdown::unless(shutdown, pause(cluster, component, *time)).await??;
            step.done();
            Ok(())
        }
    }
}

async fn settle(stage: &Stage<'_>) -> Result<(), Error> {
    scale::settle(stage.access, stage.progress, stage.shutdown).await
}

/// Waits until no pod is on its way out any more.
///
/// # Errors
/// [`Error::Kubernetes`].
pub async fn drained(stage: &Stage<'_>) -> Result<(), Error> {
    pods::drained(stage).await
}

/// Changes the Deployment's template, and follows what comes of it.
async fn roll(stage: &Stage<'_>, template: &Value) -> Result<(), Error> {
    let deployments: Api<Deployment> = Api::namespaced(stage.access.client.clone(), NAMESPACE);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let patch = json!({"spec": {"template": template}});
    let patched = deployments.patch(WORKLOAD, &params, &Patch::Strategic(patch)).await;
    patched.map_err(|source| unchanged(format!("change Deployment {NAMESPACE}/{WORKLOAD}"), source))?;
    Box::pin(rollout(&stage.access.client, stage.shutdown, stage.progress)).await?;
    settle(stage).await
}

fn restarted() -> Value {
    // Two restarts within a second are two.
    let now = jiff::Timestamp::now().to_string();
    json!({"metadata": {"annotations": {RESTARTED_AT: now}}})
}

fn with_image(image: &str) -> Value {
    json!({"spec": {"containers": [{"name": WORKLOAD, "image": image}]}})
}

/// Replaces every pod by another of the same image.
///
/// # Errors
/// As [`set_variable`].
pub async fn restart(stage: &Stage<'_>) -> Result<(), Error> {
    roll(stage, &restarted()).await
}

/// Gives the workload's container a variable of the environment, and follows the rollout that comes of it.
///
/// # Errors
/// [`Error::NoWorkload`], [`Error::RolloutStuck`], [`Error::Kubernetes`] and more.
pub async fn set_variable(stage: &Stage<'_>, name: &str, value: &str) -> Result<(), Error> {
    let variable = json!({"name": name, "value": value});
    roll(stage, &json!({"spec": {"containers": [{"name": WORKLOAD, "env": [variable]}]}})).await
}

/// Gives the workload's container an image that the nodes have, and follows the rollout that comes of it.
async fn set_image(stage: &Stage<'_>, image: &str) -> Result<(), Error> {
    roll(stage, &with_image(image)).await
}

/// Kills a component, and waits until the supervisor has brought it back.
async fn kill(cluster: &Cluster, component: &str) -> Result<(), Error> {
    let process = cluster::component_process(cluster, component)?;
    // A process that has just ended by itself is restarted all the same.
    process.signal_unless_ended(Signal::SIGKILL)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (restarts, state) = restarts(cluster, component)?;
        if restarts > process.restarts && state == State::Running {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = format!("{component} is {state:?} after {restarts} restarts");
            let what = format!("the return of {component}");
            return Err(Error::Deadline { what, seconds: PATIENCE.as_secs(), why });
        }
        sleep(REREAD).await;
    }
}

fn restarts(cluster: &Cluster, component: &str) -> Result<(u32, State), Error> {
    let status = cluster::component_status(cluster, component)?;
    Ok(status.map_or((0, State::Waiting), |status| (status.restarts, status.state)))
}

/// Stops a component, and lets it go on after `time`, whatever happens meanwhile.
async fn pause(cluster: &Cluster, component: &str, time: Duration) -> Result<(), Error> {
    let paused = Paused(cluster::component_process(cluster, component)?);
    paused.0.signal(Signal::SIGSTOP)?;
    sleep(time).await;
    // If something killed the process during the pause, the supervisor has started another one.
    Ok(paused.0.signal_unless_ended(Signal::SIGCONT)?)
}

/// Goes on when dropped: a run that is broken off must not leave a component stopped.
struct Paused(ComponentProcess);

impl Drop for Paused {
    fn drop(&mut self) {
        // To one that goes on already it means nothing.
        let _ = self.0.signal(Signal::SIGCONT);
    }
}
