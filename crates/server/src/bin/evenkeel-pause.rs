//! The first process of a pod: holds its namespaces open, reaps what is left to it, ends when it is told to.

use std::io::Write;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

fn main() -> ExitCode {
    match pause() {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => {
            // With stderr closed, the exit code has to say it alone.
            let _ = writeln!(std::io::stderr(), "evenkeel-pause: could not wait for signals: {}", errno.desc());
            ExitCode::FAILURE
        }
    }
}

fn pause() -> Result<(), Errno> {
    // Blocked, they queue for `wait`: none is lost, and no handler is needed.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD]);
    signals.thread_block()?;
    loop {
        if signals.wait()? != Signal::SIGCHLD {
            return Ok(());
        }
        // One SIGCHLD can stand for many children.
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
    }
}
