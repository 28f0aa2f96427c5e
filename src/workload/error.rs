//! Errors of the workload.

use std::path::PathBuf;

use thiserror::Error;

use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::kubernetes_error::KubernetesError;
use crate::process::ProgramError;
use crate::shutdown::Interrupted;

/// Why something was not done with the workload. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum WorkloadError {
    /// A lab runs, but nothing is deployed in it.
    #[error("nothing is deployed in the lab")]
    NoWorkload,
    /// There is no pod of that name.
    #[error("there is no pod {given:?}; {}", existing(pods))]
    UnknownPod {
        /// The name that was asked for.
        given: String,
        /// The names of all pods of the workload.
        pods: Vec<String>,
    },
    /// A load test's target is neither the lab, nor loopback, nor named by the explicit flag.
    #[error("{target} is not the lab's: traffic to it would leave through {via}, so no load was sent")]
    ForeignTarget {
        /// The address that was asked for.
        target: String,
        /// Where its route leads.
        via: String,
    },
    /// Components that died so often, one death after the other, that they are not started again.
    #[error("{} died too often to be started again", components.join(" and "))]
    GivenUp {
        /// Their names, each with how it last ended: "kubelet (exit 1)".
        components: Vec<String>,
        /// The first one's name: its log is looked at first.
        first: String,
    },
    /// Something did not happen before its deadline.
    #[error("{what} did not happen within {seconds} s: {why}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// How far it got.
        why: String,
    },
    /// A rollout cannot succeed.
    #[error("the pods cannot start: {reason}")]
    RolloutStuck {
        /// The reason as Kubernetes tells it, with the pod's name.
        reason: String,
    },
    /// A manifest of the workload is not what the lab can deploy.
    #[error("the manifest {} cannot be used: {why}", file.display())]
    Manifest {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Kubernetes refused something, or did not respond.
    #[error(transparent)]
    Kubernetes(#[from] KubernetesError),
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Ctrl-C, or a signal of its kind. What had begun has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The cluster failed, or cannot be reached.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl WorkloadError {
    /// Whether Ctrl-C, or a signal of its kind, ended the work.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Interrupted(_) => true,
            Self::Cluster(error) => error.is_interrupted(),
            _ => false,
        }
    }
}

fn existing(pods: &[String]) -> String {
    if pods.is_empty() { "there is none".to_owned() } else { format!("the pods are: {}", pods.join(", ")) }
}
