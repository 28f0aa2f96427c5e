//! Events that affect a node.

use std::fmt;
use std::time::Duration;

use tokio::time::sleep;

use super::act::{EventContext, settle};
use super::component::{end_leadership, rest_without_leases};
use super::cordon::Cordons;
use super::node_watch::{AffectedNode, NodeWatch};
use super::{Action, node_addition, node_death};
use crate::cluster::{ClusterError, DelayedNode, FaultyNode, NodeFault, RunningNode};
use crate::progress::Step;
use crate::shutdown;
use crate::workload::WorkloadError;
use crate::workload::scale::some;
use crate::workload::{drain, nodes};

/// An action on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAction {
    /// Cordon it, and evict its pods, as `kubectl drain --ignore-daemonsets --delete-emptydir-data` does; uncordon it after this
    /// time.
    Drain(Option<Duration>),
    /// Let no new pod be scheduled there; uncordon it after this time.
    Cordon(Option<Duration>),
    /// Let pods be scheduled there again.
    Uncordon,
    /// Remove it from the lab, as `evenkeel node remove` does.
    Remove,
    /// SIGKILL to all of its processes; start it again after this time.
    Kill(Option<Duration>),
    /// SIGKILL to all of its processes, and start it again.
    Restart,
    /// A fault for this time.
    Fault(NodeFault, Duration),
    /// Every packet that leaves it is held back so long, for this time.
    Delay(Duration, Duration),
}

impl NodeAction {
    /// Whether it adds or removes pods, or makes them not ready for a while.
    pub(super) fn changes_pods(self) -> bool {
        matches!(self, Self::Drain(_) | Self::Remove | Self::Kill(_) | Self::Restart)
    }

    /// Whether it acts on the node's processes or its link.
    pub(super) fn needs_node(self) -> bool {
        !matches!(self, Self::Drain(_) | Self::Cordon(_) | Self::Uncordon)
    }

    /// "drain lab-1, and uncordon it after 10 s".
    pub(super) fn describe(self, node: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = |formatter: &mut fmt::Formatter<'_>, what: &str, time: Option<Duration>| {
            time.iter().try_for_each(|time| write!(formatter, ", and {what} it after {} s", time.as_secs_f64()))
        };
        match self {
            Self::Drain(time) => {
                write!(formatter, "drain {node}")?;
                after(formatter, "uncordon", time)
            }
            Self::Cordon(time) => {
                write!(formatter, "cordon {node}")?;
                after(formatter, "uncordon", time)
            }
            Self::Uncordon => write!(formatter, "uncordon {node}"),
            Self::Remove => write!(formatter, "remove {node}"),
            Self::Kill(time) => {
                write!(formatter, "kill node {node}")?;
                after(formatter, "start", time)
            }
            Self::Restart => write!(formatter, "restart node {node}"),
            Self::Fault(NodeFault::Paused, time) => write!(formatter, "pause node {node} for {} s", time.as_secs_f64()),
            Self::Fault(NodeFault::Partitioned, time) => {
                write!(formatter, "partition {node} for {} s", time.as_secs_f64())
            }
            Self::Fault(NodeFault::Lossy(per_mille), time) => {
                let percent = f64::from(per_mille) / 10.0;
                write!(formatter, "lose {percent}% of the packets of {node} for {} s", time.as_secs_f64())
            }
            Self::Delay(delay, time) => {
                let millis = delay.as_secs_f64() * 1000.0;
                write!(formatter, "delay {node} by {millis} ms for {} s", time.as_secs_f64())
            }
        }
    }
}

/// Performs an action on a node, which is given by its name or its index.
pub(super) async fn perform(
    context: &EventContext<'_>,
    cordons: &Cordons,
    node: &str,
    action: NodeAction,
) -> Result<AffectedNode, WorkloadError> {
    let node = nodes::find(&context.access.client, node).await?;
    let watch = NodeWatch::begin(context, node.clone()).await;
    let work = watch.during(act(context, cordons, &watch, &node, action));
    let evicted = shutdown::unless(context.shutdown, Box::pin(work)).await??;
    Ok(AffectedNode { evicted, ..watch.end() })
}

