//! What a run looks like while it is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::worker::Gauge;

/// A glance at a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Live {
    /// Whether nothing is counted yet.
    pub warming_up: bool,
    /// Until the run ends, if nothing ends it sooner.
    pub left: Duration,
    /// How many requests end it, answered or failed.
    pub planned_requests: Option<u64>,
    /// Answers so far.
    pub requests: u64,
    /// Answers a second, lately.
    pub rate: f64,
    /// Of 100 answers so far, 99 came within this time.
    pub p99: Duration,
    /// Faults so far.
    pub faults: u64,
    /// Pods that have answered.
    pub pods: u64,
}

/// Glances at the workers' gauges.
pub(super) struct Glance {
    gauges: Vec<Arc<Gauge>>,
    planned_requests: Option<u64>,
    start: Instant,
    end: Instant,
    /// When the gauges were set at the last glance, in microseconds of the run, and the answers then.
    last: (u64, u64),
    rate: f64,
}

impl Glance {
    pub(super) fn new(gauges: Vec<Arc<Gauge>>, plan: &Plan, start: Instant, end: Instant) -> Self {
        let planned_requests = plan.requests.map(Into::into);
        Self { gauges, planned_requests, start, end, last: (0, 0), rate: 0.0 }
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub(super) fn take(&mut self, now: Instant) -> Live {
        let values =
            |of: fn(&Gauge) -> &AtomicU64| self.gauges.iter().map(move |gauge| of(gauge).load(Ordering::Relaxed));
        let requests: u64 = values(|gauge| &gauge.requests).sum();
        let at = values(|gauge| &gauge.at).max().unwrap_or(0);
        let (then, before) = self.last;
        if at > then {
            self.rate = requests.saturating_sub(before) as f64 * 1e6 / (at - then) as f64;
            self.last = (at, requests);
        }
        Live {
            warming_up: now < self.start,
            planned_requests: self.planned_requests,
            left: self.end.saturating_duration_since(now.max(self.start)),
            requests,
            rate: self.rate,
            // The workers' own are near enough to each other for a glance; the result merges them properly.
            p99: Duration::from_micros(values(|gauge| &gauge.p99).max().unwrap_or(0)),
            faults: values(|gauge| &gauge.faults).sum(),
            pods: values(|gauge| &gauge.pods).max().unwrap_or(0),
        }
    }
}
