//! What only Linux has: namespaces, mounts, pidfds, inotify and the parent-death signal. Everything else in `src/` is the same
//! on every Unix.
//!
//! On other systems the functions exist, too, and fail with [`Errno::ENOTSUP`](nix::errno::Errno::ENOTSUP): the command line
//! refuses there what needs a lab before it gets this far.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "elsewhere.rs")]
mod system;

#[cfg_attr(not(target_os = "linux"), path = "packet_queue_elsewhere.rs")]
mod packet_queue;

use std::path::Path;

pub use packet_queue::PacketQueue;
pub use system::{MachineNamespaces, ProcessHandle, die_with_parent, inotify_instances, mount, set_hostname, unshare};

/// Whether a lab can run on this system.
pub const HAS_LABS: bool = cfg!(target_os = "linux");

/// The architecture of this machine, by its name in Go and in images: `amd64`.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The number of processors that this process may use; 1 if the system does not say it.
#[must_use]
pub fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Mounts.
    Mount,
    /// Links, addresses, routes and rules.
    Network,
    /// The hostname.
    Uts,
    /// Shared memory, semaphores and message queues.
    Ipc,
    /// Process ids, of the processes that are started afterwards.
    Pid,
}

/// What is mounted, or how a mount is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount<'a> {
    /// Disconnects a mount and all mounts below it from those of other namespaces.
    Private,
    /// Lets mounts below it propagate to the namespaces that are made afterwards.
    Shared,
    /// Shows this file or directory.
    Bind(&'a Path),
    /// An empty file system in memory.
    Memory {
        /// The permissions of its root, such as 0o755.
        mode: u32,
    },
    /// Makes the mount there read-only.
    ReadOnly {
        /// Its options as in `/proc/self/mountinfo`, which it keeps.
        options: &'a str,
    },
    /// The processes of this PID namespace.
    Processes,
    /// Directories on top of each other, by overlayfs's own options.
    Overlay(&'a str),
}
