//! The functions on systems other than Linux.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use mio::{Registry, Token};
use nix::sys::resource::UsageWho;
use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketType, socket};

/// The usage of the whole process: there is none of a single thread.
pub(crate) const THREAD: UsageWho = UsageWho::RUSAGE_SELF;

/// A TCP socket that does not block and is closed on exec.
pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = socket(family, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Leaves the congestion control as it is.
pub(crate) fn cheap_congestion_control(_: impl AsFd) {}

/// Leaves the acknowledgements as they are.
pub(crate) fn delay_acknowledgement(_: impl AsFd) {}

/// Cannot be created here.
pub(crate) struct Timer;

impl Timer {
    pub(crate) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn set(&mut self, _: Instant, _: Instant) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
