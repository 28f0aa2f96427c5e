//! The agents that send load inside of the cluster: the Job that runs them, and the connections to them.

mod job;
mod leftover;
mod stream;
mod trouble;

pub use job::{AgentJob, AgentJobSpec, AgentPod};
pub use leftover::delete_leftovers;
pub use stream::AgentStream;

/// The label that all objects of agents have.
const COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "agent");
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "evenkeel");
/// The label with the number of the run. Two tests at the same time have different ones.
const RUN: &str = "evenkeel.dev/run";
/// The only container of an agent's pod.
const CONTAINER: &str = "agent";
/// The label in which Kubernetes writes the number of a pod of an Indexed Job.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
