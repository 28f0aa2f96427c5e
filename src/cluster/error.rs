//! Errors of the cluster.

use std::path::PathBuf;

use thiserror::Error;

use crate::cluster::LinkChanges;
use crate::config::StateIsFile;
use crate::io_error::IoError;
use crate::process::{ProgramError, indented};
use crate::shutdown::Interrupted;

/// Why a cluster could not be booted, reached or removed. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No cluster of that name runs.
    #[error("no lab is up")]
    NoLab,
    /// A lab exists whose `up` is still running or was interrupted.
    #[error("the lab has not finished booting")]
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
    /// An operation needs the nodes of a cluster, but only the API server can be reached.
    #[error("{what} needs access to the cluster's nodes, but only its API server can be reached")]
    NoDataPlane {
        /// The operation: "kill etcd".
        what: String,
    },
    /// The kernel cannot hold packets back.
    #[error("this machine cannot delay packets: {why}")]
    NoPacketDelay {
        /// What it lacks.
        why: String,
    },
    /// There is no component of that name.
    #[error("there is no component {given:?}; the components are: {}", components.join(", "))]
    UnknownComponent {
        /// The name that was asked for.
        given: String,
        /// The names of all components.
        components: Vec<String>,
    },
    /// The node does not have this component, which other nodes have.
    #[error("the node {node} has no component {component}; its components are: {}", components.join(", "))]
    NotOnNode {
        /// The component that was asked for.
        component: String,
        /// The name of the node.
        node: String,
        /// The names of its components.
        components: Vec<String>,
    },
    /// The node does not run.
    #[error("the node {node} does not run")]
    NodeIsDown {
        /// Its name.
        node: String,
    },
    /// The first node cannot be killed.
    #[error("the node {node} has the control plane, whose data would be lost with its processes")]
    ControlPlaneNode {
        /// Its name.
        node: String,
    },
    /// An operation needs the router of a lab of several nodes.
    #[error("{what} needs a lab of several nodes: this one has no router to which the node is linked")]
    NoRouter {
        /// The operation: "partition lab-0 for 10 s".
        what: String,
    },
    /// A component of the cluster exited or did not become ready.
    #[error("{component} {what}{}", indented(tail))]
    Component {
        /// The component.
        component: String,
        /// What happened: "exited with code 1 while starting", "was not ready after 30 s (connection refused)".
        what: String,
        /// The last lines of its log.
        tail: String,
        /// The file with the whole log.
        log: PathBuf,
    },
    /// Programs do not know flags that the lab passes to them, or do not start with them.
    #[error("programs refuse flags that the lab passes to them: {}", refused.join("; "))]
    RefusedFlags {
        /// Each with the words of the program: "kube-apiserver (unknown flag: --profiling)".
        refused: Vec<String>,
        /// The minor version of Kubernetes whose flags the lab passes.
        kubernetes: String,
    },
    /// The machine does not have enough free memory for a cluster.
    #[error("a lab needs {needed} MB of memory, and this machine has {free} MB free")]
    LittleMemory {
        /// In megabytes, swap included.
        free: u64,
        /// In megabytes.
        needed: u64,
    },
    /// An image is larger than the free memory for the images of a node.
    #[error("the image {image} does not fit into the node's memory, which holds its images: {why}")]
    ImageTooLarge {
        /// Its reference.
        image: String,
        /// Both sizes, or the step that failed.
        why: String,
    },
    /// The API server is ready inside the sandbox, but this machine cannot connect to it.
    #[error("this machine cannot reach the lab's node at {address}, although its API server is ready: {why}")]
    Unreachable {
        /// Address and port.
        address: String,
        /// The error of the attempt, and what may block the connection.
        why: String,
        /// The lab's link on this machine.
        link: String,
    },
    /// Another program removed the lab's address from the lab's link on this machine.
    #[error("{0}")]
    LinkChanged(LinkChanges),
    /// The machine already uses an address, link or name that the lab needs.
    #[error("the lab's {what} is already in use on this machine: {by}")]
    Taken {
        /// The address range, link or name.
        what: String,
        /// What uses it.
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
    /// A kubeconfig of a cluster that is no lab cannot be used.
    #[error("the kubeconfig {from} cannot be used: {why}")]
    ForeignKubeconfig {
        /// The file, or the files of the variable.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no context of that name.
    #[error("there is no context {given:?} in {from}; the contexts are: {}", if contexts.is_empty() { "none".to_owned() } else { contexts.join(", ") })]
    UnknownContext {
        /// The name that was asked for.
        given: String,
        /// The file, or the files of the variable.
        from: String,
        /// The names of all contexts.
        contexts: Vec<String>,
    },
    /// The API server of a cluster that is no lab does not answer.
    #[error("the cluster of context {context} cannot be reached at {server}: {why}")]
    ForeignUnreachable {
        /// The context.
        context: String,
        /// The URL of the API server.
        server: String,
        /// Why not.
        why: String,
    },
    /// `down` could not remove all parts of the lab.
    #[error("parts of the lab could not be removed: {}", left.join("; "))]
    Residue {
        /// Each with the reason.
        left: Vec<String>,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Ctrl-C or a termination signal. What was started has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The state directory is a file.
    #[error(transparent)]
    StateIsFile(#[from] StateIsFile),
}

impl ClusterError {
    /// Whether Ctrl-C or a termination signal ended the work.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted(_))
    }
}
