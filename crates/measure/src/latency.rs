//! A summary of latency.

use serde::{Deserialize, Serialize};

/// A distribution of times, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// 2.5% took at most this long.
    pub p2_5: u64,
    /// Half of them did.
    pub p50: u64,
    /// 75% did.
    pub p75: u64,
    /// 90% did.
    pub p90: u64,
    /// 97.5% did.
    pub p97_5: u64,
    /// 99% did.
    pub p99: u64,
    /// 99.9% did.
    pub p99_9: u64,
    /// 99.99% did.
    pub p99_99: u64,
    /// The mean.
    pub average: f64,
    /// The standard deviation.
    pub stdev: f64,
    /// The longest.
    pub max: u64,
}

impl Latency {
    /// From `count` times in microseconds, with `quantile` for the time that a part of them (0 to 1) did not exceed.
    #[must_use]
    pub fn new(count: u64, average: f64, stdev: f64, max: u64, quantile: impl Fn(f64) -> u64) -> Self {
        Self {
            count,
            p2_5: quantile(0.025),
            p50: quantile(0.5),
            p75: quantile(0.75),
            p90: quantile(0.9),
            p97_5: quantile(0.975),
            p99: quantile(0.99),
            p99_9: quantile(0.999),
            p99_99: quantile(0.9999),
            average,
            stdev,
            max,
        }
    }
}
