//! The seconds of a run, combined into bins that fit a chart.

use std::collections::BTreeMap;

use crate::report::number::count;
use evenkeel_measure::{Measurement, samples};

/// The maximum number of kinds of failure that are listed for a bin.
const MOST_KINDS: usize = 4;

/// Consecutive seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bin {
    /// The first second, since the run began.
    pub(super) from: u32,
    /// Responses per second: mean, minimum and maximum. `None` if no whole second was measured.
    pub(super) rate: Option<(f64, f64, f64)>,
    /// Failures by kind, the most frequent first.
    pub(super) wrong: Vec<(String, u64)>,
}

impl Bin {
    /// The number of failures.
    pub(super) fn wrong_count(&self) -> u64 {
        self.wrong.iter().map(|(_, count)| count).fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// "1,180 refused, 4 reset"; "no errors".
    pub(super) fn wrong_words(&self) -> String {
        let kind = |(kind, times): &(String, u64)| format!("{} {kind}", count(*times));
        let mut kinds: Vec<String> = self.wrong.iter().take(MOST_KINDS).map(kind).collect();
        if self.wrong.len() > MOST_KINDS {
            kinds.push("and more".into());
        }
        if kinds.is_empty() { "no errors".into() } else { kinds.join(", ") }
    }
}

/// The seconds of `run` in at most `most` bins, and how many seconds each is long.
pub(super) fn bins(run: &Measurement, most: u32) -> (Vec<Bin>, u32) {
    let requests: Vec<u64> = run.timeline.iter().map(|second| second.requests).collect();
    let elapsed = std::time::Duration::try_from_secs_f64(run.elapsed_seconds).unwrap_or_default();
    let rates = samples(&requests, elapsed).0;
    let seconds = u32::try_from(requests.len().max(rates.len())).unwrap_or(u32::MAX).max(1);
    let length = seconds.div_ceil(most.max(1));
    let mut wrong: BTreeMap<u32, BTreeMap<&str, u64>> = BTreeMap::new();
    for fault in &run.faults {
        // Failures after the end count in the last second.
        let kinds = wrong.entry(fault.second.min(seconds - 1) / length).or_default();
        let times = kinds.entry(&fault.kind).or_default();
        *times = times.saturating_add(fault.count);
    }
    let bin = |at: u32| {
        let from = at * length;
        let first = usize::try_from(from).unwrap_or(usize::MAX).min(rates.len());
        let last = first.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)).min(rates.len());
        let mut kinds: Vec<(String, u64)> =
            wrong.remove(&at).unwrap_or_default().into_iter().map(|(kind, times)| (kind.to_owned(), times)).collect();
        kinds.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        Bin { from, rate: summary(&rates[first..last]), wrong: kinds }
    };
    ((0..seconds.div_ceil(length)).map(bin).collect(), length)
}

fn summary(rates: &[f64]) -> Option<(f64, f64, f64)> {
    let count = f64::from(u32::try_from(rates.len()).ok().filter(|count| *count > 0)?);
    let (low, high) = rates.iter().fold((f64::MAX, 0.0_f64), |(low, high), rate| (low.min(*rate), high.max(*rate)));
    Some((rates.iter().sum::<f64>() / count, low, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use evenkeel_measure::{FaultCount, TimelineSecond};

    fn run(requests: &[u64], elapsed: f64) -> Measurement {
        let mut run = sample::measurement();
        run.timeline = requests.iter().map(|requests| TimelineSecond { requests: *requests, bytes: 0 }).collect();
        run.elapsed_seconds = elapsed;
        run
    }

    #[test]
    fn a_short_run_has_a_bin_for_each_second() {
        let (bins, length) = bins(&run(&[10, 20, 30], 3.0), 100);
        assert_eq!((bins.len(), length), (3, 1));
        assert_eq!((bins[2].from, bins[2].rate), (2, Some((30.0, 30.0, 30.0))));
    }

    #[test]
    fn seconds_of_a_long_run_are_combined_and_an_incomplete_one_has_no_rate() {
        let (bins, length) = bins(&run(&[10, 20, 30, 40, 5], 4.2), 3);
        assert_eq!((bins.len(), length), (3, 2));
        assert_eq!(bins[1].rate, Some((35.0, 30.0, 40.0)));
        assert_eq!((bins[2].from, bins[2].rate), (4, None));
    }

    #[test]
    fn failures_are_added_up_and_none_is_lost() {
        let mut run = run(&[1, 1, 1, 1], 4.0);
        let fault = |kind: &str, second, count| FaultCount { kind: kind.into(), second, pod: None, count };
        run.faults = vec![fault("reset", 1, 2), fault("refused", 0, 5), fault("reset", 0, 1), fault("reset", 900, 7)];
        let (bins, _) = bins(&run, 2);
        assert_eq!(bins[0].wrong_words(), "5 refused, 3 reset");
        assert_eq!((bins[0].wrong_count(), bins[1].wrong_count()), (8, 7));
    }

    #[test]
    fn nonsense_is_drawn_as_nothing() {
        for elapsed in [f64::MAX, -1.0, 0.0] {
            assert_eq!(bins(&run(&[], elapsed), 10).0, [Bin::default()]);
        }
    }
}