/// Returns how many pods were evicted, if the action evicts any.
async fn act(
    context: &EventContext<'_>,
    cordons: &Cordons,
    watch: &NodeWatch<'_>,
    node: &str,
    action: NodeAction,
) -> Result<Option<u64>, WorkloadError> {
    let what = Action::Node(node.to_owned(), action).to_string();
    let step = context.progress.step(&what);
    match action {
        NodeAction::Drain(time) => return drained(context, cordons, node, time, step).await.map(Some),
        NodeAction::Cordon(time) => {
            let is_new = cordons.cordon(context.access, node).await?;
            if let Some(time) = time {
                sleep(time).await;
                cordons.uncordon_if(is_new, context.access, node).await?;
            }
        }
        NodeAction::Uncordon => cordons.uncordon(context.access, node).await?,
        NodeAction::Remove => Box::pin(node_addition::remove(context, node, &what)).await?,
        NodeAction::Kill(None) => {
            node_death::kill(context, node)?;
            watch.until_noticed().await?;
        }
        NodeAction::Kill(Some(time)) => {
            let killed = node_death::kill(context, node)?;
            sleep(time).await;
            node_death::start(context, watch, &killed).await?;
        }
        NodeAction::Restart => {
            let killed = node_death::kill_if_running(context, node)?;
            node_death::start(context, watch, &killed).await?;
        }
        NodeAction::Fault(fault, time) => {
            let cluster = context.access.require_lab(&what)?;
            let faulty = FaultyNode::begin(cluster, node, fault)?;
            sleep(time).await;
            let stops_leases = fault == NodeFault::Paused && cluster.first().node.name == node;
            if stops_leases && rest_without_leases(cluster, time).is_some() {
                end_leadership(cluster)?;
            }
            faulty.end()?;
            watch.until_ready().await?;
            settle(context).await?;
            watch.read_route().await;
        }
        NodeAction::Delay(delay, time) => {
            let (nodes, toolbox) = context.access.require_kernels(&what)?;
            let running = running(&nodes, node)?;
            let delayed = DelayedNode::begin(running, toolbox, delay).await?;
            sleep(time).await;
            delayed.end().await?;
        }
    }
    step.done();
    Ok(None)
}

/// The sandbox of a node.
pub(super) fn running<'a>(nodes: &'a [RunningNode], name: &str) -> Result<&'a RunningNode, WorkloadError> {
    let found = nodes.iter().find(|running| running.node.name == name);
    Ok(found.ok_or_else(|| ClusterError::NodeIsDown { node: name.to_owned() })?)
}

/// Drains a node, and uncordons it after `time`; returns how many pods were evicted.
async fn drained(
    context: &EventContext<'_>,
    cordons: &Cordons,
    node: &str,
    time: Option<Duration>,
    step: Step,
) -> Result<u64, WorkloadError> {
    let access = context.access;
    let is_last = nodes::is_last_schedulable(&access.client, node).await?;
    if is_last {
        context.progress.note(last_node(node));
    }
    let is_new = cordons.cordon(access, node).await?;
    let work = async {
        let evicted = drain::evict_all(&access.client, node, is_last, &step).await?;
        step.done_with(format!("{} evicted", some(usize::try_from(evicted).unwrap_or(usize::MAX), "pod")));
        if !is_last {
            settle(context).await?;
        }
        if let Some(time) = time {
            sleep(time).await;
        }
        Ok(evicted)
    };
    let drained = work.await;
    if time.is_some() {
        cordons.uncordon_if(is_new, access, node).await?;
        if is_last && drained.is_ok() {
            settle(context).await?;
        }
    }
    drained
}

/// What follows from draining the last node.
fn last_node(node: &str) -> String {
    format!(
        "no other node than {node} can run pods: the pods that are evicted stay pending until a node is uncordoned, and their \
         Services lose their endpoints; a PodDisruptionBudget may refuse the eviction of the others"
    )
}
