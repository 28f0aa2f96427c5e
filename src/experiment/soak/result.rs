//! The result for a promise.

use serde::Serialize;

use super::promise::{Guarantee, Observation, Promise};
use evenkeel_measure::{Event, Measurement, Way, some};

/// A promise under one kind of load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromiseResult {
    /// The event.
    pub event: String,
    /// The way of the load: "keepalive" or "grpc-no-keepalive", with "by wrk" if an independent client sent it.
    pub load: String,
    /// The number of rounds that were made.
    pub rounds: u32,
    /// Requests that got a response during the events.
    pub requests: u64,
    /// Requests that failed, or got a response with an unexpected status.
    pub failed: u64,
    /// The longest time that an event took, in seconds.
    pub longest_seconds: Option<f64>,
    /// The time until throughput was full again, over all rounds, in seconds; `None` if that is not promised, or if it
    /// was not full again.
    pub full_again_seconds: Option<f64>,
    /// The failures of each of its events: "new image at 61.2 s: 1 refused".
    pub failures: Vec<String>,
    /// Why the promise was broken; `None` if it was kept.
    pub broken: Option<String>,
}

impl PromiseResult {
    /// The result for a promise.
    pub(super) fn new(promise: &Promise, way: Way, runs: &[Measurement]) -> Self {
        let observed = Observation::of(promise, runs);
        let full_again = observed
            .full_again
            .filter(|_| matches!(promise.guarantee, Guarantee::FewFailures | Guarantee::NodeIsLost { .. }));
        Self {
            event: promise.name.clone(),
            load: way.to_string(),
            rounds: u32::try_from(observed.events / promise.events_a_round()).unwrap_or(u32::MAX),
            requests: observed.requests,
            failed: observed.failed,
            longest_seconds: Some(observed.took),
            full_again_seconds: full_again,
            failures: failures(promise, runs),
            broken: observed.broke(promise.guarantee),
        }
    }

    /// Failures before the first event, which belong to no promise.
    pub(super) fn between(promises: &[Promise], way: Way, runs: &[Measurement]) -> Option<Self> {
        let all: u64 = runs.iter().map(|run| run.errors + run.requests.non_2xx).sum();
        let known: u64 = promises.iter().map(|promise| Observation::of(promise, runs).failed).sum();
        (all > known).then(|| Self {
            event: "before any event".into(),
            load: way.to_string(),
            rounds: 0,
            requests: 0,
            failed: all - known,
            longest_seconds: None,
            full_again_seconds: None,
            failures: Vec::new(),
            broken: Some(some(all - known, "request") + " failed"),
        })
    }

    /// The sentence about a broken promise.
    #[must_use]
    pub fn broken_sentence(&self) -> Option<String> {
        self.broken.as_ref().map(|why| format!("{} ({}): {why}", self.event, self.load))
    }
}

/// The failures of each event.
fn failures(promise: &Promise, runs: &[Measurement]) -> Vec<String> {
    let events = runs.iter().flat_map(|run| &run.events).filter(|event| promise.owns(&event.what));
    let line = |event: &Event| {
        let impact = event.impact.as_ref().filter(|impact| impact.failures > 0)?;
        let kinds = impact.kinds.iter().map(|kind| format!("{} {}", kind.count, kind.kind));
        let first = impact.first_failure_seconds.unwrap_or_default();
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        Some(format!("{} at {:.1} s: {kinds}, first after {first:.1} s", event.what, event.second))
    };
    events.filter_map(line).collect()
}
