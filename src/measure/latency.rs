//! Latency, summed up.

use serde::{Deserialize, Serialize};

use crate::load::Times;

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

impl From<&Times> for Latency {
    fn from(times: &Times) -> Self {
        Self {
            count: times.count(),
            p2_5: times.quantile(0.025),
            p50: times.quantile(0.5),
            p75: times.quantile(0.75),
            p90: times.quantile(0.9),
            p97_5: times.quantile(0.975),
            p99: times.quantile(0.99),
            p99_9: times.quantile(0.999),
            p99_99: times.quantile(0.9999),
            average: times.mean(),
            stdev: times.stdev(),
            max: times.max(),
        }
    }
}
