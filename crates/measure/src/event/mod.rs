//! Events during a run, and their effect on the load.

mod dip;
mod impact;
mod node;
mod slow_pod;

use serde::{Deserialize, Serialize};

pub use dip::{Around, Dip};
pub use impact::{FailureKind, Impact};
pub use node::{Gap, NodeEffect};
pub use slow_pod::{RequestTimes, SlowPod, SlowPodLoad};

use super::{ObservedEvent, RunData};

/// Something that was done to the workload or to the cluster while it was under load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, in seconds since the run began.
    pub second: f64,
    /// What, in a few words: "scaled to 10 pods".
    pub what: String,
    /// When it was complete, in seconds since the run began: every pod is ready and every rule in place, or the
    /// component runs again.
    #[serde(default)]
    pub over_second: Option<f64>,
    /// Why it did not complete.
    #[serde(default)]
    pub trouble: Option<String>,
    /// Its effect on the load, up to the next event.
    #[serde(default)]
    pub impact: Option<Impact>,
    /// The pod that it made slow.
    #[serde(default)]
    pub slow_pod: Option<SlowPod>,
    /// The node that it acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeEffect>,
}

impl Event {
    /// The events of `run` in the order in which they began, each with its effect on the load up to the next one.
    #[must_use]
    pub fn of(run: &RunData, events: &[ObservedEvent]) -> Vec<Self> {
        let mut sorted: Vec<&ObservedEvent> = events.iter().collect();
        sorted.sort_by_key(|event| event.began);
        let ends = sorted.iter().skip(1).map(|next| next.began).chain([run.elapsed]);
        sorted.iter().zip(ends).map(|(event, end)| Self::one(run, event, end)).collect()
    }

    fn one(run: &RunData, event: &ObservedEvent, end: std::time::Duration) -> Self {
        let impact = (event.began < run.elapsed).then(|| Impact::of(run, event.began, end));
        Self {
            second: event.began.as_secs_f64(),
            what: event.what.clone(),
            over_second: event.trouble.is_none().then_some(event.over.as_secs_f64()),
            trouble: event.trouble.clone(),
            slow_pod: event.slow_pod.as_ref().map(SlowPod::of),
            node: event.node.as_ref().map(|node| NodeEffect::of(node, impact.as_ref())),
            impact,
        }
    }

    /// How long it took, in seconds, if it completed.
    #[must_use]
    pub fn took_seconds(&self) -> Option<f64> {
        Some(self.over_second? - self.second)
    }
}
