//! The effect of an event on the load: failures, and a dip in throughput.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dip::Around;
use crate::{Failure, RunData};

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

/// The effect on the load from the start of an event up to the next one, or to the end of the run. Times have a
/// resolution of a tenth of a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    /// Requests that were answered.
    #[serde(default)]
    pub requests: u64,
    /// Requests that failed or got a response with a bad status.
    pub failures: u64,
    /// The same by kind and pod.
    pub kinds: Vec<FailureKind>,
    /// From the event to the first of them, in seconds.
    pub first_failure_seconds: Option<f64>,
    /// From the event to the last of them, in seconds.
    pub last_failure_seconds: Option<f64>,
    /// The lowest throughput in any half second, as a part of the median in the two seconds before the event.
    pub lowest_throughput: Option<f64>,
    /// From the event until throughput was full again after that, in seconds: the end of the first half second with at
    /// least 90% of the median before the event; 0 if it never fell below. `None` if it did not recover or is not
    /// known.
    pub full_throughput_seconds: Option<f64>,
    /// The throughput around it. It is not part of a report.
    #[serde(skip)]
    pub around: Around,
}

impl Impact {
    /// The effect in `run` of an event at `began`, up to `end`.
    #[must_use]
    pub(super) fn of(run: &RunData, began: Duration, end: Duration) -> Self {
        let span = tenth(began)..tenth(end).max(tenth(began) + 1);
        let failures = || run.failures.iter().filter(|failure| span.contains(&(failure.tenth as usize)));
        let mut kinds: BTreeMap<(String, Option<String>), u64> = BTreeMap::new();
        for Failure { kind, pod, count, .. } in failures() {
            *kinds.entry((kind.clone(), pod.clone())).or_default() += count;
        }
        let after = |tenth: u32| (f64::from(tenth) / 10.0 - began.as_secs_f64()).max(0.0);
        // The last tenth of a run is usually incomplete.
        let whole = run.tenths.get(..tenth(run.elapsed)).unwrap_or(&run.tenths);
        let around = Around::of(whole, span.start, span.end);
        let dip = around.dip();
        let answered = run.tenths.get(span.start..span.end.min(run.tenths.len())).unwrap_or_default();
        Self {
            requests: answered.iter().copied().map(u64::from).sum(),
            failures: failures().map(|failure| failure.count).sum(),
            first_failure_seconds: failures().map(|failure| after(failure.tenth)).next(),
            last_failure_seconds: failures().map(|failure| after(failure.tenth)).next_back(),
            kinds: kinds.into_iter().map(|((kind, pod), count)| FailureKind { kind, pod, count }).collect(),
            lowest_throughput: dip.map(|dip| dip.lowest),
            full_throughput_seconds: dip.and_then(|dip| dip.full_again_seconds),
            around,
        }
    }
}

fn tenth(since: Duration) -> usize {
    usize::try_from(since.as_millis() / 100).unwrap_or(usize::MAX)
}
