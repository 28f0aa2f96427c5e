//! Latency by percentile, as `HdrHistogram` plots it: finer and finer towards the longest.

use serde::{Deserialize, Serialize};

/// Steps on each half of the remaining distance to 100%, as in the output of `HdrHistogram`.
const TICKS_PER_HALF: u32 = 5;
/// The maximum number of points: 2^40 requests need no more.
const MOST_POINTS: usize = 200;

/// One point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PercentilePoint {
    /// The percentile, 0 to 100.
    pub percentile: f64,
    /// This part of all requests took at most this long, in microseconds.
    pub us: u64,
    /// How many took at most this long.
    pub count: u64,
}

/// The points from 0 to 100% of `total` times, of which `quantile` gives the one that a part of them (0 to 1) did not
/// exceed, and `count_at_most` how many did not exceed one; none where nothing was measured. From the median on, the
/// distance to 100% is halved every five steps, as long as at least one time lies above a step.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "fewer than 2^53 requests")]
pub fn percentile_curve(
    total: u64,
    quantile: impl Fn(f64) -> u64,
    count_at_most: impl Fn(u64) -> u64,
) -> Vec<PercentilePoint> {
    if total == 0 {
        return Vec::new();
    }
    let point = |part: f64| {
        let us = quantile(part);
        PercentilePoint { percentile: part * 100.0, us, count: count_at_most(us) }
    };
    let ticks = (0..MOST_POINTS as u64 - 1).map(tick).take_while(|part| (1.0 - part) * total as f64 >= 1.0);
    ticks.map(point).chain([point(1.0)]).collect()
}

/// The quantile of step `at`: 0, 0.1, … 0.5, 0.55, … 0.75, 0.775, …
fn tick(at: u64) -> f64 {
    let ticks = u64::from(TICKS_PER_HALF);
    let left = 0.5_f64.powi(i32::try_from(at / ticks).unwrap_or(i32::MAX));
    let within = f64::from(u32::try_from(at % ticks).unwrap_or(0)) / f64::from(TICKS_PER_HALF);
    1.0 - left * (1.0 - within / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The curve of these times, which are sorted.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an index into a few numbers"
    )]
    fn curve(sorted: &[u64]) -> Vec<PercentilePoint> {
        let quantile = |part: f64| sorted[((part * sorted.len() as f64).ceil() as usize).max(1) - 1];
        percentile_curve(sorted.len() as u64, quantile, |us| sorted.partition_point(|time| *time <= us) as u64)
    }

    #[test]
    fn known_points() {
        let curve = curve(&(1..=1000).collect::<Vec<_>>());
        let at = |percentile: f64| curve.iter().find(|point| (point.percentile - percentile).abs() < 1e-9).unwrap();
        for (percentile, us) in [(0.0, 1), (10.0, 100), (50.0, 500), (75.0, 750), (87.5, 875), (100.0, 1000)] {
            assert_eq!((at(percentile).us, at(percentile).count), (us, us), "{percentile}");
        }
        assert!(curve.is_sorted_by(|a, b| a.percentile < b.percentile && a.us <= b.us && a.count <= b.count));
    }

    #[test]
    fn it_ends_where_no_time_is_left_between_two_steps() {
        let percentiles: Vec<f64> = curve(&[7, 9]).iter().map(|point| point.percentile).collect();
        assert_eq!(percentiles.last_chunk(), Some(&[50.0, 100.0]));
        assert_eq!(curve(&[]), []);
    }

    #[test]
    fn the_most_that_can_be_measured_has_a_bounded_curve() {
        assert!((1.0 - tick(MOST_POINTS as u64 - 2)) * 2_f64.powi(39) < 1.0, "2^39 requests fit");
    }
}
