//! Processor time and context switches of the load's own threads.

use std::time::Duration;

use nix::sys::resource::getrusage;
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::platform::THREAD;

/// Processor time and context switches of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadUsage {
    /// Processor time, in user space and in the kernel.
    pub cpu: Duration,
    /// How often the thread waited for something.
    pub voluntary_switches: u64,
    /// How often the thread lost its processor to another one.
    pub involuntary_switches: u64,
}

impl ThreadUsage {
    /// The usage of this thread so far; all zero where the kernel does not report it.
    pub(super) fn so_far() -> Self {
        let count = |number| u64::try_from(number).unwrap_or(0);
        getrusage(THREAD).map_or_else(
            |_| Self::default(),
            |usage| {
                let sum = usage.user_time() + usage.system_time();
                Self {
                    cpu: Duration::from_micros(count(sum.num_microseconds())),
                    voluntary_switches: count(usage.voluntary_context_switches()),
                    involuntary_switches: count(usage.involuntary_context_switches()),
                }
            },
        )
    }

    /// The usage since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            voluntary_switches: self.voluntary_switches.saturating_sub(before.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(before.involuntary_switches),
        }
    }
}
