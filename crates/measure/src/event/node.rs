//! A node that an event acted on: when Kubernetes and the load balancer noticed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Absence, ObservedNode};

/// What an event did to a node. Times are in seconds since the begin of the event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeEffect {
    /// Its name.
    pub node: String,
    /// How many pods were evicted from it; `None` if the event evicts none.
    #[serde(default)]
    pub evicted_pods: Option<u64>,
    /// When it was not Ready.
    #[serde(default)]
    pub not_ready: Gap,
    /// When the Service had no ready endpoint there.
    #[serde(default)]
    pub no_endpoints: Gap,
}

/// From when to when something was missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// When it was missing first; `None` if it was not missed, or was missing before the event.
    #[serde(default)]
    pub from_seconds: Option<f64>,
    /// When it was back for good; `None` if it was not back when the event was over.
    #[serde(default)]
    pub to_seconds: Option<f64>,
}

impl NodeEffect {
    /// The times in seconds.
    #[must_use]
    pub(super) fn of(observed: &ObservedNode) -> Self {
        Self {
            node: observed.name.clone(),
            evicted_pods: observed.evicted,
            not_ready: Gap::of(observed.not_ready),
            no_endpoints: Gap::of(observed.no_endpoints),
        }
    }
}

impl Gap {
    fn of(Absence { began, ended }: Absence) -> Self {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        Self { from_seconds: seconds(began), to_seconds: seconds(ended) }
    }
}
