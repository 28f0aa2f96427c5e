//! The errors of the command line: those of its own, and those of every area. Their hints and exit codes are here alone.

mod exit_code;
mod hint;

use thiserror::Error as ThisError;

use crate::cluster::ClusterError;
use crate::config::StateIsFile;
use crate::experiment::ExperimentError;
use crate::image::ImageError;
use crate::io_error::IoError;
use crate::kubernetes_error::KubernetesError;
use crate::process::ProgramError;
use crate::report::ReportError;
use crate::shutdown::Interrupted;
use crate::toolbox::ToolboxError;
use crate::workload::WorkloadError;
use evenkeel_load::LoadError;

/// Everything that can go wrong. `Display` is one sentence: what happened, and why. [`Error::hint`] says what to do next.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A value that cannot be used.
    #[error("{given:?} cannot be used for {what}: {why}")]
    BadValue {
        /// The option or argument.
        what: &'static str,
        /// What was given.
        given: String,
        /// What it takes.
        why: String,
    },
    /// A lab of that name runs, and what was asked for would make and remove one.
    #[error("the lab {name:?} is up, and a demo makes and removes one of its own")]
    LabIsUp {
        /// The lab.
        name: String,
    },
    /// Only Linux has them.
    #[error("{verb} needs Linux, because a lab is made of its namespaces, links and cgroups")]
    NeedsLinux {
        /// The verb.
        verb: &'static str,
    },
    /// Only root may make namespaces, links, routes and cgroups.
    #[error("{verb} needs root, because it makes or enters namespaces, links, routes and cgroups")]
    NeedsRoot {
        /// The verb.
        verb: &'static str,
    },
    /// The server that was named as a target cannot be reached.
    #[error("no load could be sent to {target}: {why}")]
    NoTarget {
        /// The host and port.
        target: String,
        /// Why.
        why: String,
    },
    /// What was asserted of a test did not hold.
    #[error("{} asserted and did not hold: {}", were(missed.len(), "figure"), missed.join("; "))]
    AssertionsMissed {
        /// Each with what was measured: "p99 was 7.2 ms, expected < 5 ms (10 pods)".
        missed: Vec<String>,
    },
    /// What is promised of an event did not hold.
    #[error("{} broken: {}", were(broken.len(), "promise"), broken.join("; "))]
    PromisesBroken {
        /// Each with what was seen: "pod delete (keepalive): 3 requests failed".
        broken: Vec<String>,
    },
    /// A second Ctrl-C: the undo was not waited for.
    #[error("ended before the undo was complete: {left}")]
    EndedEarly {
        /// What may be left: "routes to the pods may be left on this machine".
        left: String,
        /// What removes that.
        remedy: String,
    },
    /// A file stands where the state directory must be.
    #[error(transparent)]
    StateIsFile(#[from] StateIsFile),
    /// The toolbox failed.
    #[error(transparent)]
    Toolbox(#[from] ToolboxError),
    /// There is no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The cluster failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The workload failed.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The load could not be sent.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Runs were not made, or did not succeed.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// A report could not be read or written.
    #[error(transparent)]
    Report(#[from] ReportError),
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
}

/// "1 figure was", "2 figures were".
fn were(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} was") } else { format!("{count} {what}s were") }
}

#[cfg(test)]
mod tests;
