//! A timer that wakes epoll within microseconds. The timeout of epoll itself has a resolution of milliseconds.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

pub(super) struct Timer {
    fd: TimerFd,
    /// The time that it is set to.
    at: Option<Instant>,
}

impl Timer {
    /// Creates a timer that is not set, whose events have this token.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        registry.register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { fd, at: None })
    }

    /// Sets the timer to wake at `due`. Nobody reads its events, because setting the timer again clears them.
    pub(super) fn set(&mut self, due: Instant, now: Instant) -> io::Result<()> {
        if self.at == Some(due) {
            return Ok(());
        }
        // Zero would switch the timer off.
        let wait = due.saturating_duration_since(now).max(Duration::from_nanos(1));
        self.fd.set(Expiration::OneShot(TimeSpec::from_duration(wait)), TimerSetTimeFlags::empty())?;
        self.at = Some(due);
        Ok(())
    }
}
