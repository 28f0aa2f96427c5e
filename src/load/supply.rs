//! Which request comes next, if any: decided purely, from the time that is passed in.

use std::time::{Duration, Instant};

use super::schedule::{Schedule, share};

/// A request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// When it should be sent; in a closed loop that is as soon as there is a connection for it.
    pub(super) due: Instant,
    /// Whether it is of the run, not of its warm-up.
    pub(super) counts: bool,
}

/// A worker's part of the requests of a run.
pub(super) struct Supply {
    start: Instant,
    /// How many may still be taken.
    left: u64,
    /// Taken, and neither answered nor failed yet.
    outstanding: u64,
    pace: Option<Pace>,
}

/// When requests are due. Those that wait are not listed: what is next says it all.
struct Pace {
    /// What is due now: the warm-up's schedule, then the run's.
    schedule: Schedule,
    origin: Instant,
    /// The run's schedule, while it warms up.
    run: Option<Schedule>,
    /// The requests are dealt out to the workers in turn: this one's are `worker`, `worker` + `workers`, …
    worker: u64,
    workers: u64,
    next: u64,
    due: Option<Instant>,
}

impl Supply {
    /// The part of worker number `worker` of `workers` in a run that counts from `start`: at most `requests` in all,
    /// due by `schedule`, where there is one.
    pub(super) fn new(
        (schedule, requests): (Option<&Schedule>, Option<u64>),
        (worker, workers): (u64, u64),
        start: Instant,
        warm_up: Duration,
    ) -> Self {
        let left = requests.map_or(u64::MAX, |requests| share(requests, worker, workers));
        let pace = schedule.map(|schedule| Pace::new(schedule, (worker, workers), start, warm_up));
        Self { start, left, outstanding: 0, pace }
    }

