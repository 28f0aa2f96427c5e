//! Several requests that a run sends, and in which order.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::request::RequestTemplate;

/// In which order requests are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestOrder {
    /// One after the other; after the last one the first again.
    #[default]
    InOrder,
    /// Each time any of them. Which one it is follows from the seed and the number of the request.
    Random,
}

/// Several requests that a run sends. Copies share them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestMix {
    #[serde(with = "crate::wire::shared")]
    requests: Arc<[RequestTemplate]>,
    /// In which order they are sent.
    pub(super) order: RequestOrder,
}

impl RequestMix {
    /// These requests; `None` if there are none, or more than 2³² of them.
    #[must_use]
    pub fn new(requests: Vec<RequestTemplate>, order: RequestOrder) -> Option<Self> {
        (!requests.is_empty() && u32::try_from(requests.len()).is_ok())
            .then(|| Self { requests: requests.into(), order })
    }

    /// The requests.
    #[must_use]
    pub fn requests(&self) -> &[RequestTemplate] {
        &self.requests
    }

    /// Replaces the requests.
    pub(super) fn replace(&mut self, requests: Vec<RequestTemplate>) {
        self.requests = requests.into();
    }

    /// The same with each request changed.
    #[must_use]
    pub(super) fn map(&self, change: impl Fn(RequestTemplate) -> RequestTemplate) -> Self {
        Self { requests: self.requests.iter().cloned().map(change).collect(), order: self.order }
    }
}

/// Which of several requests a worker sends next. It is a function of the number of the request, which the workers take in
/// turn, so the number of workers does not change which requests are sent.
pub(super) struct Deal {
    count: u32,
    order: RequestOrder,
    seed: u64,
    worker: u64,
    workers: u64,
    next: u64,
    /// Whether the requests of the run are dealt, and not those of the warm-up.
    counts: bool,
}

impl Deal {
    /// What worker number `worker` of `workers` gets of `count` requests.
    pub(super) fn new((count, order, seed): (u32, RequestOrder, u64), (worker, workers): (u64, u64)) -> Self {
        Self { count, order, seed, worker, workers, next: worker, counts: false }
    }

    /// The index of the next request. The first one that counts begins again, so the warm-up does not change which requests
    /// the run sends.
    #[inline]
    pub(super) fn next(&mut self, counts: bool) -> u32 {
        if self.count == 1 { 0 } else { self.deal(counts) }
    }

    #[allow(clippy::cast_possible_truncation, reason = "it is below the count")]
    fn deal(&mut self, counts: bool) -> u32 {
        if counts && !self.counts {
            (self.counts, self.next) = (true, self.worker);
        }
        let number = self.next;
        self.next += self.workers;
        match self.order {
            RequestOrder::InOrder => (number % u64::from(self.count)) as u32,
            // The high bits of a product distribute 32 random bits over the count.
            RequestOrder::Random => (((mixed(self.seed, number) >> 32) * u64::from(self.count)) >> 32) as u32,
        }
    }
}

/// The output number `number` of the generator `SplitMix64` with this seed.
fn mixed(seed: u64, number: u64) -> u64 {
    let state = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(order: RequestOrder, seed: u64, workers: u64, each: usize) -> Vec<u32> {
        let mut deals: Vec<_> = (0..workers).map(|worker| Deal::new((10, order, seed), (worker, workers))).collect();
        (0..each).flat_map(|_| deals.iter_mut().map(|deal| deal.next(true)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn the_number_of_workers_does_not_change_which_requests_are_sent() {
        let in_order: Vec<u32> = (0..120).map(|number| number % 10).collect();
        assert_eq!(dealt(RequestOrder::InOrder, 0, 1, 120), in_order);
        assert_eq!(dealt(RequestOrder::InOrder, 0, 3, 40), in_order);
        let random = dealt(RequestOrder::Random, 7, 1, 120);
        assert_eq!(dealt(RequestOrder::Random, 7, 4, 30), random);
        assert_ne!(dealt(RequestOrder::Random, 8, 1, 120), random);
    }

    #[test]
    fn a_random_order_has_all_requests_about_as_often() {
        let dealt = dealt(RequestOrder::Random, 1, 1, 10_000);
        let counts: Vec<usize> = (0..10).map(|index| dealt.iter().filter(|dealt| **dealt == index).count()).collect();
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn random_numbers_are_those_of_splitmix64() {
        let numbers: Vec<u64> = (0..3).map(|number| mixed(1_234_567, number)).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn the_run_begins_with_the_first_request_whatever_the_warm_up_sent() {
        let mut deal = Deal::new((3, RequestOrder::InOrder, 0), (0, 1));
        let all: Vec<u32> = [false, false, true, true, false, true].map(|counts| deal.next(counts)).into();
        assert_eq!(all, [0, 1, 0, 1, 2, 0]);
    }
}
