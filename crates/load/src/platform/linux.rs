//! The functions on Linux.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::resource::UsageWho;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use rustix::net::sockopt::{set_tcp_congestion, set_tcp_quickack};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// The usage of the calling thread.
pub(crate) const THREAD: UsageWho = UsageWho::RUSAGE_THREAD;

/// The congestion control that every kernel has, and that does the least work for each packet.
const CONGESTION_CONTROL: &str = "reno";

/// A TCP socket that does not block and is closed on exec.
pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?)
}

/// Chooses the congestion control that does the least work. A request never fills a window, so a more expensive algorithm
/// (BBR paces every packet) has no use. Where this fails, requests only cost a little more.
pub(crate) fn cheap_congestion_control(socket: impl AsFd) {
    let _ = set_tcp_congestion(socket, CONGESTION_CONTROL);
}

/// Delays the last acknowledgement of the handshake, so that it is sent with the request. Where this fails, there is one
/// more packet.
pub(crate) fn delay_acknowledgement(socket: impl AsFd) {
    let _ = set_tcp_quickack(socket, false);
}

/// A timer that wakes epoll within microseconds. The timeout of epoll itself has a resolution of milliseconds.
pub(crate) struct Timer {
    fd: TimerFd,
    /// The time that it is set to.
    at: Option<Instant>,
}

impl Timer {
    /// Creates a timer that is not set, whose events have this token.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        registry.register(&mut SourceFd(&fd.as_fd().as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { fd, at: None })
    }

    /// Sets the timer to wake at `due`. Nobody reads its events, because setting the timer again clears them.
    pub(crate) fn set(&mut self, due: Instant, now: Instant) -> io::Result<()> {
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
