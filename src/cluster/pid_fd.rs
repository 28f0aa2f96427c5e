//! A handle of a process, which never refers to another one.

use std::io;

use nix::sys::signal::Signal;

use crate::platform::ProcessHandle;

/// A handle of one process, which can be signalled without the risk that another process has taken over its id.
///
/// The caller must check, after opening the handle, that the process is the intended one.
#[derive(Debug)]
pub(super) struct PidFd(ProcessHandle);

impl PidFd {
    /// The process that has this id now; `None` when there is none.
    pub(super) fn open(pid: i32) -> Option<Self> {
        ProcessHandle::open(pid).map(Self)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` when the process has ended; see [`has_ended`].
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        self.0.signal(signal)
    }

    /// Sends it a signal. A process that has already ended is not an error.
    pub(super) fn signal_unless_ended(&self, signal: Signal) -> io::Result<()> {
        match self.signal(signal) {
            Err(error) if has_ended(&error) => Ok(()),
            result => result,
        }
    }
}

/// Whether a signal failed because its process has ended.
fn has_ended(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::ESRCH)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    /// `kill` takes 0 for the caller's own group, -1 for every process, and other negative ids for groups.
    #[test]
    fn only_a_positive_id_names_a_process() {
        for pid in [0, -1, -2, i32::MIN] {
            assert!(PidFd::open(pid).is_none(), "{pid}");
        }
    }

    #[test]
    fn a_process_that_has_ended_needs_no_signal() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = PidFd::open(child.id().cast_signed()).unwrap();
        process.signal_unless_ended(Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        let refused = process.signal(Signal::SIGKILL).unwrap_err();
        assert!(has_ended(&refused), "{refused}");
        process.signal_unless_ended(Signal::SIGKILL).unwrap();
    }
}
