//! The cluster that runs are made in.

use std::path::Path;

use crate::cluster::Access;
use crate::workload::Subject;

/// A cluster, and what is needed to send load to it and to change it.
#[derive(Clone, Copy)]
pub struct Workplace<'a> {
    /// Access to the cluster.
    pub access: &'a Access,
    /// The Service under test.
    pub subject: &'a Subject,
    /// The lab's link on this machine, through which its addresses must be reached.
    pub link: &'a str,
    /// The program `ip`, which prints the routes.
    pub ip: &'a Path,
}
