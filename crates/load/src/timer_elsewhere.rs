//! Replaces the timer on systems other than Linux, where this crate compiles but cannot run a load.

use std::io;
use std::time::Instant;

use mio::{Registry, Token};

pub(super) struct Timer;

impl Timer {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set(&mut self, _: Instant, _: Instant) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
