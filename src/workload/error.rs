//! Errors of the workload.

use std::fmt;

use thiserror::Error;

use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::kubernetes_error::KubernetesError;
use crate::process::ProgramError;
use crate::shutdown::Interrupted;
use crate::toolbox::kernel::PodLimit;
use crate::workload::manifest::ManifestPlace;

/// Why an operation on the workload failed. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum WorkloadError {
    /// Nothing is deployed in the cluster.
    #[error("nothing is deployed")]
    NoWorkload,
    /// The namespace forbids the pods of agents.
    #[error("no agents can run in namespace {namespace}: {why}")]
    AgentsRefused {
        /// The namespace.
        namespace: String,
        /// The words of the API server.
        why: String,
    },
    /// No Service is named, and none is of the type that is usually meant.
    #[error(
        "no Service in namespace {namespace} is of type LoadBalancer, so it is unknown which one is meant; {}",
        listed(services, "the Services")
    )]
    NoBalanced {
        /// The namespace in which one was looked for.
        namespace: String,
        /// The Services that have pods, each with its namespace.
        services: Vec<String>,
    },
    /// There is no Service of that name.
    #[error("there is no Service {given}; {}", listed(services, "the Services"))]
    UnknownService {
        /// The name that was asked for.
        given: String,
        /// The Services that have pods, each with its namespace.
        services: Vec<String>,
    },
    /// More than one Service can be meant.
    #[error("several Services can be meant: {}", services.join(", "))]
    SeveralServices {
        /// Their names, each with its namespace.
        services: Vec<String>,
    },
    /// An image or a number of replicas is to be set, and no Service says for which container.
    #[error("there is no Service among the manifests, so it is unknown which container to change")]
    NoServiceGiven,
    /// The Service cannot be used for this.
    #[error("the Service {service} cannot be used: {why}")]
    Unsuitable {
        /// Its name, with its namespace.
        service: String,
        /// Why not.
        why: String,
    },
    /// The number of pods behind the Service cannot be set.
    #[error("{controller} cannot be scaled: {why}")]
    Unscalable {
        /// What creates the pods: `DaemonSet shop/web`.
        controller: String,
        /// What sets their number.
        why: ScaleObstacle,
    },
    /// The Service has no address of its own, and the load generator does not choose the pods.
    #[error("the Service {service} is headless: it has no address, so no load balancer chooses a pod for a connection")]
    Headless {
        /// Its name, with its namespace.
        service: String,
    },
    /// There is no DNS name with the addresses of the Service's pods.
    #[error(
        "the DNS name of the Service {namespace}/{service} has one address, and no headless Service selects the same pods"
    )]
    NoHeadless {
        /// Its namespace.
        namespace: String,
        /// Its name.
        service: String,
    },
    /// A DNS name could not be resolved.
    #[error("the DNS name {name} could not be resolved: {why}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        why: String,
    },
    /// The Service has no pod that is ready.
    #[error(
        "the Service {service} has no endpoint: no pod with the labels {selector} is ready and has its port {port}"
    )]
    NoEndpoints {
        /// Its name, with its namespace.
        service: String,
        /// Its port.
        port: String,
        /// The labels of its pods.
        selector: String,
    },
    /// There is no pod of that name.
    #[error("there is no pod {given:?}; {}", listed(pods, "the pods"))]
    UnknownPod {
        /// The name that was asked for.
        given: String,
        /// The names of all pods of the workload.
        pods: Vec<String>,
    },
    /// There is no node of that name or index.
    #[error("there is no node {given:?}; {}", listed(nodes, "the nodes"))]
    UnknownNode {
        /// The name or the index that was asked for.
        given: String,
        /// The names of all nodes.
        nodes: Vec<String>,
    },
    /// A drain would lose a pod.
    #[error("the pod {pod} on the node {node} cannot be evicted: it has no controller that would replace it")]
    CannotEvict {
        /// Its name, with its namespace.
        pod: String,
        /// The name of the node.
        node: String,
    },
    /// The target of a load test is neither the lab nor loopback, and no explicit flag allows it.
    #[error("{target} does not belong to the lab: traffic to it would leave through {via}, so no load was sent")]
    ForeignTarget {
        /// The address that was asked for.
        target: String,
        /// Where its route leads.
        via: String,
    },
    /// Components exited so often in a row that they are not started again.
    #[error("{} failed too often to be started again", components.join(" and "))]
    GivenUp {
        /// Their names, each with its last exit: "kubelet (exit 1)".
        components: Vec<String>,
        /// The name of the first one, whose log explains the most.
        first: String,
    },
    /// A wait ended at its deadline.
    #[error("timed out after {seconds} s while waiting for {what}: {why}")]
    Deadline {
        /// What the wait was for: "the rollout".
        what: String,
        /// The deadline, in seconds.
        seconds: u64,
        /// The last state, or the last error.
        why: String,
    },
    /// The namespace forbids the pods of a controller. Nothing was changed.
    #[error("{controller} may not have these pods: {why}")]
    PodsForbidden {
        /// The controller: `Deployment shop/web`.
        controller: String,
        /// Its namespace.
        namespace: String,
        /// The words of the API server.
        why: String,
    },
    /// The limits of this machine do not allow that many pods. Nothing was changed.
    #[error("{asked} pods do not fit, but {fit} do: {limit}")]
    LittleRoom {
        /// The number that was asked for.
        asked: u32,
        /// The number that fits.
        fit: u64,
        /// What limits it.
        limit: PodLimit,
        /// The limit with which as many fit as were asked for.
        needed: u64,
    },
    /// A rollout cannot finish.
    #[error("the pods cannot start: {reason}")]
    RolloutStuck {
        /// The reason that Kubernetes gives, with the name of the pod.
        reason: String,
    },
    /// A manifest cannot be deployed. Nothing was changed.
    #[error("the manifest {place} cannot be used: {why}")]
    Manifest {
        /// The file and the document.
        place: ManifestPlace,
        /// What is wrong with it.
        why: String,
    },
    /// The user of a cluster that is no lab lacks rights.
    #[error("the user of context {context} has no right to {}", missing.join("; nor to "))]
    MissingRights {
        /// The context.
        context: String,
        /// The namespace in which they are needed.
        namespace: String,
        /// Each of them: "list pods in namespace shop".
        missing: Vec<String>,
        /// What needs them: `scale`.
        activities: Vec<String>,
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
    /// Ctrl-C or a termination signal. What was started has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The cluster failed, or cannot be reached.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// What sets the number of pods, so that a user cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaleObstacle {
    /// The nodes: the controller is a DaemonSet.
    DaemonSet,
    /// A HorizontalPodAutoscaler.
    Autoscaler {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for ScaleObstacle {
    /// As the end of a sentence.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DaemonSet => formatter.write_str("a DaemonSet has one pod on each node"),
            Self::Autoscaler { name, .. } => write!(formatter, "the HorizontalPodAutoscaler {name} sets its replicas"),
        }
    }
}

impl WorkloadError {
    /// Whether Ctrl-C or a termination signal ended the work.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Interrupted(_) => true,
            Self::Cluster(error) => error.is_interrupted(),
            _ => false,
        }
    }
}

fn listed(names: &[String], what: &str) -> String {
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("{what} are: {names}")
}
