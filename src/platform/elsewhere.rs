//! The functions on systems other than Linux. None of them is reached: what needs a lab is refused first.

use std::io;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::{Mount, Namespace};

/// Does nothing: the command outlives the thread that starts it.
pub fn die_with_parent(_: &mut Command) {}

/// Cannot be made here.
#[derive(Debug)]
pub enum ProcessHandle {}

impl ProcessHandle {
    /// `None`.
    #[must_use]
    pub fn open(_: i32) -> Option<Self> {
        None
    }

    /// There is no handle that could be signalled.
    ///
    /// # Errors
    /// None.
    pub fn signal(&self, _: Signal) -> io::Result<()> {
        match *self {}
    }
}

/// Fails.
///
/// # Errors
/// [`Errno::ENOTSUP`].
pub fn unshare(_: &[Namespace]) -> nix::Result<()> {
    Err(Errno::ENOTSUP)
}

/// Cannot be had here.
#[derive(Debug)]
pub enum MachineNamespaces {}

impl MachineNamespaces {
    /// Fails.
    ///
    /// # Errors
    /// [`Errno::ENOTSUP`].
    pub fn of(_: u32) -> io::Result<Self> {
        Err(Errno::ENOTSUP.into())
    }

    /// Fails.
    ///
    /// # Errors
    /// [`Errno::ENOTSUP`].
    pub fn given() -> io::Result<Self> {
        Err(Errno::ENOTSUP.into())
    }

    /// There are none that could be given.
    pub fn give_to(&self, _: &mut Command) {
        match *self {}
    }

    /// There are none to run it in.
    pub fn run_in(&self, _: &mut Command) {
        match *self {}
    }
}

/// Fails.
///
/// # Errors
/// [`Errno::ENOTSUP`].
pub fn set_hostname(_: &str) -> nix::Result<()> {
    Err(Errno::ENOTSUP)
}

/// Fails.
///
/// # Errors
/// [`Errno::ENOTSUP`].
pub fn mount(_: Mount, _: &Path) -> nix::Result<()> {
    Err(Errno::ENOTSUP)
}

/// None could be created.
#[must_use]
pub fn inotify_instances(_: usize) -> usize {
    0
}
