//! What the load felt of an event: failures, and throughput that fell and came back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::RunResult;

/// How many tenths of a second before an event tell what is usual: at most two seconds.
const BEFORE: usize = 20;
/// Throughput is averaged over half a second: shorter, and every pause of a busy machine would be a dip.
const WINDOW: usize = 5;
/// From here on throughput counts as full.
const FULL: f64 = 0.9;

/// Failures of one kind on one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureKind {
    /// The kind, as in the run's faults.
    pub kind: String,
    /// The pod the connection led to, where that was known.
    pub pod: Option<String>,
    /// How often.
    pub count: u64,
}

/// What the load felt from the beginning of an event up to the next, or to the run's end; times to a tenth of a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// Requests that were answered.
    #[serde(default)]
    pub requests: u64,
    /// Requests that failed or were answered badly.
    pub failures: u64,
    /// The same by kind and pod.
    pub kinds: Vec<FailureKind>,
    /// From the event to the first of them, in seconds.
    pub first_failure_seconds: Option<f64>,
    /// From the event to the last of them, in seconds.
    pub last_failure_seconds: Option<f64>,
    /// The lowest throughput in any half second, as a part of what was usual in the two seconds before the event.
    pub lowest_throughput: Option<f64>,
    /// From the event until throughput was full again after that, in seconds: the end of the first half second with at
    /// least 90% of the usual; 0 where it never fell below. None where it did not come back, or nothing is known.
    pub full_throughput_seconds: Option<f64>,
}

impl Impact {
    /// Of what happened in `run` from `began` to `end`.
    #[must_use]
    pub(super) fn of(run: &RunResult, began: Duration, end: Duration) -> Self {
        let span = tenth(began)..tenth(end).max(tenth(began) + 1);
        let faults = || run.faults.iter().filter(|(at, _)| span.contains(&(at.tenth as usize)));
        let mut kinds: BTreeMap<(String, Option<String>), u64> = BTreeMap::new();
        for (at, count) in faults() {
            *kinds.entry((at.fault.to_string(), at.pod.clone())).or_default() += count;
        }
        let after = |tenth: u32| (f64::from(tenth) / 10.0 - began.as_secs_f64()).max(0.0);
        // The last tenth of a run is seldom a whole one.
        let whole = run.tenths.get(..tenth(run.elapsed)).unwrap_or(&run.tenths);
        let (lowest_throughput, full_throughput_seconds) = dip(whole, span.clone()).unwrap_or_default();
        let answered = run.tenths.get(span.start..span.end.min(run.tenths.len())).unwrap_or_default();
        Self {
            requests: answered.iter().copied().map(u64::from).sum(),
            failures: faults().map(|(_, count)| count).sum(),
            first_failure_seconds: faults().map(|(at, _)| after(at.tenth)).next(),
            last_failure_seconds: faults().map(|(at, _)| after(at.tenth)).next_back(),
            kinds: kinds.into_iter().map(|((kind, pod), count)| FailureKind { kind, pod, count }).collect(),
            lowest_throughput,
            full_throughput_seconds,
        }
    }
}

fn tenth(since: Duration) -> usize {
    usize::try_from(since.as_millis() / 100).unwrap_or(usize::MAX)
}

/// The lowest half second that begins in `span`, as a part of the usual, and the time until throughput was full again
/// after it. Nothing where too little is known.
#[allow(clippy::cast_precision_loss, reason = "tenths of a second of a run, and answers in them")]
fn dip(tenths: &[u32], span: Range<usize>) -> Option<(Option<f64>, Option<f64>)> {
    let usual = median(tenths.get(span.start.saturating_sub(BEFORE)..span.start)?)?;
    let windows = tenths.get(span.start..span.end.min(tenths.len()))?.windows(WINDOW);
    let parts: Vec<f64> = windows.map(|window| f64::from(window.iter().sum::<u32>()) / WINDOW as f64 / usual).collect();
    let (at, lowest) = parts.iter().copied().enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    if lowest >= FULL {
        return Some((Some(lowest), Some(0.0)));
    }
    let full = parts.iter().skip(at).position(|part| *part >= FULL);
    Some((Some(lowest), full.map(|after| (at + after + WINDOW) as f64 / 10.0)))
}

/// The middle one; nothing where there is none above 0.
fn median(tenths: &[u32]) -> Option<f64> {
    let mut sorted = tenths.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).filter(|middle| **middle > 0).map(|middle| f64::from(*middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dip_is_as_deep_and_as_long_as_it_was() {
        let mut tenths = vec![1_000; 60];
        assert_eq!(dip(&tenths, 20..60), Some((Some(1.0), Some(0.0))));
        // A second of nothing, 0.3 s after the event; back at once.
        tenths[23..33].fill(0);
        assert_eq!(dip(&tenths, 20..60), Some((Some(0.0), Some(1.8))));
        // It never comes back in the time there is.
        assert_eq!(dip(&tenths, 20..34), Some((Some(0.0), None)));
        // One slow tenth is no dip.
        let mut tenths = vec![1_000; 60];
        tenths[30] = 600;
        assert_eq!(dip(&tenths, 20..60), Some((Some(0.92), Some(0.0))));
    }

    #[test]
    fn what_was_not_measured_is_not_known() {
        assert_eq!(dip(&[1_000; 60], 0..60), None, "nothing before it");
        assert_eq!(dip(&[0; 60], 20..60), None, "nothing was usual");
        assert_eq!(dip(&[1_000; 22], 20..60), None, "less than half a second after it");
        assert_eq!(dip(&[1_000; 22], 40..60), None, "an event after the run");
    }
}
