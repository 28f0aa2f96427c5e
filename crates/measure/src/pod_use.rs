//! What each pod used during a run.

use serde::{Deserialize, Serialize};

use super::{Measurement, PodReading};

/// What one pod used, whether it answered or not. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodUse {
    /// Its name.
    pub name: String,
    /// How often its containers were restarted.
    pub restarts: Option<u32>,
    /// Processor time, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Scheduling periods (100 ms by default) in which its CPU limit throttled it. Without a limit there are none.
    pub throttled_periods: Option<u64>,
    /// Its working set at the end, in bytes: its memory without inactive file pages.
    pub memory_bytes: Option<u64>,
}

impl PodUse {
    /// What the pods of `after` used since `before`. For a pod that is not in `before`, this is all that it used.
    #[must_use]
    pub fn between(before: &[PodReading], after: &[PodReading]) -> Vec<Self> {
        let of = |after: &PodReading| {
            let before = before.iter().find(|before| before.uid == after.uid);
            let since = |of: fn(&PodReading) -> Option<u64>| match before {
                Some(before) => Some(of(after)?.saturating_sub(of(before)?)),
                None => of(after),
            };
            let earlier = before.map_or(0, |before| before.restarts);
            Self {
                name: after.name.clone(),
                restarts: Some(after.restarts.saturating_sub(earlier)),
                cpu_seconds: since(|pod| pod.cpu_us).map(seconds),
                throttled_periods: since(|pod| pod.throttled_periods),
                memory_bytes: after.memory_bytes,
            }
        };
        after.iter().map(of).collect()
    }
}

impl Measurement {
    /// Processor time of the pods that answered for each answered request, in microseconds; `None` if it is not known.
    #[must_use]
    pub fn pod_cpu_us(&self) -> Option<f64> {
        self.cpu_us(&self.pod_use)
    }

    /// Processor time of the proxy's pods for each answered request, in microseconds; `None` if there was no proxy, or if
    /// what it used is not known.
    #[must_use]
    pub fn proxy_cpu_us(&self) -> Option<f64> {
        self.cpu_us(&self.proxy_use)
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio needs no more than 53 bits")]
    fn cpu_us(&self, pods: &[PodUse]) -> Option<f64> {
        let used: Vec<f64> = pods.iter().filter_map(|pod| pod.cpu_seconds).collect();
        let is_known = !used.is_empty() && self.requests.answered > 0;
        is_known.then(|| used.iter().sum::<f64>() * 1e6 / self.requests.answered as f64)
    }
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a run")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, restarts: u32, cpu_us: Option<u64>) -> PodReading {
        PodReading {
            name: format!("server-{uid}"),
            uid: uid.into(),
            restarts,
            cpu_us,
            throttled_periods: cpu_us.map(|us| us / 1000),
            memory_bytes: Some(1_700_000),
        }
    }

    #[test]
    fn what_a_pod_took_is_the_difference() {
        let before = [pod("a", 1, Some(500_000)), pod("b", 0, None), pod("gone", 0, Some(1))];
        let after = [pod("a", 3, Some(2_000_000)), pod("b", 0, Some(9)), pod("new", 1, Some(250_000))];
        let took = PodUse::between(&before, &after);
        assert_eq!(
            took.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(),
            ["server-a", "server-b", "server-new"]
        );
        assert_eq!(took.iter().map(|pod| pod.restarts).collect::<Vec<_>>(), [Some(2), Some(0), Some(1)]);
        assert_eq!(took.iter().map(|pod| pod.cpu_seconds).collect::<Vec<_>>(), [Some(1.5), None, Some(0.25)]);
        assert_eq!((took[0].throttled_periods, took[0].memory_bytes), (Some(1_500), Some(1_700_000)));
    }
}
