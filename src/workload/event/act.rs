//! Performs an event's action, and waits until it is over.

use serde_json::{Value, json};

use super::cordon::Cordons;
use super::node_watch::{AffectedNode, NodeWatch};
use super::slow_pod::{self, SlowedPod};
use super::{Action, ComponentRef, component, node, node_addition, pods};
use crate::cluster::{Access, Cluster};
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::workload::WorkloadError;
use crate::workload::pod_template::patch;
use crate::workload::subject::Subject;
use crate::workload::{rollout, scale};
use evenkeel_load::PodWatches;

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

/// What an action affected.
#[derive(Default)]
pub(super) struct Affected {
    /// The pod that it made slow.
    pub(super) slowed: Option<SlowedPod>,
    /// The node that it acted on.
    pub(super) node: Option<AffectedNode>,
}

impl From<AffectedNode> for Affected {
    fn from(node: AffectedNode) -> Self {
        Self { node: Some(node), ..Self::default() }
    }
}

/// Performs the action, and returns what it affected. `turn` counts the events, so that each event that affects one pod picks
/// another pod.
pub(super) async fn perform(
    context: &EventContext<'_>,
    cordons: &Cordons,
    action: &Action,
    turn: usize,
) -> Result<Affected, WorkloadError> {
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
            return Ok(Affected { slowed: Some(slowed), ..Affected::default() });
        }
        Action::Kill(component) => {
            let cluster = access.require_lab(&action.to_string())?;
            let killing = component::kill(cluster, component);
            return on_component(context, cluster, action, component, killing).await;
        }
        Action::Pause(component, time) => {
            let cluster = access.require_lab(&action.to_string())?;
            let pausing = Box::pin(component::pause(cluster, component, *time));
            return on_component(context, cluster, action, component, pausing).await;
        }
        Action::KillControlPlane => {
            let cluster = access.require_lab(&action.to_string())?;
            let killing = component::kill_control_plane(cluster);
            return watched(context, action, cluster.first().node.name.clone(), killing).await;
        }
        Action::PauseControlPlane(time) => {
            let cluster = access.require_lab(&action.to_string())?;
            let pausing = Box::pin(component::pause_control_plane(cluster, *time));
            return watched(context, action, cluster.first().node.name.clone(), pausing).await;
        }
        Action::AddNode => {
            let step = progress.step(action.to_string());
            Box::pin(node_addition::add(context, &action.to_string())).await?;
            step.done();
        }
        Action::Node(node, action) => {
            return Ok(Box::pin(node::perform(context, cordons, node, *action)).await?.into());
        }
    }
    Ok(Affected::default())
}

/// Performs an action on a component, and watches its node meanwhile.
async fn on_component(
    context: &EventContext<'_>,
    cluster: &Cluster,
    action: &Action,
    component: &ComponentRef,
    work: impl Future<Output = Result<(), WorkloadError>>,
) -> Result<Affected, WorkloadError> {
    watched(context, action, component::node_of(cluster, component)?, work).await
}

/// Performs an action, and watches a node meanwhile.
async fn watched(
    context: &EventContext<'_>,
    action: &Action,
    node: String,
    work: impl Future<Output = Result<(), WorkloadError>>,
) -> Result<Affected, WorkloadError> {
    let step = context.progress.step(action.to_string());
    let watch = NodeWatch::begin(context, node).await;
    shutdown::unless(context.shutdown, watch.during(work)).await??;
    step.done();
    Ok(watch.end().into())
}

pub(super) async fn settle(context: &EventContext<'_>) -> Result<(), WorkloadError> {
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
