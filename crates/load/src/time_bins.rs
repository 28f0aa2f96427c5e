//! A run in bins of time: how long the responses in each took, and how many of them came from which pod.
//!
//! A bin is a tenth of a second at first. Whenever a run has more than [`MOST_BINS`], two neighbours become one, so that
//! the memory is bounded however long the run is. Requests of pods are counted anyway, so a bin only keeps by how much the
//! count has grown when it ends: this costs nothing for each response.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pod_times::PodTimes;
use super::record::Pod;

/// The maximum number of bins. A run of half a minute has 75, of 0.4 s each.
const MOST_BINS: usize = 120;
/// How many pods have bins of their own at most.
pub(super) const MOST_PODS: usize = 512;

/// A run in bins of the same length, without its pods: [`Pod::bins`] has their requests in the same bins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeBins {
    /// A bin has 2 to this power tenths of a second.
    doublings: u32,
    latency: Vec<Option<PodTimes>>,
}

impl TimeBins {
    /// How long a bin is. The last one may be cut off by the end of the run.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_millis(100 << self.doublings)
    }

    /// How long the responses in each bin took, up to the last bin with any; `None` for a bin without a response.
    #[must_use]
    pub fn latency(&self) -> &[Option<PodTimes>] {
        &self.latency
    }

    /// How often the bins have been doubled.
    pub(super) fn doublings(&self) -> u32 {
        self.doublings
    }

    /// Makes bins longer until they have been doubled so often, also those of `pods`.
    pub(super) fn lengthen(&mut self, doublings: u32, pods: &mut [Pod]) {
        while self.doublings < doublings {
            self.doublings += 1;
            self.latency = std::mem::take(&mut self.latency)
                .chunks(2)
                .map(|pair| pair.iter().map(Option::as_ref).fold(None, sum))
                .collect();
            for bins in pods.iter_mut().filter_map(|pod| pod.bins.as_mut()) {
                *bins = bins.chunks(2).map(|pair| pair.iter().sum()).collect();
            }
        }
    }

    /// Adds the latencies of another worker in bins of the same length.
    pub(super) fn add(&mut self, other: &Self) {
        self.latency.resize(self.latency.len().max(other.latency.len()), None);
        for (mine, theirs) in self.latency.iter_mut().zip(&other.latency) {
            *mine = sum(mine.take(), theirs.as_ref());
        }
    }
}

fn sum(times: Option<PodTimes>, more: Option<&PodTimes>) -> Option<PodTimes> {
    match (times, more) {
        (Some(mut times), Some(more)) => {
            times.add(more);
            Some(times)
        }
        (times, more) => times.or_else(|| more.cloned()),
    }
}

/// Adds the requests of a pod in bins of the same length.
pub(super) fn add_requests(mine: &mut Vec<u64>, theirs: &[u64]) {
    mine.resize(mine.len().max(theirs.len()), 0);
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}

/// Fills the bins of a worker.
pub(super) struct BinRecorder {
    bins: TimeBins,
    /// The bin that responses are now in.
    open: usize,
    /// The first tenth of a second after it.
    open_until: u32,
    /// The latencies in it.
    latency: Option<PodTimes>,
    /// Requests of each pod before it.
    counted: Vec<u64>,
}

impl BinRecorder {
    pub(super) fn new() -> Self {
        Self { bins: TimeBins::default(), open: 0, open_until: 1, latency: PodTimes::new(), counted: Vec::new() }
    }

    /// Adds the latency of a response in this tenth of a second, before it is counted for its pod.
    #[inline]
    pub(super) fn response(&mut self, tenth: u32, latency: Duration, pods: &mut [Pod]) {
        if tenth >= self.open_until {
            self.open(tenth, pods);
        }
        if let Some(times) = &mut self.latency {
            times.record(latency);
        }
    }

