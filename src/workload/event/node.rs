//! Events that affect a node.

use std::fmt;
use std::time::Duration;

use tokio::time::sleep;

use super::act::{EventContext, settle};
use super::cordon::Cordons;
use super::node_watch::{AffectedNode, NodeWatch};
use super::{Action, drain, nodes};
use crate::progress::Step;
use crate::shutdown;
use crate::workload::WorkloadError;
use crate::workload::scale::some;

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
}

impl NodeAction {
    /// Whether it adds or removes pods, or makes them not ready for a while.
    pub(super) fn changes_pods(self) -> bool {
        matches!(self, Self::Drain(_))
    }

    /// "drain lab-1, and uncordon it after 10 s".
    pub(super) fn describe(self, node: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(_) => write!(formatter, "drain {node}")?,
            Self::Cordon(_) => write!(formatter, "cordon {node}")?,
            Self::Uncordon => write!(formatter, "uncordon {node}")?,
        }
        match self {
            Self::Drain(Some(time)) | Self::Cordon(Some(time)) => {
                write!(formatter, ", and uncordon it after {} s", time.as_secs_f64())
            }
            _ => Ok(()),
        }
    }
}

/// Performs an action on a node, which is given by its name or its index.
pub(super) async fn perform(
    context: &EventContext<'_>,
    cordons: &Cordons,
    node: &str,
    action: &NodeAction,
) -> Result<AffectedNode, WorkloadError> {
    let node = nodes::find(&context.access.client, node).await?;
    let watch = NodeWatch::begin(context, node.clone()).await;
    let work = watch.during(act(context, cordons, &node, *action));
    let evicted = shutdown::unless(context.shutdown, Box::pin(work)).await??;
    Ok(AffectedNode { evicted, ..watch.end() })
}

/// Returns how many pods were evicted, if the action evicts any.
async fn act(
    context: &EventContext<'_>,
    cordons: &Cordons,
    node: &str,
    action: NodeAction,
) -> Result<Option<u64>, WorkloadError> {
    let step = context.progress.step(Action::Node(node.to_owned(), action).to_string());
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
    }
    step.done();
    Ok(None)
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
