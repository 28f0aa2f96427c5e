//! Decides which request comes next, if any. It has no clock: the time is passed in.

use std::time::{Duration, Instant};

use super::mix::Deal;
use super::schedule::{Schedule, share};

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScheduledRequest {
    /// When it should be sent; in a closed loop, when a connection is free for it.
    pub(super) due: Instant,
    /// Which of the requests of the run it is.
    pub(super) index: u32,
    /// Whether it is counted, because it belongs to the run and not to its warm-up.
    pub(super) counts: bool,
}

/// The requests of a run that one worker sends.
pub(super) struct RequestSource {
    start: Instant,
    /// How many requests may still be taken.
    left: u64,
    /// How many requests were taken and have neither been answered nor failed.
    outstanding: u64,
    pace: Option<Pace>,
    deal: Deal,
}

/// When requests are due. Those that are overdue need no list, because the number of the next one says which they are.
struct Pace {
    /// The current schedule: that of the warm-up, then that of the run.
    schedule: Schedule,
    origin: Instant,
    /// The schedule of the run, during the warm-up.
    run: Option<Schedule>,
    /// The requests are assigned to the workers in turn; this worker has `worker`, `worker` + `workers`, …
    worker: u64,
    workers: u64,
    next: u64,
    due: Option<Instant>,
}

impl RequestSource {
    /// The requests of worker number `worker` of `workers` in a run that is counted from `start`. All workers together send
    /// at most `requests`, by `schedule` where there is one.
    pub(super) fn new(
        (schedule, requests): (Option<&Schedule>, Option<u64>),
        deal: Deal,
        (worker, workers): (u64, u64),
        start: Instant,
        warm_up: Duration,
    ) -> Self {
        let left = requests.map_or(u64::MAX, |requests| share(requests, worker, workers));
        let pace = schedule.map(|schedule| Pace::new(schedule, (worker, workers), start, warm_up));
        Self { start, left, outstanding: 0, pace, deal }
    }

    /// Whether requests are due by a schedule (an open loop).
    pub(super) fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// Whether all requests have been taken.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Whether all requests have been taken, and have been answered or have failed.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.outstanding == 0
    }

    /// When the next request is due; `None` in a closed loop, and when there is no further request.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Instant> {
        if self.left == 0 {
            return None;
        }
        let pace = self.pace.as_mut()?;
        pace.advance(now, self.start);
        pace.due
    }

    /// Whether [`RequestSource::take`] would return a request.
    pub(super) fn has_due(&mut self, now: Instant) -> bool {
        self.left > 0 && (self.pace.is_none() || self.next_due(now).is_some_and(|due| due <= now))
    }

    /// Takes the next request, if it is due.
    #[inline]
    pub(super) fn take(&mut self, now: Instant) -> Option<ScheduledRequest> {
        if self.left == 0 {
            return None;
        }
        let (due, counts) = match &mut self.pace {
            None => (now, now >= self.start),
            Some(pace) => pace.take(now, self.start)?,
        };
        let request = ScheduledRequest { due, index: self.deal.next(counts), counts };
        if counts {
            self.left -= 1;
            self.outstanding += 1;
        }
        Some(request)
    }

    /// A request that was taken has been answered, or has failed.
    #[inline]
    pub(super) fn complete(&mut self, request: ScheduledRequest) {
        self.outstanding -= u64::from(request.counts);
    }

    /// Counts a failed connection as a request, so that a run of N requests ends even when no connection can be opened.
    /// Returns false when no request is left.
    pub(super) fn take_for_failure(&mut self) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }

    /// How many requests were due before `now` and have not been taken.
    pub(super) fn overdue(&self, now: Instant) -> u64 {
        let Some(pace) = &self.pace else { return 0 };
        let elapsed = now.saturating_duration_since(self.start);
        let (schedule, taken) = match &pace.run {
            Some(run) => (run, 0),
            None => (&pace.schedule, (pace.next - pace.worker) / pace.workers),
        };
        let due = share(schedule.due_before(elapsed), pace.worker, pace.workers);
        due.saturating_sub(taken).min(self.left)
    }
}

impl Pace {
    fn new(schedule: &Schedule, (worker, workers): (u64, u64), start: Instant, warm_up: Duration) -> Self {
        let warm_up_schedule = Schedule::constant(schedule.first_rate());
        let (schedule, run, origin) = match start.checked_sub(warm_up) {
            Some(origin) if !warm_up.is_zero() => (warm_up_schedule, Some(schedule.clone()), origin),
            _ => (schedule.clone(), None, start),
        };
        let mut pace = Self { schedule, origin, run, worker, workers, next: worker, due: None };
        pace.find_due();
        pace
    }

    fn find_due(&mut self) {
        self.due = self.schedule.due(self.next).and_then(|due| self.origin.checked_add(due));
    }

