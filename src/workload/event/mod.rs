//! Events: actions on the workload or on the cluster while load runs.

mod act;
mod check;
mod component;
mod cordon;
mod node;
mod node_addition;
mod node_death;
mod node_watch;
mod parse;
mod parse_node;
mod play;
mod pods;
mod slow_pod;

use std::fmt;
use std::time::Duration;

pub use act::{EventContext, drained, restart, set_variable};
pub use check::{check, check_reach};
pub use component::ComponentRef;
pub use cordon::undo_cordons;
pub use node::NodeAction;
pub use node_watch::{Absence, AffectedNode};
pub use play::play;
pub use slow_pod::SlowedPod;

use crate::config::Replicas;
use crate::workload::rights::Activity;

/// An action on the workload, on a component or on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Scale to this number of pods.
    Scale(Replicas),
    /// Replace every pod by a new one with the same image.
    Restart,
    /// Replace every pod by one with this image, which the nodes must have.
    NewImage(String),
    /// SIGKILL to the server in one pod's container.
    KillPod,
    /// Delete one pod, as `kubectl delete pod` does.
    DeletePod,
    /// SIGKILL to a component of the cluster.
    Kill(ComponentRef),
    /// SIGSTOP to a component, and SIGCONT after this time.
    Pause(ComponentRef, Duration),
    /// Make one pod slow for this time.
    SlowPod(Slowdown, Duration),
    /// SIGKILL to every component of the control plane.
    KillControlPlane,
    /// SIGSTOP to every component of the control plane, and SIGCONT after this time.
    PauseControlPlane(Duration),
    /// Add a node to the lab.
    AddNode,
    /// An action on a node, which is given by its name or its index.
    Node(String, NodeAction),
}

/// How a pod is made slow. Its other containers are left alone, except that they share its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slowdown {
    /// To this percentage of one CPU, by its cgroup's quota.
    Throttle(u8),
    /// SIGSTOP to its processes, and SIGCONT.
    Pause,
    /// Every packet that its pod sends is held back for this time.
    Delay(Duration),
}

/// An action that is planned for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When it begins, since the start of the run. `None` means one second after the end of the previous action, or two
    /// seconds after the start of the run.
    pub at: Option<Duration>,
    /// The action.
    pub action: Action,
}

/// An action that was performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// When it began, since the start of the run.
    pub began: Duration,
    /// When it was over, since the start of the run: the pods were ready and the rules programmed, or the component ran again.
    pub over: Duration,
    /// The action in a few words: "scale to 10 pods".
    pub what: String,
    /// Whether pods were added or removed, or were not ready for a while.
    pub changes_pods: bool,
    /// Why it failed.
    pub trouble: Option<String>,
    /// The pod that it made slow.
    pub slowed: Option<SlowedPod>,
    /// The node that it acted on.
    pub node: Option<AffectedNode>,
}

impl Action {
    /// The component that it acts on.
    #[must_use]
    pub fn component(&self) -> Option<&ComponentRef> {
        match self {
            Self::Kill(component) | Self::Pause(component, _) => Some(component),
            _ => None,
        }
    }

    /// The node that is given for it, by its name or its index.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Node(node, _) => Some(node),
            _ => self.component()?.node.as_deref(),
        }
    }

    /// The same action, on the node of this name.
    #[must_use]
    fn on_node(mut self, name: String) -> Self {
        match &mut self {
            Self::Node(node, _) => *node = name,
            Self::Kill(component) | Self::Pause(component, _) => component.node = Some(name),
            _ => {}
        }
        self
    }

    /// Whether it adds or removes pods, or makes them not ready for a while. A slow pod may stay ready, and so may the pods of
    /// a node.
    #[must_use]
    pub fn changes_pods(&self) -> bool {
        match self {
            Self::Kill(_)
            | Self::Pause(..)
            | Self::KillControlPlane
            | Self::PauseControlPlane(_)
            | Self::AddNode
            | Self::SlowPod(..) => false,
            Self::Node(_, action) => action.changes_pods(),
            _ => true,
        }
    }

    /// What it does through the API server; `None` if it acts on the nodes' processes.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        match self {
            Self::Scale(_) => Some(Activity::Scale),
            Self::Restart | Self::NewImage(_) => Some(Activity::Rollout),
            Self::DeletePod => Some(Activity::DeletePod),
            Self::Node(_, NodeAction::Drain(_)) => Some(Activity::Drain),
            Self::Node(_, NodeAction::Cordon(_) | NodeAction::Uncordon) => Some(Activity::Cordon),
            _ => None,
        }
    }

    /// Whether it acts on the nodes' processes, which is only possible in a lab on this machine.
    #[must_use]
    pub fn needs_nodes(&self) -> bool {
        match self {
            Self::KillPod
            | Self::Kill(_)
            | Self::Pause(..)
            | Self::KillControlPlane
            | Self::PauseControlPlane(_)
            | Self::AddNode
            | Self::SlowPod(..) => true,
            Self::Node(_, action) => action.needs_node(),
            _ => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale(replicas) if replicas.get() == 1 => write!(formatter, "scale to 1 pod"),
            Self::Scale(replicas) => write!(formatter, "scale to {replicas} pods"),
            Self::Restart => write!(formatter, "rolling restart"),
            Self::NewImage(_) => write!(formatter, "roll out a new image"),
            Self::KillPod => write!(formatter, "kill a pod's server"),
            Self::DeletePod => write!(formatter, "delete a pod"),
            Self::Kill(component) => write!(formatter, "kill {component}"),
            Self::Pause(component, time) => write!(formatter, "pause {component} for {} s", time.as_secs_f64()),
            Self::SlowPod(how, time) => write!(formatter, "{how} for {} s", time.as_secs_f64()),
            Self::KillControlPlane => write!(formatter, "kill the control plane"),
            Self::PauseControlPlane(time) => write!(formatter, "pause the control plane for {} s", time.as_secs_f64()),
            Self::AddNode => write!(formatter, "add a node"),
            Self::Node(node, action) => action.describe(node, formatter),
        }
    }
}

impl fmt::Display for Slowdown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttle(percent) => write!(formatter, "throttle a pod to {percent}% of a CPU"),
            Self::Pause => write!(formatter, "pause a pod"),
            Self::Delay(delay) => write!(formatter, "delay a pod by {} ms", delay.as_secs_f64() * 1000.0),
        }
    }
}
