//! What each of several generators did in one run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RunData;
use super::generator::{self, Rate};

/// One of the agents that sent the load of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Its name: that of its pod.
    pub name: String,
    /// Its node, where that is known.
    pub node: Option<String>,
    /// Its connections.
    pub connections: u32,
    /// Requests that were answered, with any status.
    pub requests: u64,
    /// Failed requests and connections, and statuses that were not expected.
    pub errors: u64,
    /// The same by kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors_by_kind: Vec<AgentErrors>,
    /// The part of the run that its busiest thread was on a processor, 0 to 1.
    pub busiest: f64,
    /// Whether that was at least 0.9 while there was more to send: this agent was the limit.
    pub generator_bound: bool,
    /// By how much its time of day is ahead of that of the command line, in microseconds; `None` if it was not measured.
    pub clock_offset_us: Option<i64>,
    /// By how much that can be wrong at most, and so by how much its seconds may be shifted against those of others.
    pub clock_error_us: Option<u64>,
    /// How much later than the others it began, in microseconds.
    #[serde(default)]
    pub late_us: u64,
    /// Why it did not do its part; `None` if it did.
    pub trouble: Option<String>,
}

/// Errors of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentErrors {
    /// What happened: "refused", "status 503".
    pub kind: String,
    /// How often.
    pub count: u64,
}

impl Agent {
    /// The same with what it counted: its own `run`.
    #[must_use]
    pub fn counted(self, run: &RunData) -> Self {
        let rate = Rate::new(run);
        let busiest = generator::busiest(&run.threads, run.elapsed);
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for failure in &run.failures {
            *kinds.entry(&failure.kind).or_default() += failure.count;
        }
        let kinds = kinds.into_iter().map(|(kind, count)| AgentErrors { kind: kind.to_owned(), count });
        let bound = generator::is_bound(busiest, rate.as_ref());
        let too_slow = rate.filter(|rate| bound && rate.missed).map(|rate| {
            let (achieved, target) = (rate.achieved, rate.target);
            format!("it was too slow: it sent {achieved:.0} requests per second of {target:.0}")
        });
        Self {
            requests: run.answered,
            errors: run.failures.iter().map(|failure| failure.count).sum(),
            errors_by_kind: kinds.collect(),
            busiest,
            generator_bound: bound,
            trouble: self.trouble.or(too_slow),
            ..self
        }
    }

    /// How long after the others it began.
    #[must_use]
    pub fn late(&self) -> Duration {
        Duration::from_micros(self.late_us)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Failure, FailureClass, ScheduledRun, ThreadUsage};
    use super::*;

    #[test]
    fn an_agent_that_misses_its_rate_because_it_is_busy_is_named() {
        let run = |busy_ms, unsent| RunData {
            elapsed: Duration::from_secs(1),
            sent: 500,
            answered: 490,
            scheduled: Some(ScheduledRun { target: 1000.0, unsent, ..ScheduledRun::default() }),
            threads: vec![ThreadUsage { cpu: Duration::from_millis(busy_ms), ..ThreadUsage::default() }],
            failures: vec![Failure {
                tenth: 1,
                kind: "reset".into(),
                class: FailureClass::Error,
                pod: None,
                count: 10,
            }],
            ..RunData::default()
        };
        let agent = |busy_ms, unsent| Agent::default().counted(&run(busy_ms, unsent));
        let slow = agent(990, 500);
        assert_eq!(slow.trouble.as_deref(), Some("it was too slow: it sent 500 requests per second of 1000"));
        assert_eq!((slow.requests, slow.errors, slow.errors_by_kind[0].count), (490, 10, 10));
        assert!(slow.generator_bound);
        assert_eq!(
            (agent(500, 500).trouble, agent(990, 0).trouble),
            (None, None),
            "a slow server, and a rate that is kept"
        );
    }
}