    /// Changes from the warm-up to the run. Requests of the warm-up that have not been sent by then are dropped.
    fn advance(&mut self, now: Instant, start: Instant) {
        let over = now >= start || self.due.is_none_or(|due| due >= start);
        if let Some(run) = self.run.take_if(|_| over) {
            (self.schedule, self.origin, self.next) = (run, start, self.worker);
            self.find_due();
        }
    }

    /// When the next request was due, if it is due, and whether it counts.
    fn take(&mut self, now: Instant, start: Instant) -> Option<(Instant, bool)> {
        self.advance(now, start);
        let due = self.due.filter(|due| *due <= now)?;
        self.next += self.workers;
        self.find_due();
        Some((due, self.run.is_none()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix::RequestOrder;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn before(start: Instant, milliseconds: u32) -> Instant {
        start.checked_sub(milliseconds * MS).unwrap()
    }

    fn one_request() -> Deal {
        Deal::new((1, RequestOrder::InOrder, 0), (0, 1))
    }

    /// For the only worker of a run with this warm-up.
    fn source(rate: Option<f64>, requests: Option<u64>, warm_up: Duration) -> (RequestSource, Instant) {
        let start = Instant::now() + Duration::from_secs(60);
        let schedule = rate.map(Schedule::constant);
        (RequestSource::new((schedule.as_ref(), requests), one_request(), (0, 1), start, warm_up), start)
    }

    #[test]
    fn a_closed_loop_always_has_a_request() {
        let (mut source, start) = source(None, None, Duration::ZERO);
        let early = source.take(before(start, 1)).unwrap();
        let late = source.take(start + MS).unwrap();
        assert_eq!((early.counts, late.counts, late.due), (false, true, start + MS));
        assert!(!source.is_spent() && source.overdue(start + 9 * MS) == 0);
    }

    #[test]
    fn overdue_requests_are_taken_in_order() {
        let (mut source, start) = source(Some(1000.0), None, Duration::ZERO);
        assert_eq!(source.take(before(start, 1)), None);
        assert_eq!(source.next_due(before(start, 1)), Some(start));
        // No request was taken for 10 ms, so the next four are those that were due first.
        let due: Vec<_> = (0..4).map(|_| source.take(start + 10 * MS).unwrap().due - start).collect();
        assert_eq!(due, [Duration::ZERO, MS, 2 * MS, 3 * MS]);
        // Due before the 10th millisecond: 10; taken: 4.
        assert_eq!(source.overdue(start + 10 * MS), 6);
    }

    #[test]
    fn the_warm_up_has_its_own_requests() {
        let (mut source, start) = source(Some(1000.0), Some(5), 100 * MS);
        let first = source.take(before(start, 50)).unwrap();
        assert_eq!((first.due, first.counts), (before(start, 100), false));
        let of_the_run = source.take(start + 2 * MS).unwrap();
        assert_eq!((of_the_run.due, of_the_run.counts), (start, true));
        assert_eq!(source.left, 4, "the requests of the warm-up are not among the five");
    }

    #[test]
    fn the_next_request_after_the_warm_up_is_due_at_the_start() {
        let (mut source, start) = source(Some(10.0), None, 100 * MS);
        assert!(source.take(before(start, 50)).is_some());
        assert_eq!(source.next_due(before(start, 50)), Some(start));
        assert_eq!(source.take(before(start, 50)), None);
    }

    #[test]
    fn as_many_as_planned_are_taken() {
        for rate in [None, Some(1000.0)] {
            let (mut source, start) = source(rate, Some(3), Duration::ZERO);
            let now = start + Duration::from_secs(1);
            let requests: Vec<_> = std::iter::from_fn(|| source.take(now)).collect();
            assert_eq!(requests.len(), 3);
            assert!(source.is_spent() && !source.is_done() && !source.has_due(now) && !source.take_for_failure());
            for request in requests {
                source.complete(request);
            }
            assert!(source.is_done() && source.overdue(now) == 0);
        }
    }

    #[test]
    fn a_failed_connection_counts_as_a_request() {
        let (mut source, start) = source(None, Some(2), Duration::ZERO);
        assert!(source.take_for_failure() && source.take(start).is_some());
        assert!(!source.take_for_failure() && source.take(start).is_none());
    }

    #[test]
    fn workers_share_the_schedule() {
        let start = Instant::now();
        let schedule = Schedule::constant(1000.0);
        let mut all: Vec<_> = (0..3)
            .flat_map(|worker| {
                let mut source =
                    RequestSource::new((Some(&schedule), Some(10)), one_request(), (worker, 3), start, Duration::ZERO);
                std::iter::from_fn(move || source.take(start + Duration::from_secs(1))).collect::<Vec<_>>()
            })
            .map(|request| request.due - start)
            .collect();
        all.sort();
        assert_eq!(all, (0..10).map(|n| n * MS).collect::<Vec<_>>());
    }
}
