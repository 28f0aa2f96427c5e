//! A process held by the kernel's own handle (a pidfd): once it has ended, no other can come to stand for it.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

use nix::sys::signal::Signal;

/// A process that may be signalled without the risk of hitting a stranger; whoever holds it still has to look whether
/// it is the right one.
#[derive(Debug)]
pub(super) struct HeldProcess {
    #[cfg(target_os = "linux")]
    handle: OwnedFd,
}

#[cfg(target_os = "linux")]
impl HeldProcess {
    /// The process that has this id now; nothing when there is none.
    pub(super) fn open(pid: i32) -> Option<Self> {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self { handle })
    }

    /// Sends it a signal; an error once it has ended.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let number = rustix::process::Signal::from_named_raw(signal as i32).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(rustix::process::pidfd_send_signal(&self.handle, number)?)
    }
}

/// Elsewhere there is no lab, and so no process of one.
#[cfg(not(target_os = "linux"))]
impl HeldProcess {
    pub(super) fn open(_: i32) -> Option<Self> {
        None
    }

    pub(super) fn signal(&self, _: Signal) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
