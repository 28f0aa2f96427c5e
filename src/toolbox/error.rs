//! Errors of the toolbox.

use std::path::PathBuf;

use thiserror::Error;

use crate::io_error::IoError;
use crate::process::ProgramError;
use crate::shutdown::Interrupted;
use crate::toolbox::Program;

/// Why the toolbox cannot be used. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ToolboxError {
    /// Programs that the cluster or a part of a test needs are neither on PATH nor in the cache.
    #[error("this needs programs that are not installed: {}", missing.join(", "))]
    MissingPrograms {
        /// Their names.
        missing: Vec<String>,
        /// How they are installed.
        installation: Installation,
    },
    /// The kernel lacks a feature that the cluster needs.
    #[error("this kernel lacks features that a cluster needs: {}", missing.join("; "))]
    MissingKernel {
        /// Each feature with the error of the kernel.
        missing: Vec<String>,
    },
    /// Programs could not be installed.
    #[error("{what} could not be installed: {why}")]
    InstallFailed {
        /// The module or package.
        what: String,
        /// Why.
        why: String,
        /// What would help.
        remedy: InstallRemedy,
    },
    /// A file is not an archive of a toolbox, or not as it was when it was exported.
    #[error("{} cannot be imported: {why}", path.display())]
    BadArchive {
        /// The file.
        path: PathBuf,
        /// Why, as the end of a sentence.
        why: String,
    },
    /// An archive has programs for other machines.
    #[error("{} has programs for {found}, and this machine is {wanted}", path.display())]
    OtherPlatform {
        /// The archive.
        path: PathBuf,
        /// The platform in the archive: "linux/arm64".
        found: String,
        /// The platform of this machine.
        wanted: String,
    },
    /// An archive has programs that were built from other sources than those that are pinned.
    #[error("{} was not built from the sources that this evenkeel pins: {}", path.display(), differences.join("; "))]
    OtherPins {
        /// The archive.
        path: PathBuf,
        /// Each module with its difference: "runc is v1.4.2, expected v1.4.3".
        differences: Vec<String>,
    },
    /// The cache has no program that could be exported.
    #[error("there is nothing to export: no program was built into {}", directory.display())]
    NothingToExport {
        /// The directory of the toolbox in the cache.
        directory: PathBuf,
    },
    /// The components of a node could not watch files.
    #[error("a node needs {needed} inotify instances, but only {free} more can be created: {setting} is {limit}")]
    FewInotifyInstances {
        /// The number that a node needs.
        needed: usize,
        /// The number that can still be created.
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
    /// Ctrl-C or a termination signal. What was started has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// How programs are installed on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installation {
    /// By the toolbox itself: [`install`](super::install()).
    Toolbox,
    /// By this command, pasteable.
    Command(String),
    /// From the distribution's package of this program, whose name is unknown here.
    Package(Program),
}

/// What would help when programs could not be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallRemedy {
    /// A reachable network or Go module proxy.
    Network,
    /// A newer Go.
    NewerGo,
    /// Any Go that can download a newer one.
    Go,
    /// Free space for the build, in gigabytes.
    Space {
        /// In gigabytes.
        gigabytes: u32,
    },
    /// Running the command by hand, which shows all of its output.
    ByHand {
        /// The command, pasteable.
        command: String,
    },
    /// Packages whose names in this distribution are unknown.
    Packages {
        /// Their names in Debian.
        debian: Vec<String>,
    },
    /// Running the command as root.
    AsRoot {
        /// The command, pasteable.
        command: String,
    },
    /// Another version of the program on PATH.
    SuitableVersion,
    /// The libraries of the machine on which the program was built, or a build on this machine.
    BuiltHere,
}
