//! A pod that an event made slow: what share of the requests met it, and how long they took.

use serde::{Deserialize, Serialize};

use crate::ObservedSlowPod;

/// Requests that were answered, and how long the responses took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTimes {
    /// How many.
    pub requests: u64,
    /// Half of them took at most this long; 0 where there are none.
    pub p50_us: u64,
    /// 99% of them took at most this long.
    pub p99_us: u64,
}

/// The load on a pod while an event made it slow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlowPod {
    /// Its name.
    pub pod: String,
    /// How long it was slow, in seconds.
    pub seconds: f64,
    /// The share of one pod if the requests were even, from 0 to 1; `None` when no pod was ready.
    pub even_share: Option<f64>,
    /// What was measured; `None` where the responses do not name their pods.
    pub load: Option<SlowPodLoad>,
    /// From the begin of the event until the pod was not ready, in seconds; `None` if it stayed ready.
    pub not_ready_seconds: Option<f64>,
    /// From the begin of the event until it was ready again, in seconds; `None` if it never was.
    pub ready_again_seconds: Option<f64>,
    /// Whether its container, or the pod, ended before the event was over.
    pub ended_early: bool,
}

/// The requests that were open while a pod was slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlowPodLoad {
    /// The part of all requests that the slow pod answered, from 0 to 1; `None` if no request was answered.
    pub share: Option<f64>,
    /// The same before the event; `None` where nothing was measured before.
    pub share_before: Option<f64>,
    /// Requests that the slow pod answered.
    pub of_pod: RequestTimes,
    /// Requests that all other pods answered.
    pub of_others: RequestTimes,
    /// All requests.
    pub of_all: RequestTimes,
}

impl SlowPod {
    /// Computes the shares.
    #[must_use]
    pub(super) fn of(observed: &ObservedSlowPod) -> Self {
        let load = observed.requests.as_ref().map(|requests| SlowPodLoad {
            share: part(requests.of_pod.requests, requests.of_all.requests),
            share_before: part(requests.pod_before, requests.all_before),
            of_pod: requests.of_pod,
            of_others: requests.of_others,
            of_all: requests.of_all,
        });
        Self {
            pod: observed.pod.clone(),
            seconds: observed.slow.as_secs_f64(),
            even_share: part(1, observed.pods),
            load,
            not_ready_seconds: observed.not_ready.map(|after| after.as_secs_f64()),
            ready_again_seconds: observed.ready_again.map(|after| after.as_secs_f64()),
            ended_early: observed.ended_early,
        }
    }
}

/// `None` of nothing.
#[allow(clippy::cast_precision_loss, reason = "requests of a run")]
fn part(of: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::SlowPodRequests;

    fn observed(requests: Option<SlowPodRequests>) -> ObservedSlowPod {
        ObservedSlowPod {
            pod: "a".into(),
            pods: 4,
            slow: Duration::from_secs(5),
            requests,
            ..ObservedSlowPod::default()
        }
    }

    #[test]
    fn shares_are_of_all_requests() {
        let times = |requests, p99_us| RequestTimes { requests, p50_us: 1, p99_us };
        let slow = SlowPod::of(&observed(Some(SlowPodRequests {
            pod_before: 24,
            all_before: 100,
            of_pod: times(2, 98_000),
            of_others: times(78, 1_000),
            of_all: times(80, 2_000),
        })));
        let load = slow.load.unwrap();
        assert_eq!((load.share, load.share_before, slow.even_share), (Some(0.025), Some(0.24), Some(0.25)));
        assert_eq!((load.of_pod.p99_us, load.of_others.p99_us, load.of_all.p99_us), (98_000, 1_000, 2_000));
    }

    #[test]
    fn what_was_not_measured_is_not_known() {
        let load = SlowPod::of(&observed(Some(SlowPodRequests::default()))).load.unwrap();
        assert_eq!((load.share, load.share_before), (None, None));
        assert_eq!(SlowPod::of(&observed(None)).load, None, "the responses name no pod");
        let none = SlowPod::of(&ObservedSlowPod::default());
        assert_eq!((none.even_share, none.not_ready_seconds), (None, None));
    }
}