    /// Closes the open bin, and opens that of this tenth of a second.
    #[cold]
    fn open(&mut self, tenth: u32, pods: &mut [Pod]) {
        self.close(pods);
        let bin = |doublings: u32| tenth.checked_shr(doublings).unwrap_or(0) as usize;
        let mut doublings = self.bins.doublings;
        while bin(doublings) >= MOST_BINS {
            doublings += 1;
        }
        self.bins.lengthen(doublings, pods);
        self.open = bin(doublings);
        self.open_until = u32::try_from((u64::from(tenth >> doublings) + 1) << doublings).unwrap_or(u32::MAX);
    }

    fn close(&mut self, pods: &mut [Pod]) {
        let Self { bins, open, latency, counted, .. } = self;
        counted.resize(pods.len().min(MOST_PODS), 0);
        for (pod, counted) in pods.iter_mut().zip(counted) {
            let requests = pod.requests - *counted;
            if let Some(bins) = pod.bins.as_mut().filter(|_| requests > 0) {
                bins.resize(bins.len().max(*open + 1), 0);
                bins[*open] += requests;
            }
            *counted = pod.requests;
        }
        if latency.as_ref().is_some_and(|times| !times.is_empty()) {
            bins.latency.resize(bins.latency.len().max(*open + 1), None);
            bins.latency[*open] = sum(std::mem::replace(latency, PodTimes::new()), bins.latency[*open].as_ref());
        }
    }

    /// All bins, at the end of the run.
    pub(super) fn finish(mut self, pods: &mut [Pod]) -> TimeBins {
        self.close(pods);
        self.bins
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    /// A record of responses from these pods at these tenths of a second, each as many milliseconds late as it says.
    fn recorded(responses: &[(&str, u32, u64)]) -> (Vec<Pod>, TimeBins) {
        let mut record = Record::new(Duration::from_secs(86_400), false).unwrap();
        for (name, tenth, late) in responses {
            let pod = record.pod(name.as_bytes());
            record.response(pod, Duration::from_millis(100) * *tenth, Duration::from_millis(*late), 1);
        }
        let bins = record.time_bins.finish(&mut record.pods);
        (record.pods, bins)
    }

    fn requests(pods: &[Pod]) -> Vec<&[u64]> {
        pods.iter().map(|pod| pod.bins.as_deref().unwrap()).collect()
    }

    #[test]
    fn a_bin_has_what_came_in_it() {
        let (pods, bins) = recorded(&[("a", 0, 1), ("b", 0, 9), ("a", 0, 1), ("b", 3, 5)]);
        assert_eq!(requests(&pods), [&[2][..], &[1, 0, 0, 1]]);
        let longest: Vec<_> =
            bins.latency().iter().map(|times| Some(times.as_ref()?.quantile(1.0).div_ceil(1000))).collect();
        assert_eq!((longest, bins.length()), (vec![Some(10), None, None, Some(6)], Duration::from_millis(100)));
    }

    #[test]
    fn a_long_run_has_longer_bins_and_loses_no_request() {
        let day: Vec<_> = (0..864).map(|at| ("a", at * 1000, 1)).collect();
        let (pods, bins) = recorded(&day);
        let counts = requests(&pods)[0];
        assert_eq!((counts.iter().sum::<u64>(), bins.length().as_secs()), (864, 819));
        assert!(counts.len() <= MOST_BINS && bins.latency().len() == counts.len(), "{} bins", counts.len());
        let whole = &counts[..counts.len() - 1];
        assert!(whole.iter().all(|count| (8..=9).contains(count)), "a steady load stays steady: {counts:?}");
    }

    #[test]
    fn workers_with_bins_of_different_lengths_add_up() {
        let (mut short, mut bins) = recorded(&[("a", 0, 1), ("a", 1, 1), ("a", 2, 1)]);
        let (_, long) = recorded(&[("a", 0, 1), ("a", 150, 1)]);
        bins.lengthen(long.doublings(), &mut short);
        bins.add(&long);
        assert_eq!((requests(&short), bins.length()), (vec![&[2, 1][..]], Duration::from_millis(200)));
        assert_eq!(bins.latency().iter().flatten().count(), 3);
    }
}
