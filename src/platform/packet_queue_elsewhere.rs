//! Netfilter queues on systems other than Linux: there are none.

use std::io;
use std::time::Duration;

use nix::errno::Errno;

/// Cannot be made here.
#[derive(Debug)]
pub enum PacketQueue {}

impl PacketQueue {
    /// # Errors
    /// Always.
    pub fn bind(_: u16) -> io::Result<Self> {
        Err(Errno::ENOTSUP.into())
    }

    /// There is no queue.
    ///
    /// # Errors
    /// None.
    pub fn arrived(&mut self, _: Option<Duration>) -> io::Result<Vec<u32>> {
        match *self {}
    }

    /// There is no queue.
    ///
    /// # Errors
    /// None.
    pub fn accept_up_to(&self, _: u32) -> io::Result<()> {
        match *self {}
    }
}
