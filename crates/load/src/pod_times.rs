//! The latencies of one pod or of one bin of time. Their histogram is coarser than that of the run because there can be
//! hundreds of them.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::wire;

/// Two digits are at most 1% off and take 15 kB for each pod; three digits are at most 0.1% off and take 200 kB.
const SIGNIFICANT_DIGITS: u8 = 2;
/// The upper bound of the histogram in microseconds: an hour. Longer times count as this one.
const LONGEST: u64 = 3_600_000_000;

/// A distribution of times in microseconds, at most 1% off.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct PodTimes(
    #[serde(serialize_with = "wire::write_small_histogram", deserialize_with = "read_histogram")] Histogram<u32>,
);

impl PodTimes {
    /// An empty distribution; `None` when the histogram cannot be created.
    pub(super) fn new() -> Option<Self> {
        Histogram::new_with_bounds(1, LONGEST, SIGNIFICANT_DIGITS).ok().map(Self)
    }

    /// Adds one time.
    #[inline]
    pub(super) fn record(&mut self, time: Duration) {
        self.0.saturating_record(time.as_secs() * 1_000_000 + u64::from(time.subsec_micros()));
    }

    /// Adds all times of `other`.
    pub(super) fn add(&mut self, other: &Self) {
        // It cannot fail, because both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// Whether there are no times.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The quantile (0 to 1) in microseconds; 0 when there are no times.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }
}

/// A histogram with the bounds of all others.
fn read_histogram<'a, D: serde::Deserializer<'a>>(input: D) -> Result<Histogram<u32>, D::Error> {
    wire::read_histogram(input, || Ok(PodTimes::new().ok_or_else(|| serde::de::Error::custom("no histogram"))?.0))
}

/// Short, because the histogram has thousands of buckets.
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
