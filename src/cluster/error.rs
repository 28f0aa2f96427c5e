//! Errors of the cluster.

use std::path::PathBuf;

use thiserror::Error;

use crate::config::StateIsFile;
use crate::io_error::IoError;
use crate::kubernetes_error::KubernetesError;
use crate::process::{ProgramError, indented};
use crate::shutdown::Interrupted;
use crate::toolbox::ToolboxError;

/// Why a cluster could not be booted, reached or removed. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No cluster of that name runs.
    #[error("no lab is up")]
    NoLab,
    /// A lab is there whose `up` is still at work, or was broken off.
    #[error("the lab's boot has not come to its end")]
    NotBooted,
    /// A lab of that name runs, but its state is not in the state directory that was asked for.
    #[error("the lab {name:?} runs with its state in {}, not in {}", running.display(), asked.display())]
    StateElsewhere {
        /// The lab.
        name: String,
        /// The state directory of the lab that runs.
        running: PathBuf,
        /// The state directory that was asked for.
        asked: PathBuf,
    },
    /// A lab of that name runs, but its processes belong to another PID namespace.
    #[error("the lab {name:?} runs, but its processes cannot be seen from this PID namespace")]
    HiddenLab {
        /// The lab.
        name: String,
    },
    /// Something that only the nodes themselves can tell or do, in a cluster of which only the API server can be reached.
    #[error("{what} needs access to the cluster's nodes, but only its API server can be reached")]
    NoDataPlane {
        /// What was to be done: "kill etcd".
        what: String,
    },
    /// There is no component of that name.
    #[error("there is no component {given:?}; the components are: {}", components.join(", "))]
    UnknownComponent {
        /// The name that was asked for.
        given: String,
        /// The names of all components.
        components: Vec<String>,
    },
    /// A component of the cluster died or never became ready.
    #[error("{component} {what}{}", indented(tail))]
    Component {
        /// The component.
        component: String,
        /// "exited with code 1 while starting", "was not ready after 30 s (connection refused)".
        what: String,
        /// The last lines of its log.
        tail: String,
        /// The whole log.
        log: PathBuf,
    },
    /// The machine has too little memory free for a cluster.
    #[error("a lab needs {needed} MB of memory, and this machine has {free} MB free")]
    LittleMemory {
        /// In megabytes, swap included.
        free: u64,
        /// In megabytes.
        needed: u64,
    },
    /// An image is larger than what a node has room for.
    #[error("the image {image} does not fit into the node's memory, which holds its images: {why}")]
    ImageTooLarge {
        /// Its reference.
        image: String,
        /// Both sizes, or when it was noticed.
        why: String,
    },
    /// The node that was booted answers inside, but not to this machine.
    #[error("this machine does not reach the lab's node at {address}, though its API server is ready: {why}")]
    Unreachable {
        /// Address and port.
        address: String,
        /// What became of the attempt, and what may be in the way.
        why: String,
        /// The lab's link on this machine.
        link: String,
    },
    /// The host already uses an address, link or name of the lab's.
    #[error("the lab's {what} is taken on this machine: {by}")]
    Taken {
        /// The address range, link or name.
        what: String,
        /// What holds it.
        by: String,
    },
    /// The kubeconfig cannot be used.
    #[error("the lab's kubeconfig {} cannot be used: {why}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Parts of the lab are still there after `down`.
    #[error("parts of the lab could not be removed: {}", left.join("; "))]
    Residue {
        /// Each with the reason.
        left: Vec<String>,
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
    /// A file stands where the state directory must be.
    #[error(transparent)]
    StateIsFile(#[from] StateIsFile),
    /// The toolbox, or the kernel, lacks something.
    #[error(transparent)]
    Toolbox(#[from] ToolboxError),
}

impl ClusterError {
    /// Whether Ctrl-C, or a signal of its kind, ended the work.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted(_) | Self::Toolbox(ToolboxError::Interrupted(_)))
    }
}
