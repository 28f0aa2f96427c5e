//! Whether the load generator reached its target rate, and whether it was the limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Latency, RunData, ThreadUsage};

/// A thread that was on a processor for this part of the run could not have done more.
const BUSY: f64 = 0.9;
/// If more than this part of the requests that were due was not sent, the rate is missed.
const LEFT_OVER: f64 = 0.01;

/// The rate of a run whose requests were due by a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The target rate in requests per second; the mean where stages differ.
    pub target: f64,
    /// Requests per second that were sent.
    pub achieved: f64,
    /// Requests that were due before the end but never sent.
    pub unsent: u64,
    /// Whether more than 1% of what was due was never sent.
    pub missed: bool,
    /// How long after it was due each request was sent, in microseconds.
    pub late_us: Latency,
}

impl Rate {
    /// Of a run with a schedule.
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub(super) fn new(run: &RunData) -> Option<Self> {
        let scheduled = run.scheduled.as_ref()?;
        let seconds = run.elapsed.as_secs_f64();
        Some(Self {
            target: scheduled.target,
            achieved: if seconds > 0.0 { run.sent as f64 / seconds } else { 0.0 },
            unsent: scheduled.unsent,
            missed: scheduled.unsent as f64 > LEFT_OVER * (scheduled.unsent + run.sent) as f64,
            late_us: scheduled.late.clone(),
        })
    }
}

/// How often the load's threads left the processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextSwitches {
    /// Because they waited for something.
    pub voluntary: u64,
    /// Because they were preempted.
    pub involuntary: u64,
}

impl ContextSwitches {
    pub(super) fn of(threads: &[ThreadUsage]) -> Self {
        Self {
            voluntary: threads.iter().map(|thread| thread.voluntary_switches).sum(),
            involuntary: threads.iter().map(|thread| thread.involuntary_switches).sum(),
        }
    }
}

/// The part of `elapsed` that the busiest thread was on a processor.
pub(super) fn busiest(threads: &[ThreadUsage], elapsed: Duration) -> f64 {
    let most = threads.iter().map(|thread| thread.cpu).max().unwrap_or_default();
    if elapsed.is_zero() { 0.0 } else { most.as_secs_f64() / elapsed.as_secs_f64() }
}

/// Whether the generator was the limit: a thread was busy all the time while there was more to send. In a closed loop
/// there is always more to send, with a schedule only if the rate was missed.
pub(super) fn is_bound(busiest: f64, rate: Option<&Rate>) -> bool {
    busiest >= BUSY && rate.is_none_or(|rate| rate.missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_only_when_busy_and_more_was_wanted() {
        let rate = |missed| Rate { missed, ..Rate::default() };
        assert!(is_bound(0.95, None) && !is_bound(0.85, None));
        assert!(is_bound(0.95, Some(&rate(true))) && !is_bound(0.95, Some(&rate(false))));
        assert!(!is_bound(0.5, Some(&rate(true))), "a slow server, not a slow generator");
    }

    #[test]
    fn the_busiest_thread_counts_alone() {
        let thread =
            |ms| ThreadUsage { cpu: Duration::from_millis(ms), voluntary_switches: 2, involuntary_switches: 1 };
        let threads = [thread(100), thread(950)];
        assert!((busiest(&threads, Duration::from_secs(1)) - 0.95).abs() < 1e-9);
        assert!(busiest(&[], Duration::ZERO).abs() < 1e-9);
        assert_eq!(ContextSwitches::of(&threads), ContextSwitches { voluntary: 4, involuntary: 2 });
    }
}
