//! Events that affect a component: it is killed or paused.

use std::fmt;
use std::time::Duration;

use futures::future::try_join_all;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::cluster::{self, Cluster, ComponentProcess, ComponentState};
use crate::config::{LEASE_SECONDS, NODE_GRACE_SECONDS};
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
    until_restarted(cluster, component, process.restarts).await
}

/// Waits until the supervisor has started a component again, which it had started again `before` times.
async fn until_restarted(cluster: &Cluster, component: &ComponentRef, before: u32) -> Result<(), WorkloadError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (restarts, state) = component.restarts(cluster)?;
        if restarts > before && state == ComponentState::Running {
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
    pause_all(cluster, std::slice::from_ref(component), time).await
}

/// The components of the control plane, in the order in which they are paused.
const CONTROL_PLANE: [&str; 4] = ["kube-scheduler", CONTROLLER_MANAGER, "kube-apiserver", "etcd"];
const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// Kills every component of the control plane, and waits until the supervisor has restarted all of them.
pub(super) async fn kill_control_plane(cluster: &Cluster) -> Result<(), WorkloadError> {
    let components = CONTROL_PLANE.map(ComponentRef::named);
    try_join_all(components.iter().map(|component| kill(cluster, component))).await.map(drop)
}

/// Pauses every component of the control plane for `time`.
pub(super) async fn pause_control_plane(cluster: &Cluster, time: Duration) -> Result<(), WorkloadError> {
    pause_all(cluster, &CONTROL_PLANE.map(ComponentRef::named), time).await
}

async fn pause_all(cluster: &Cluster, components: &[ComponentRef], time: Duration) -> Result<(), WorkloadError> {
    let mut paused =
        components.iter().map(|component| Paused::begin(cluster, component)).collect::<Result<Vec<_>, _>>()?;
    let rest = rest_without_leases(cluster, time).filter(|_| components.iter().any(holds_leases_up));
    let mut ended = None;
    if let Some(rest) = rest {
        sleep(time.saturating_sub(rest)).await;
        // What it sends from now on would be carried out after the pause.
        paused.push(Paused::begin(cluster, &ComponentRef::named(CONTROLLER_MANAGER))?);
        sleep(rest).await;
        ended = Some(end_leadership(cluster)?);
    } else {
        sleep(time).await;
    }
    // If something killed a process during the pause, the supervisor has started another one.
    paused.iter().try_for_each(|paused| paused.0.signal_unless_ended(Signal::SIGCONT))?;
    match ended {
        Some(before) => until_restarted(cluster, &ComponentRef::named(CONTROLLER_MANAGER), before).await,
        None => Ok(()),
    }
}

/// Whether kubelets cannot renew the leases of their nodes, or the controller manager does not see that they do, while this
/// component is paused.
fn holds_leases_up(component: &ComponentRef) -> bool {
    matches!(component.name.as_str(), "etcd" | "kube-apiserver" | CONTROLLER_MANAGER)
}

/// Kills the controller manager at the end of a pause in which leases of nodes expired, before anything else runs again. Returns how
/// often it had been started again before.
///
/// It would take every node for dead, since it sees old leases first. Where several controller managers elect a leader, as they do in
/// most clusters, this does not happen: one that could not renew its own lease ends, and its successor gives each node the whole time
/// again (`leaseDuration` and `renewDeadline` of client-go's leader election are shorter than the time until a node counts as dead).
pub(super) fn end_leadership(cluster: &Cluster) -> Result<u32, WorkloadError> {
    let process = ComponentRef::named(CONTROLLER_MANAGER).process(cluster)?;
    process.signal_unless_ended(Signal::SIGKILL)?;
    Ok(process.restarts)
}

/// The part of a pause that remains when leases of nodes may have expired; `None` if they cannot expire.
pub(super) fn rest_without_leases(cluster: &Cluster, paused: Duration) -> Option<Duration> {
    paused.checked_sub(longest_pause(cluster.nodes.len()))
}

/// The pause after which leases may have expired: the age of the oldest lease is then the pause and the time between two renewals.
fn longest_pause(nodes: usize) -> Duration {
    let (grace, lease) = if nodes > 1 { (NODE_GRACE_SECONDS, LEASE_SECONDS) } else { DEFAULT_TIMES };
    Duration::from_secs(u64::from(grace - lease / 4) - 1)
}

/// Kubernetes' own times, in seconds, until a silent node is not Ready and for which a node's lease is valid.
const DEFAULT_TIMES: (u32, u32) = (50, 40);

/// The name of the node whose component it is.
pub(super) fn node_of(cluster: &Cluster, component: &ComponentRef) -> Result<String, WorkloadError> {
    match &component.node {
        Some(node) => Ok(node.clone()),
        None => Ok(component.process(cluster)?.node),
    }
}

/// A paused component. Dropped, it continues, so that an interrupted run leaves no component paused.
struct Paused(ComponentProcess);

impl Paused {
    fn begin(cluster: &Cluster, component: &ComponentRef) -> Result<Self, WorkloadError> {
        let paused = Self(component.process(cluster)?);
        paused.0.signal(Signal::SIGSTOP)?;
        Ok(paused)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // The signal has no effect on a process that runs.
        let _ = self.0.signal(Signal::SIGCONT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_expire_sooner_in_a_lab_of_several_nodes() {
        assert_eq!([1, 3].map(longest_pause), [39, 7].map(Duration::from_secs));
    }
}
