//! The table of promises.

use serde::Serialize;

use super::promise::{Limit, Promise, Seen};
use crate::measure::{Event, Measurement, Mode, grouped_count};
use crate::report::{Align, plain_table};

/// A promise under one kind of load.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    /// The event.
    pub(super) event: String,
    /// "keepalive", "no-keepalive"; by whom, where that is not this program.
    pub(super) load: String,
    /// Rounds that were made.
    pub(super) rounds: u32,
    /// Requests that were answered meanwhile.
    pub(super) requests: u64,
    /// Requests that failed or were answered badly.
    pub(super) failed: u64,
    /// The longest that an event took, in seconds.
    pub(super) longest_seconds: Option<f64>,
    /// How long throughput took to be full again, over all rounds, in seconds; only where that is promised, and none where
    /// it was not.
    pub(super) full_again_seconds: Option<f64>,
    /// What failed at which of its events, where anything did: "new image at 61.2 s: 1 refused".
    pub(super) failures: Vec<String>,
    /// What was not as promised.
    pub(super) broken: Option<String>,
}

impl Row {
    /// What was seen of a promise.
    pub(super) fn new(promise: &Promise, mode: Mode, runs: &[Measurement]) -> Self {
        let seen = Seen::of(promise, runs);
        let full_again = seen.full_again.filter(|_| promise.limit == Limit::TwiceTheConnections);
        Self {
            event: promise.name.into(),
            load: mode.to_string(),
            rounds: u32::try_from(seen.events / promise.events_a_round()).unwrap_or(u32::MAX),
            requests: seen.requests,
            failed: seen.failed,
            longest_seconds: Some(seen.took),
            full_again_seconds: full_again,
            failures: failures(promise, runs),
            broken: seen.broke(promise.limit),
        }
    }

    /// Failures that no event of these promises explains: before the first one.
    pub(super) fn between(promises: &[Promise], mode: Mode, runs: &[Measurement]) -> Option<Self> {
        let all: u64 = runs.iter().map(|run| run.errors + run.requests.non_2xx).sum();
        let known: u64 = promises.iter().map(|promise| Seen::of(promise, runs).failed).sum();
        (all > known).then(|| Self {
            event: "before any event".into(),
            load: mode.to_string(),
            rounds: 0,
            requests: 0,
            failed: all - known,
            longest_seconds: None,
            full_again_seconds: None,
            failures: Vec::new(),
            broken: Some(format!("{} requests failed", all - known)),
        })
    }

    /// The sentence of a promise that was broken.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.as_ref().map(|why| format!("{} ({}): {why}", self.event, self.load))
    }

    fn cells(&self) -> Vec<String> {
        let seconds = |seconds: Option<f64>| seconds.map_or_else(|| "-".into(), |seconds| format!("{seconds:.1} s"));
        vec![
            self.event.clone(),
            self.load.clone(),
            self.rounds.to_string(),
            grouped_count(self.requests),
            grouped_count(self.failed),
            seconds(self.longest_seconds),
            seconds(self.full_again_seconds),
            if self.broken.is_some() { "no".into() } else { "yes".into() },
        ]
    }
}

/// What failed, event by event.
fn failures(promise: &Promise, runs: &[Measurement]) -> Vec<String> {
    let events = runs.iter().flat_map(|run| &run.events).filter(|event| promise.owns(&event.what));
    let told = |event: &Event| {
        let impact = event.impact.as_ref().filter(|impact| impact.failures > 0)?;
        let kinds = impact.kinds.iter().map(|kind| format!("{} {}", kind.count, kind.kind));
        let first = impact.first_failure_seconds.unwrap_or_default();
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        Some(format!("{} at {:.1} s: {kinds}, the first after {first:.1} s", event.what, event.second))
    };
    events.filter_map(told).collect()
}

/// All rows; nothing where there is none.
pub(super) fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header = ["EVENT", "LOAD", "ROUNDS", "REQUESTS", "FAILED", "LONGEST", "FULL AGAIN", "KEPT"];
    // What must fail, or is known to, needs no line for each time.
    let unexpected = rows.iter().filter(|row| row.broken.is_some());
    let failed: Vec<_> = unexpected.flat_map(|row| row.failures.iter().map(move |how| (&row.load, how))).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
    let failures: Vec<String> = failed.iter().map(|(load, how)| format!("{how} ({load})\n")).collect();
    format!("{}{}", plain_table(Align::Left, &header, &rows), failures.concat())
}
