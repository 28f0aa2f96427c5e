//! A node that an event acted on: when Kubernetes and the load balancer noticed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{FailureKind, Impact};
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
    /// When the router sent no new connection for the Service there.
    #[serde(default)]
    pub no_route: Gap,
    /// The Service's pods that were there when the event began.
    #[serde(default)]
    pub pods: Vec<String>,
    /// Of the failures until the next event, those on connections that led to these pods; `None` where that was not measured.
    #[serde(default)]
    pub failures: Option<u64>,
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
    /// The times in seconds, and the failures on the node's pods among those of the event.
    #[must_use]
    pub(super) fn of(observed: &ObservedNode, impact: Option<&Impact>) -> Self {
        let is_there = |kind: &&FailureKind| kind.pod.as_ref().is_some_and(|pod| observed.pods.contains(pod));
        Self {
            node: observed.name.clone(),
            evicted_pods: observed.evicted,
            not_ready: Gap::of(observed.not_ready),
            no_endpoints: Gap::of(observed.no_endpoints),
            no_route: Gap::of(observed.no_route),
            pods: observed.pods.clone(),
            failures: impact.map(|impact| impact.kinds.iter().filter(is_there).map(|kind| kind.count).sum()),
        }
    }
}

impl Gap {
    fn of(Absence { began, ended }: Absence) -> Self {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        Self { from_seconds: seconds(began), to_seconds: seconds(ended) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_on_its_pods_are_those_of_the_node() {
        let kind = |kind: &str, pod: Option<&str>, count| FailureKind {
            kind: kind.into(),
            pod: pod.map(str::to_owned),
            count,
        };
        let kinds = vec![kind("reset", Some("a"), 3), kind("timed out", Some("b"), 4), kind("reset", Some("c"), 5)];
        let impact = Impact { kinds: [kinds, vec![kind("refused", None, 6)]].concat(), ..Impact::default() };
        let second = Some(Duration::from_millis(1500));
        let observed = ObservedNode {
            name: "lab-1".into(),
            pods: vec!["a".into(), "b".into()],
            no_route: Absence { began: second, ended: None },
            ..ObservedNode::default()
        };
        let effect = NodeEffect::of(&observed, Some(&impact));
        assert_eq!((effect.failures, effect.no_route.from_seconds), (Some(7), Some(1.5)));
        assert_eq!(NodeEffect::of(&observed, None).failures, None);
    }
}
