//! A distribution of times: an HDR histogram for the percentiles, and exact sums for mean and standard deviation.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use super::error::LoadError;
use super::wire;

/// Three significant digits are at most 0.1% off, and exact below 2 ms.
const SIGNIFICANT_DIGITS: u8 = 3;
/// The upper bound of the histogram in microseconds: a day. Longer times count as this one.
const LONGEST: u64 = 86_400_000_000;

/// A distribution of times in microseconds, at most 0.1% off, in memory that does not grow.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    #[serde(serialize_with = "wire::write_histogram", deserialize_with = "read_histogram")]
    histogram: Histogram<u64>,
    max: u64,
    sum: u64,
    squares: u128,
}

impl Times {
    /// An empty distribution.
    ///
    /// # Errors
    /// [`LoadError::Histogram`] when the histogram cannot be created.
    pub fn new() -> Result<Self, LoadError> {
        let histogram = Histogram::new_with_bounds(1, LONGEST, SIGNIFICANT_DIGITS)
            .map_err(|why| LoadError::Histogram { why: why.to_string() })?;
        Ok(Self { histogram, max: 0, sum: 0, squares: 0 })
    }

    /// Adds one time.
    #[inline]
    pub fn record(&mut self, time: Duration) {
        let micros = time.as_secs() * 1_000_000 + u64::from(time.subsec_micros());
        self.histogram.saturating_record(micros);
        self.max = self.max.max(micros);
        self.sum += micros;
        self.squares += u128::from(micros) * u128::from(micros);
    }

    /// Adds all times of `other`.
    pub(super) fn add(&mut self, other: &Self) {
        // It cannot fail, because both have the same bounds.
        let _ = self.histogram.add(&other.histogram);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// How many times were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The quantile (0 to 1) in microseconds; 0 when there are no times.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> u64 {
        // The histogram returns the upper end of a bucket, which may be above the maximum.
        self.histogram.value_at_quantile(quantile).min(self.max)
    }

    /// How many times were at most `micros`, to the resolution of the histogram.
    #[must_use]
    pub fn count_at_most(&self, micros: u64) -> u64 {
        self.histogram.count_between(0, micros)
    }

    /// The exact maximum in microseconds.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The histogram as `HdrHistogram` encodes it (V2, deflated), in base64; `None` when that fails.
    #[must_use]
    pub fn encoded(&self) -> Option<String> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes).ok()?;
        Some(BASE64_STANDARD.encode(bytes))
    }

    /// The exact mean in microseconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a mean needs no more than 53 bits")]
    pub fn mean(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { self.sum as f64 / self.count() as f64 }
    }

    /// The exact standard deviation in microseconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "the difference is taken in whole numbers")]
    pub fn stdev(&self) -> f64 {
        let count = u128::from(self.count());
        let spread = (count * self.squares).saturating_sub(u128::from(self.sum) * u128::from(self.sum));
        if count == 0 { 0.0 } else { (spread as f64).sqrt() / count as f64 }
    }
}

/// A histogram with the bounds of all others, whatever bounds it was sent with, so that they can be added.
fn read_histogram<'a, D: serde::Deserializer<'a>>(input: D) -> Result<Histogram<u64>, D::Error> {
    wire::read_histogram(input, || Ok(Times::new().map_err(serde::de::Error::custom)?.histogram))
}

/// Short, because the histogram has tens of thousands of buckets.
impl fmt::Debug for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, median, max) = (self.count(), self.quantile(0.5), self.max);
        let mut line = formatter.debug_struct("Times");
        line.field("count", &count).field("p50", &median).field("max", &max).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth_and_moments_exact() {
        let mut samples: Vec<u64> = (1..=20_000_u64).map(|n| 50 + n * n % 70_001).collect();
        let (mut even, mut odd) = (Times::new().unwrap(), Times::new().unwrap());
        for (at, sample) in samples.iter().enumerate() {
            if at % 2 == 0 { &mut even } else { &mut odd }.record(Duration::from_micros(*sample));
        }
        even.add(&odd);
        samples.sort_unstable();
        for quantile in [0.025, 0.5, 0.99, 0.9999] {
            let exact = samples[(quantile * 20_000.0_f64).ceil() as usize - 1] as f64;
            let off = (even.quantile(quantile) as f64 - exact).abs() / exact;
            assert!(off <= 0.001, "{quantile}: {off} off");
        }
        let mean = samples.iter().sum::<u64>() as f64 / 20_000.0;
        let stdev = (samples.iter().map(|s| (*s as f64 - mean).powi(2)).sum::<f64>() / 20_000.0).sqrt();
        assert!((even.mean() - mean).abs() < 1e-6 && (even.stdev() - stdev).abs() < 1e-6);
        assert_eq!((even.max(), even.count()), (*samples.last().unwrap(), 20_000));
    }

    #[test]
    fn distributions_that_were_sent_and_added_equal_one_that_recorded_everything() {
        let mut whole = Times::new().unwrap();
        let mut parts = [(); 3].map(|()| Times::new().unwrap());
        for number in 0..30_000_u64 {
            let time = Duration::from_micros(40 + number * number % 900_001);
            whole.record(time);
            parts[number as usize % 3].record(time);
        }
        let mut merged = Times::new().unwrap();
        for part in &parts {
            let sent: Times = serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap();
            assert_eq!(&sent, part);
            merged.add(&sent);
        }
        assert_eq!(merged, whole);
        for quantile in [0.0, 0.5, 0.99, 0.9999, 1.0] {
            assert_eq!(merged.quantile(quantile), whole.quantile(quantile));
        }
        assert!(serde_json::from_str::<Times>(r#"{"histogram": "AAAA", "max": 0, "sum": 0, "squares": 0}"#).is_err());
    }

    #[test]
    fn an_empty_distribution_is_all_zero() {
        let none = Times::new().unwrap();
        assert_eq!((none.quantile(0.99), none.max(), none.mean(), none.stdev()), (0, 0, 0.0, 0.0));
    }
}
