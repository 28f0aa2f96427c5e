//! The first process of a pod: keeps the pod's namespaces open, reaps orphaned processes, and ends on SIGTERM or SIGINT.

use std::io::Write;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

fn main() -> ExitCode {
    match pause() {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            // If stderr is closed, the exit code alone reports the failure.
            let _ = writeln!(std::io::stderr(), "evenkeel-pause: could not wait for signals: {}", errno.desc());
            ExitCode::FAILURE
        }
    }
}

fn pause() -> Result<(), Errno> {
    // Blocked signals stay pending until `wait` takes them, so no signal is lost and no handler is needed.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD]);
    signals.thread_block()?;
    loop {
        if signals.wait()? != Signal::SIGCHLD {
            return Ok(());
        }
        // One SIGCHLD can mean that several children have ended.
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}
