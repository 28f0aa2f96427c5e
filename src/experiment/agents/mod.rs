//! A run whose load is sent by agents: pods of the cluster, each of which sends a part of the plan.
//!
//! They are started together ([`Fleet::gather`]), begin at the same moment on their own clocks ([`Fleet::run`]), and their
//! results are added to one.

mod agent;
mod fleet;
mod live;

use std::num::NonZeroU32;

pub(super) use fleet::Fleet;

/// The agents of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agents {
    /// How many there are.
    pub count: NonZeroU32,
    /// Their image, by the name that the cluster's nodes know.
    pub image: String,
}
