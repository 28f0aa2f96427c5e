//! The progress of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::gauge::Gauge;
use super::plan::LoadPlan;

/// The state of a run at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunProgress {
    /// Whether the run still warms up, so that nothing is counted yet.
    pub warming_up: bool,
    /// The time until the run ends, unless something ends it earlier.
    pub left: Duration,
    /// After how many requests, answered or failed, the run ends.
    pub planned_requests: Option<u64>,
    /// Responses so far.
    pub requests: u64,
    /// Responses per second since the last update.
    pub rate: f64,
    /// The 99th percentile of the latency so far.
    pub p99: Duration,
    /// Faults so far.
    pub faults: u64,
    /// How many pods have sent responses.
    pub pods: u64,
}

/// Computes [`RunProgress`] from the gauges of the workers.
pub(super) struct GaugeReader {
    gauges: Vec<Arc<Gauge>>,
    planned_requests: Option<u64>,
    start: Instant,
    end: Instant,
    /// When the gauges were last set, in microseconds since the start of the run, and the responses then.
    last: (u64, u64),
    rate: f64,
}

impl GaugeReader {
    pub(super) fn new(gauges: Vec<Arc<Gauge>>, plan: &LoadPlan, start: Instant, end: Instant) -> Self {
        let planned_requests = plan.requests.map(Into::into);
        Self { gauges, planned_requests, start, end, last: (0, 0), rate: 0.0 }
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub(super) fn take(&mut self, now: Instant) -> RunProgress {
        let values =
            |of: fn(&Gauge) -> &AtomicU64| self.gauges.iter().map(move |gauge| of(gauge).load(Ordering::Relaxed));
        let requests: u64 = values(|gauge| &gauge.requests).sum();
        let at = values(|gauge| &gauge.at).max().unwrap_or(0);
        let (then, before) = self.last;
        if at > then {
            self.rate = requests.saturating_sub(before) as f64 * 1e6 / (at - then) as f64;
            self.last = (at, requests);
        }
        RunProgress {
            warming_up: now < self.start,
            planned_requests: self.planned_requests,
            left: self.end.saturating_duration_since(now.max(self.start)),
            requests,
            rate: self.rate,
            // The highest of the workers' values is good enough here; the result merges the histograms.
            p99: Duration::from_micros(values(|gauge| &gauge.p99).max().unwrap_or(0)),
            faults: values(|gauge| &gauge.faults).sum(),
            pods: values(|gauge| &gauge.pods).max().unwrap_or(0),
        }
    }
}
