//! Errors of the command line: its own, and those of every area. This module alone has their hints and exit codes.

mod exit_code;
mod hint;

pub(super) use hint::{install_command, leave_link_alone};

use thiserror::Error as ThisError;

use crate::cli::root::NotRoot;
use crate::cluster::ClusterError;
use crate::config::StateIsFile;
use crate::experiment::ExperimentError;
use crate::image::ImageError;
use crate::io_error::IoError;
use crate::report::ReportError;
use crate::shutdown::Interrupted;
use crate::toolbox::ToolboxError;
use crate::workload::WorkloadError;
use evenkeel_load::LoadError;

/// All errors of the command line. `Display` is one sentence: what happened, and why. [`Error::hint`] says what to do
/// next.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A value that cannot be used.
    #[error("{given:?} cannot be used for {what}: {why}")]
    BadValue {
        /// The flag or argument.
        what: &'static str,
        /// The given value.
        given: String,
        /// Why it cannot be used.
        why: String,
    },
    /// A lab of that name is running, and the command would create and remove one.
    #[error("the lab {name:?} is up, but a demo creates and removes a lab of its own")]
    LabIsUp {
        /// The lab.
        name: String,
    },
    /// The command needs Linux.
    #[error("{verb} needs Linux, because a lab consists of Linux namespaces, links and cgroups")]
    NeedsLinux {
        /// The verb.
        verb: &'static str,
    },
    /// The command needs root.
    #[error("{verb} needs root, because it creates or uses namespaces, links, routes and cgroups{why}")]
    NeedsRoot {
        /// The verb.
        verb: &'static str,
        /// Why it did not become root by itself.
        why: NotRoot,
        /// The command as root, pasteable.
        command: String,
    },
    /// A cluster that is no lab would be changed, and nobody can be asked.
    #[error("{what} changes the cluster of context {context}, and there is no terminal to ask for consent")]
    NeedsYes {
        /// The verb, with the flag because of which it changes the cluster.
        what: String,
        /// The context.
        context: String,
    },
    /// The user did not agree.
    #[error("{what} was not confirmed, so nothing was changed")]
    Declined {
        /// The verb, with the flag because of which it changes the cluster.
        what: String,
    },
    /// The host of `--target` cannot be reached.
    #[error("no load could be sent to {target}: {why}")]
    NoTarget {
        /// The host and port.
        target: String,
        /// Why.
        why: String,
    },
    /// An assertion about a test does not hold.
    #[error("{} not hold: {}", count(missed.len(), "assertion does", "assertions do"), missed.join("; "))]
    AssertionsMissed {
        /// Each with what was measured: "p99 was 7.2 ms, expected < 5 ms (10 pods)".
        missed: Vec<String>,
    },
    /// A promise about an event was broken.
    #[error("{} broken: {}", count(broken.len(), "promise was", "promises were"), broken.join("; "))]
    PromisesBroken {
        /// Each with what was observed: "pod delete (keepalive): 3 requests failed".
        broken: Vec<String>,
    },
    /// A second Ctrl-C ended the program before the undo was complete.
    #[error("ended before the undo was complete: {left}")]
    EndedEarly {
        /// What may remain: "routes to the pods may be left on this machine".
        left: String,
        /// The command that removes it.
        remedy: String,
    },
    /// The state directory is a file.
    #[error(transparent)]
    StateIsFile(#[from] StateIsFile),
    /// The toolbox failed.
    #[error(transparent)]
    Toolbox(#[from] ToolboxError),
    /// An image cannot be used or built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image of a container cannot be used.
    #[error("{container}: {source}")]
    ContainerImage {
        /// The container: "Deployment web, container server".
        container: String,
        /// Why.
        source: ImageError,
    },
    /// The cluster failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The workload failed.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The load could not be sent.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Runs failed.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// A report could not be read or written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Ctrl-C or a termination signal. What was started has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// "1 promise was", "2 promises were".
fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
