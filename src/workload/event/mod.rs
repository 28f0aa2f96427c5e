//! Events: what is done to the workload, or to the cluster below it, while load runs.

mod act;
mod parse;
mod play;
mod pods;

use std::fmt;
use std::time::Duration;

pub use act::{Stage, drained, restart, set_variable};
pub use play::play;

use crate::config::Replicas;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Scale to so many pods.
    Scale(Replicas),
    /// Replace every pod by another of the same image.
    Restart,
    /// Replace every pod by one of this image, which the nodes have.
    NewImage(String),
    /// SIGKILL to the server in one pod's container.
    KillPod,
    /// Delete one pod, as a drain or a person would.
    DeletePod,
    /// SIGKILL to a component of the cluster.
    Kill(String),
    /// SIGSTOP to a component, and SIGCONT after this time.
    Pause(String, Duration),
}

/// An action, and when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Since the run began; none for a second after the one before is over, or two after the beginning.
    pub at: Option<Duration>,
    /// What is done.
    pub action: Action,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// When it began, since the run did.
    pub began: Duration,
    /// When it was over: the pods ready and the rules in place, the component back.
    pub over: Duration,
    /// What, in a few words: "scale to 10 pods".
    pub what: String,
    /// Whether pods came or went, or took part no more for a while.
    pub changes_pods: bool,
    /// Why it did not come to its end.
    pub trouble: Option<String>,
}

impl Action {
    /// The component it happens to.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        match self {
            Self::Kill(component) | Self::Pause(component, _) => Some(component),
            _ => None,
        }
    }

    /// Whether pods come or go by it, or take part no more for a while.
    #[must_use]
    pub fn changes_pods(&self) -> bool {
        !matches!(self, Self::Kill(_) | Self::Pause(..))
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
        }
    }
}
