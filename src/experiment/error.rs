//! Errors of experiments.

use thiserror::Error;

use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::process::ProgramError;
use crate::shutdown::Interrupted;
use crate::workload::WorkloadError;
use evenkeel_grpc::SchemaError;
use evenkeel_load::LoadError;

/// Why runs failed. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// No request of a run was answered.
    #[error("{target} answered no request: {why}")]
    NoAnswer {
        /// The URL.
        target: String,
        /// Why not: "30 requests failed: refused".
        why: String,
        /// The most frequent kind of failure: "refused".
        kind: Option<String>,
    },
    /// No agent sent any load.
    #[error("no agent sent any load: {agent}: {why}")]
    NoAgent {
        /// The name of one of them.
        agent: String,
        /// Why it did not.
        why: String,
    },
    /// Some agents did not do their part, so the result of a run is incomplete.
    #[error("the result is partial: {}", agents.join("; "))]
    Partial {
        /// Each of them, and why: "evenkeel-agents-1-0: it was killed (Error)".
        agents: Vec<String>,
    },
    /// An event during a run did not finish.
    #[error("{what} did not finish: {why}")]
    Event {
        /// The event: "rolling restart".
        what: String,
        /// Why.
        why: String,
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
    /// The method of gRPC does not exist, or its message cannot be encoded.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The load could not be sent.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The workload failed, or could not be changed.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The cluster failed, or cannot be reached.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}
