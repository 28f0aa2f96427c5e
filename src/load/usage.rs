//! What a thread of the load has used.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Whose usage is asked for; where the kernel does not tell threads apart, no load is sent.
#[cfg(target_os = "linux")]
const WHO: UsageWho = UsageWho::RUSAGE_THREAD;
#[cfg(not(target_os = "linux"))]
const WHO: UsageWho = UsageWho::RUSAGE_SELF;

/// Processor time and context switches of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// Time on a processor, in the kernel or not.
    pub cpu: Duration,
    /// How often it waited for something.
    pub voluntary_switches: u64,
    /// How often it had to make room for another.
    pub involuntary_switches: u64,
}

impl ThreadUsage {
    /// This thread's, so far; all zero where the kernel does not say.
    pub(super) fn so_far() -> Self {
        let count = |number| u64::try_from(number).unwrap_or(0);
        getrusage(WHO).map_or_else(
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

    /// What came since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            voluntary_switches: self.voluntary_switches.saturating_sub(before.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(before.involuntary_switches),
        }
    }
}
