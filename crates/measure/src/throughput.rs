//! Throughput, sampled once a second as autocannon does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A count per second, over the seconds of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// In the worst 1% of the seconds it was at most this.
    pub p1: f64,
    /// The same for the worst 2.5%.
    pub p2_5: f64,
    /// The same for half of the seconds.
    pub p50: f64,
    /// The same for 97.5% of the seconds.
    pub p97_5: f64,
    /// The mean.
    pub average: f64,
    /// The standard deviation.
    pub stdev: f64,
    /// The worst second.
    pub min: f64,
    /// The best second.
    pub max: f64,
}

impl Throughput {
    /// The summary of one sample for each second.
    #[must_use]
    pub fn new(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { return Self::default() };
        let average = mean(&sorted);
        let variance = mean(&sorted.iter().map(|sample| (sample - average).powi(2)).collect::<Vec<_>>());
        Self {
            p1: percentile(&sorted, 1.0),
            p2_5: percentile(&sorted, 2.5),
            p50: percentile(&sorted, 50.0),
            p97_5: percentile(&sorted, 97.5),
            average,
            stdev: variance.sqrt(),
            min,
            max,
        }
    }
}

/// The samples of a run that lasted `elapsed`, and the length of a sample. The samples are the whole seconds of the
/// run. A run shorter than a second has one sample, scaled to a whole second.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "counts of one second are below 2^53")]
pub fn samples(seconds: &[u64], elapsed: Duration) -> (Vec<f64>, Duration) {
    let whole = usize::try_from(elapsed.as_secs()).unwrap_or(usize::MAX).min(seconds.len());
    match seconds.first() {
        Some(&begun) if whole == 0 && !elapsed.is_zero() => (vec![begun as f64 / elapsed.as_secs_f64()], elapsed),
        _ => (seconds[..whole].iter().map(|count| *count as f64).collect(), Duration::from_secs(1)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a run has at most a day's seconds")]
fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

/// The smallest sample that `percent` of all samples do not exceed.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into a day's seconds"
)]
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = percent / 100.0 * sorted.len() as f64;
    // 97.5% of 40 is 39, even if the product is rounded up slightly.
    let rank = (rank - rank * f64::EPSILON).ceil().max(1.0) as usize;
    sorted[rank.min(sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let summary = Throughput::new((1..=40).rev().map(f64::from));
        assert_eq!((summary.p1, summary.p2_5, summary.p50, summary.p97_5), (1.0, 1.0, 20.0, 39.0));
        assert_eq!((summary.min, summary.max, summary.average), (1.0, 40.0, 20.5));
        assert!((summary.stdev - 11.543_396).abs() < 1e-6, "{}", summary.stdev);
        assert_eq!(Throughput::new([]), Throughput::default());
    }

    #[test]
    fn a_begun_second_counts_only_when_there_is_no_other() {
        let seconds = [100, 200, 30];
        assert_eq!(samples(&seconds, Duration::from_millis(2300)), (vec![100.0, 200.0], Duration::from_secs(1)));
        assert_eq!(samples(&seconds[..1], Duration::from_millis(500)), (vec![200.0], Duration::from_millis(500)));
        assert_eq!(samples(&[], Duration::ZERO).0, Vec::<f64>::new());
    }
}
