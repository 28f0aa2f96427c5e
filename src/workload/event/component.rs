//! Events that affect a component: it is killed or paused.

use std::fmt;
use std::time::Duration;

use futures::future::try_join_all;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::cluster::{self, Cluster, ComponentProcess, ComponentState};
use crate::workload::WorkloadError;

/// How often the supervisor's status of a component is read.
const REREAD: Duration = Duration::from_millis(20);
/// How long a killed component may take to run again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A component, and the node whose component is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentRef {
    /// Its name: `kubelet`.
    pub name: String,
    /// The node, by its name or its index; `None`: the first node that has the component.
    pub node: Option<String>,
}

impl ComponentRef {
    /// The component of this name on the first node that has it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), node: None }
    }

    /// Parses `kubelet` and `kubelet@lab-1`; `None` where a part is empty.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, node) = text.split_once('@').map_or((text, None), |(name, node)| (name, Some(node)));
        let (name, node) = (name.trim(), node.map(str::trim));
        let is_whole = !name.is_empty() && node != Some("");
        is_whole.then(|| Self { name: name.to_owned(), node: node.map(str::to_owned) })
    }

    fn process(&self, cluster: &Cluster) -> Result<ComponentProcess, WorkloadError> {
        Ok(cluster::component_process_on(cluster, &self.name, self.node.as_deref())?)
    }

    fn restarts(&self, cluster: &Cluster) -> Result<(u32, ComponentState), WorkloadError> {
        let status = cluster::component_status(cluster, &self.name, self.node.as_deref())?;
        Ok(status.map_or((0, ComponentState::Waiting), |status| (status.restarts, status.state)))
    }
}

impl fmt::Display for ComponentRef {
    /// "kubelet", "kubelet on lab-1".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        self.node.iter().try_for_each(|node| write!(formatter, " on {node}"))
    }
}

/// Kills a component, and waits until the supervisor has restarted it.
pub(super) async fn kill(cluster: &Cluster, component: &ComponentRef) -> Result<(), WorkloadError> {
    let process = component.process(cluster)?;
    // A process that has just ended by itself is restarted, too.
    process.signal_unless_ended(Signal::SIGKILL)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (restarts, state) = component.restarts(cluster)?;
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

/// Pauses a component for `time`.
pub(super) async fn pause(cluster: &Cluster, component: &ComponentRef, time: Duration) -> Result<(), WorkloadError> {
    let paused = Paused(component.process(cluster)?);
    paused.0.signal(Signal::SIGSTOP)?;
    sleep(time).await;
    // If something killed the process during the pause, the supervisor has started another one.
    Ok(paused.0.signal_unless_ended(Signal::SIGCONT)?)
}

/// The components of the control plane, in the order in which they are paused.
const CONTROL_PLANE: [&str; 4] = ["kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"];

/// Kills every component of the control plane, and waits until the supervisor has restarted all of them.
pub(super) async fn kill_control_plane(cluster: &Cluster) -> Result<(), WorkloadError> {
    let components = CONTROL_PLANE.map(ComponentRef::named);
    try_join_all(components.iter().map(|component| kill(cluster, component))).await.map(drop)
}

/// Pauses every component of the control plane for `time`.
pub(super) async fn pause_control_plane(cluster: &Cluster, time: Duration) -> Result<(), WorkloadError> {
    let components = CONTROL_PLANE.map(ComponentRef::named);
    try_join_all(components.iter().map(|component| pause(cluster, component, time))).await.map(drop)
}

/// The name of the node whose component it is.
pub(super) fn node_of(cluster: &Cluster, component: &ComponentRef) -> Result<String, WorkloadError> {
    match &component.node {
        Some(node) => Ok(node.clone()),
        None => Ok(component.process(cluster)?.node),
    }
}

/// A paused component. Dropped, it continues, so that an interrupted run leaves no component paused.
struct Paused(ComponentProcess);

impl Drop for Paused {
    fn drop(&mut self) {
        // The signal has no effect on a process that runs.
        let _ = self.0.signal(Signal::SIGCONT);
    }
}
