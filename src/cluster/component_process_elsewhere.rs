//! Where there are no labs, a component has no process.

use nix::sys::signal::Signal;

use super::node::Cluster;
use crate::error::Error;

/// A component's process.
#[derive(Debug)]
pub enum ComponentProcess {}

impl ComponentProcess {
    /// Sends it a signal.
    ///
    /// # Errors
    /// None: there is no value of this type.
    pub fn signal(&self, _signal: Signal) -> Result<(), Error> {
        match *self {}
    }
}

/// The process of the component called `name`.
///
/// # Errors
/// [`Error::NoLab`], always.
pub fn component_process(_cluster: &Cluster, _name: &str) -> Result<ComponentProcess, Error> {
    Err(Error::NoLab)
}
