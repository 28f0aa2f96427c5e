//! Errors of the toolbox.

use thiserror::Error;

use crate::io_error::IoError;
use crate::process::ProgramError;
use crate::shutdown::Interrupted;

/// Why the toolbox cannot be had. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ToolboxError {
    /// Programs the cluster needs are neither on PATH nor in the cache.
    #[error("the cluster needs programs that are not here: {}", missing.join(", "))]
    MissingPrograms {
        /// Their names.
        missing: Vec<String>,
        /// The exact command that brings them.
        remedy: String,
    },
    /// The kernel cannot do something the cluster needs.
    #[error("this kernel cannot do what a cluster needs: {}", missing.join("; "))]
    MissingKernel {
        /// What was tried, and what the kernel said.
        missing: Vec<String>,
    },
    /// Programs could not be brought.
    #[error("{what} could not be installed: {why}")]
    InstallFailed {
        /// The module or package.
        what: String,
        /// Why.
        why: String,
        /// What would help.
        remedy: InstallRemedy,
    },
    /// The components of a node could not watch their files.
    #[error("a node needs {needed} inotify instances, and only {free} more can be made: {setting} is {limit}")]
    FewInotifyInstances {
        /// As many as a node needs.
        needed: usize,
        /// As many as could be made.
        free: usize,
        /// The kernel setting that limits them: `fs.inotify.max_user_instances`.
        setting: &'static str,
        /// Its value.
        limit: String,
    },
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

/// What would help where programs could not be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallRemedy {
    /// A network, or a Go module proxy, that can be reached.
    Network,
    /// A newer Go.
    NewerGo,
    /// Any Go that can fetch a newer one.
    Go,
    /// Free space for the build, in gigabytes.
    Space {
        /// In gigabytes.
        gigabytes: u32,
    },
    /// The command by hand, which shows all of its output.
    ByHand {
        /// The command, pasteable.
        command: String,
    },
    /// Packages from a source that is not known here; in Debian they have these names.
    Packages {
        /// Their names.
        debian: Vec<String>,
    },
    /// The command as root.
    AsRoot {
        /// The command, pasteable.
        command: String,
    },
    /// Another version of the program on PATH.
    SuitableVersion,
}
