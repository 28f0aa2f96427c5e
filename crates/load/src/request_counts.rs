//! What is counted for each of several requests of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pod_times::PodTimes;

/// How many requests are counted separately. With more of them there are only totals.
const MOST_REQUESTS: usize = 20;

/// What was counted for one of several requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// How often it was answered, with any status.
    pub answered: u64,
    /// How often it failed; with a status that was not expected, it was also answered.
    pub failed: u64,
    /// The latency of its responses, measured as that of the run.
    pub latency: PodTimes,
}

impl RequestCounts {
    /// Nothing counted yet for each of `requests`; an empty list for one request, and for too many.
    pub(super) fn for_each(requests: usize) -> Vec<Self> {
        let new = || Some(Self { answered: 0, failed: 0, latency: PodTimes::new()? });
        if !(2..=MOST_REQUESTS).contains(&requests) {
            return Vec::new();
        }
        (0..requests).map(|_| new()).collect::<Option<_>>().unwrap_or_default()
    }

    pub(super) fn answered(&mut self, latency: Duration) {
        self.answered += 1;
        self.latency.record(latency);
    }

    /// Adds what another worker counted for the same request.
    pub(super) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.latency.add(&other.latency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_few_requests_are_counted_separately() {
        let counted = [0, 1, 2, 20, 21].map(|requests| RequestCounts::for_each(requests).len());
        assert_eq!(counted, [0, 0, 2, 20, 0]);
    }

    #[test]
    fn counts_of_workers_add_up() {
        let [mut one, mut other] = <[_; 2]>::try_from(RequestCounts::for_each(2)).unwrap();
        one.answered(Duration::from_millis(10));
        other.answered(Duration::from_millis(30));
        other.failed = 3;
        one.add(&other);
        assert_eq!((one.answered, one.failed), (2, 3));
        assert!(one.latency.quantile(1.0).abs_diff(30_000) < 300);
    }
}
