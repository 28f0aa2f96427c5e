//! A run over time: how long responses took, and which pod served how many requests when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{PodLatency, RunData};

/// A run in bins of time of the same length, of which the last may be cut off by the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverTime {
    /// How long a bin is, in seconds.
    pub bin_seconds: f64,
    /// How long the responses in each bin took; `None` for a bin without a response.
    pub latency_us: Vec<Option<PodLatency>>,
    /// The pods that answered, sorted by name; without those that are not counted over time, from the 513th on, and empty
    /// if no response named its pod.
    pub pods: Vec<PodOverTime>,
}

/// A pod over time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodOverTime {
    /// Its name.
    pub name: String,
    /// The requests that it answered in each bin.
    pub requests: Vec<u64>,
}

impl OverTime {
    /// The bins of `run`; `None` if it has none.
    #[must_use]
    pub fn of(run: &RunData) -> Option<Self> {
        let named = run.pods.iter().filter(|pod| !pod.name.is_empty());
        let mut pods: Vec<PodOverTime> =
            named.filter_map(|pod| Some(PodOverTime { name: pod.name.clone(), requests: pod.bins.clone()? })).collect();
        let bins = pods.iter().map(|pod| pod.requests.len()).chain([run.bin_latency.len()]).max().unwrap_or(0);
        if run.bin == Duration::ZERO || bins == 0 {
            return None;
        }
        let mut latency_us = run.bin_latency.clone();
        latency_us.resize(bins, None);
        for pod in &mut pods {
            pod.requests.resize(bins, 0);
        }
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Some(Self { bin_seconds: run.bin.as_secs_f64(), latency_us, pods })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PodLoad;

    fn run() -> RunData {
        let pod = |name: &str, bins: Option<&[u64]>| PodLoad {
            name: name.into(),
            bins: bins.map(<[u64]>::to_vec),
            ..PodLoad::default()
        };
        RunData {
            bin: Duration::from_millis(200),
            bin_latency: vec![Some(PodLatency { p50: 1, p99: 2, max: 3 }), None],
            pods: vec![pod("b", Some(&[1, 2, 3])), pod("a", Some(&[7])), pod("", Some(&[9])), pod("c", None)],
            ..RunData::default()
        }
    }

    #[test]
    fn every_pod_has_every_bin() {
        let over_time = OverTime::of(&run()).unwrap();
        let pods: Vec<_> = over_time.pods.iter().map(|pod| (pod.name.as_str(), pod.requests.as_slice())).collect();
        assert_eq!(pods, [("a", &[7, 0, 0][..]), ("b", &[1, 2, 3])]);
        assert_eq!((over_time.latency_us.len(), over_time.bin_seconds), (3, 0.2));
    }

    #[test]
    fn a_run_without_bins_says_nothing_of_time() {
        assert_eq!(OverTime::of(&RunData { bin: Duration::ZERO, ..run() }), None);
        assert_eq!(OverTime::of(&RunData { pods: Vec::new(), bin_latency: Vec::new(), ..run() }), None);
    }
}
