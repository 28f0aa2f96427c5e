//! The times of one pod's answers, coarser than those of the run: there can be hundreds of pods.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// At most 1% off: 15 kB a pod, instead of 200 for a tenth of that.
const SIGNIFICANT_DIGITS: u8 = 2;
/// The longest time that is kept apart from longer ones: an hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;

/// Many times, in microseconds.
#[derive(Clone, PartialEq)]
pub struct PodTimes(Histogram<u32>);

impl PodTimes {
    /// None yet; `None` when there can be no histogram.
    pub(super) fn new() -> Option<Self> {
        Histogram::new_with_bounds(1, LONGEST, SIGNIFICANT_DIGITS).ok().map(Self)
    }

    /// One more.
    #[inline]
    pub(super) fn record(&mut self, time: Duration) {
        self.0.saturating_record(time.as_secs() * 1_000_000 + u64::from(time.subsec_micros()));
    }

    /// All of `other`'s, too.
    pub(super) fn add(&mut self, other: &Self) {
        // Both have the same bounds, and then it cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// The time in microseconds that this part of all (0 to 1) did not exceed; 0 when there is none.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }
}

/// In a line: the histogram has thousands of buckets.
impl fmt::Debug for PodTimes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PodTimes").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_one_percent() {
        let mut times = PodTimes::new().unwrap();
        (1..=1000).for_each(|ms| times.record(Duration::from_millis(ms)));
        let mut rest = PodTimes::new().unwrap();
        (1001..=2000).for_each(|ms| rest.record(Duration::from_millis(ms)));
        times.add(&rest);
        for (quantile, exact) in [(0.5, 1_000_000), (0.99, 1_980_000), (1.0, 2_000_000_u64)] {
            let off = times.quantile(quantile).abs_diff(exact);
            assert!(off <= exact / 100, "{quantile} is off by {off} of {exact}");
        }
    }
}