    /// Whether requests are due by a schedule: an open loop.
    pub(super) fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// Whether all have been taken.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Whether all have been taken, and came to their end.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.outstanding == 0
    }

    /// When the next one is due, where that is not "as soon as possible".
    pub(super) fn next_due(&mut self, now: Instant) -> Option<Instant> {
        if self.left == 0 {
            return None;
        }
        let pace = self.pace.as_mut()?;
        pace.roll(now, self.start);
        pace.due
    }

    /// Whether [`Supply::take`] would give one.
    pub(super) fn has_due(&mut self, now: Instant) -> bool {
        self.left > 0 && (self.pace.is_none() || self.next_due(now).is_some_and(|due| due <= now))
    }

    /// The next request, if it is due.
    #[inline]
    pub(super) fn take(&mut self, now: Instant) -> Option<Ticket> {
        if self.left == 0 {
            return None;
        }
        let ticket = match &mut self.pace {
            None => Ticket { due: now, counts: now >= self.start },
            Some(pace) => pace.take(now, self.start)?,
        };
        if ticket.counts {
            self.left -= 1;
            self.outstanding += 1;
        }
        Some(ticket)
    }

    /// A request has been answered, or failed.
    #[inline]
    pub(super) fn settle(&mut self, ticket: Ticket) {
        self.outstanding -= u64::from(ticket.counts);
    }

    /// A failure without a request takes the place of one, so that a run of N requests ends even where no connection
    /// opens; false when there is none left for it.
    pub(super) fn claim(&mut self) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }

    /// How many were due before `now` and never taken.
    pub(super) fn untaken(&self, now: Instant) -> u64 {
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
        let warming = Schedule::constant(schedule.first_rate());
        let (schedule, run, origin) = match start.checked_sub(warm_up) {
            Some(origin) if !warm_up.is_zero() => (warming, Some(schedule.clone()), origin),
            _ => (schedule.clone(), None, start),
        };
        let mut pace = Self { schedule, origin, run, worker, workers, next: worker, due: None };
        pace.find_due();
        pace
    }

    fn find_due(&mut self) {
        self.due = self.schedule.due(self.next).and_then(|due| self.origin.checked_add(due));
    }

    /// Goes over from the warm-up to the run. What the warm-up has not sent by then is nobody's.
    fn roll(&mut self, now: Instant, start: Instant) {
        let over = now >= start || self.due.is_none_or(|due| due >= start);
        if let Some(run) = self.run.take_if(|_| over) {
            (self.schedule, self.origin, self.next) = (run, start, self.worker);
            self.find_due();
        }
    }

    fn take(&mut self, now: Instant, start: Instant) -> Option<Ticket> {
        self.roll(now, start);
        let due = self.due.filter(|due| *due <= now)?;
        self.next += self.workers;
        self.find_due();
        Some(Ticket { due, counts: self.run.is_none() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn before(start: Instant, milliseconds: u32) -> Instant {
        start.checked_sub(milliseconds * MS).unwrap()
    }

    /// Worker 0 of 1 with this warm-up.
    fn supply(rate: Option<f64>, requests: Option<u64>, warm_up: Duration) -> (Supply, Instant) {
        let start = Instant::now() + Duration::from_secs(60);
        let schedule = rate.map(Schedule::constant);
        (Supply::new((schedule.as_ref(), requests), (0, 1), start, warm_up), start)
    }

    #[test]
    fn a_closed_loop_always_has_one() {
        let (mut supply, start) = supply(None, None, Duration::ZERO);
        let early = supply.take(before(start, 1)).unwrap();
        let late = supply.take(start + MS).unwrap();
        assert_eq!((early.counts, late.counts, late.due), (false, true, start + MS));
        assert!(!supply.is_spent() && supply.untaken(start + 9 * MS) == 0);
    }

    #[test]
    fn requests_wait_in_order_when_nobody_takes_them() {
        let (mut supply, start) = supply(Some(1000.0), None, Duration::ZERO);
        assert_eq!(supply.take(before(start, 1)), None);
        assert_eq!(supply.next_due(before(start, 1)), Some(start));
        // Nothing was taken for 10 ms, so the next four are those that were due first.
        let due: Vec<_> = (0..4).map(|_| supply.take(start + 10 * MS).unwrap().due - start).collect();
        assert_eq!(due, [Duration::ZERO, MS, 2 * MS, 3 * MS]);
        // Due before the 10th millisecond: 10; taken: 4.
        assert_eq!(supply.untaken(start + 10 * MS), 6);
    }

    #[test]
    fn the_warm_up_has_its_own_and_leaves_nothing_to_the_run() {
        let (mut supply, start) = supply(Some(1000.0), Some(5), 100 * MS);
        let first = supply.take(before(start, 50)).unwrap();
        assert_eq!((first.due, first.counts), (before(start, 100), false));
        let of_the_run = supply.take(start + 2 * MS).unwrap();
        assert_eq!((of_the_run.due, of_the_run.counts), (start, true));
        assert_eq!(supply.left, 4, "the warm-up's are not of the five");
    }

    #[test]
    fn the_run_is_waited_for_when_the_warm_up_has_sent_all() {
        let (mut supply, start) = supply(Some(10.0), None, 100 * MS);
        assert!(supply.take(before(start, 50)).is_some());
        assert_eq!(supply.next_due(before(start, 50)), Some(start));
        assert_eq!(supply.take(before(start, 50)), None);
    }

    #[test]
    fn exactly_so_many() {
        for rate in [None, Some(1000.0)] {
            let (mut supply, start) = supply(rate, Some(3), Duration::ZERO);
            let now = start + Duration::from_secs(1);
            let tickets: Vec<_> = std::iter::from_fn(|| supply.take(now)).collect();
            assert_eq!(tickets.len(), 3);
            assert!(supply.is_spent() && !supply.is_done() && !supply.has_due(now) && !supply.claim());
            for ticket in tickets {
                supply.settle(ticket);
            }
            assert!(supply.is_done() && supply.untaken(now) == 0);
        }
    }

    #[test]
    fn a_failed_connection_takes_the_place_of_a_request() {
        let (mut supply, start) = supply(None, Some(2), Duration::ZERO);
        assert!(supply.claim() && supply.take(start).is_some());
        assert!(!supply.claim() && supply.take(start).is_none());
    }

    #[test]
    fn workers_share_the_schedule() {
        let start = Instant::now();
        let schedule = Schedule::constant(1000.0);
        let mut all: Vec<_> = (0..3)
            .flat_map(|worker| {
                let mut supply = Supply::new((Some(&schedule), Some(10)), (worker, 3), start, Duration::ZERO);
                std::iter::from_fn(move || supply.take(start + Duration::from_secs(1))).collect::<Vec<_>>()
            })
            .map(|ticket| ticket.due - start)
            .collect();
        all.sort();
        assert_eq!(all, (0..10).map(|n| n * MS).collect::<Vec<_>>());
    }
}
