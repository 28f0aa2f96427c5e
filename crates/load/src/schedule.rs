//! When each request of an open loop is due. It is arithmetic without a clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A part of a run with one rate, or with a rate that changes linearly (a ramp).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateStage {
    /// The length of the stage.
    pub length: Duration,
    /// Requests per second at its begin.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
}

impl RateStage {
    /// A stage of `rate` requests per second; 0 is a pause.
    #[must_use]
    pub fn constant(length: Duration, rate: f64) -> Self {
        Self { length, from: rate, to: rate }
    }
}

/// The due times of requests. The rate changes linearly within each step, and abruptly between steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    steps: Vec<RateStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct RateStep {
    /// The rate at the begin of the step, and by how much it changes each second.
    #[serde(with = "crate::wire::exact")]
    rate: f64,
    #[serde(with = "crate::wire::exact")]
    change: f64,
    /// When the step begins, and its length, in seconds.
    #[serde(with = "crate::wire::exact")]
    begins: f64,
    #[serde(with = "crate::wire::exact")]
    length: f64,
    /// How many requests are due before the step begins, and before it ends, with fractions.
    #[serde(with = "crate::wire::exact")]
    before: f64,
    #[serde(with = "crate::wire::exact")]
    after: f64,
}

impl RateStep {
    /// How many seconds after its begin so many requests of the step are due.
    fn seconds_until(&self, requests: f64) -> f64 {
        if requests <= 0.0 {
            return 0.0;
        }
        // The rate at that time. Written in this way, the solution of the quadratic equation does not lose digits where the
        // rate hardly changes, and is requests / rate where it does not change.
        let rate = (self.rate * self.rate + 2.0 * self.change * requests).max(0.0).sqrt();
        2.0 * requests / (self.rate + rate)
    }

    /// How many requests of the step are due in so many seconds after its begin, with fractions.
    fn requests_in(&self, seconds: f64) -> f64 {
        let seconds = seconds.min(self.length);
        (self.rate + self.change * seconds / 2.0) * seconds
    }
}

impl Schedule {
    /// A schedule of `rate` requests per second without an end: request n, counted from 0, is due after n / `rate` seconds.
    #[must_use]
    pub fn constant(rate: f64) -> Self {
        let endless = f64::INFINITY;
        let after = if rate > 0.0 { endless } else { 0.0 };
        Self { steps: vec![RateStep { rate, change: 0.0, begins: 0.0, length: endless, before: 0.0, after }] }
    }

    /// A schedule of one stage after the other; no request is due after the last one.
    #[must_use]
    pub fn of_stages(stages: &[RateStage]) -> Self {
        let (mut begins, mut before) = (0.0, 0.0);
        let mut step = |stage: &RateStage| {
            let seconds = stage.length.as_secs_f64();
            let change = if seconds > 0.0 { (stage.to - stage.from) / seconds } else { 0.0 };
            let after = before + f64::midpoint(stage.from, stage.to) * seconds;
            let step = RateStep { rate: stage.from, change, begins, length: seconds, before, after };
            (begins, before) = (begins + seconds, step.after);
            step
        };
        Self { steps: stages.iter().map(&mut step).collect() }
    }

    /// When request `number`, counted from 0, is due; `None` when the schedule ends before it.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a day at 10^9 a second is 86 × 10^12")]
    pub fn due(&self, number: u64) -> Option<Duration> {
        let number = number as f64;
        let step = self.steps.get(self.steps.partition_point(|step| step.after <= number))?;
        Duration::try_from_secs_f64(step.begins + step.seconds_until(number - step.before)).ok()
    }

    /// How many requests are due before `time`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not negative")]
    pub fn due_before(&self, time: Duration) -> u64 {
        let seconds = time.as_secs_f64();
        let step = self.steps.iter().rev().find(|step| step.begins <= seconds);
        let estimate = step.map_or(0.0, |step| step.before + step.requests_in(seconds - step.begins));
        // The estimate may be rounded in either direction; `due` decides.
        let is_due = |number: u64| self.due(number).is_some_and(|due| due < time);
        let mut count = estimate as u64;
        while count > 0 && !is_due(count - 1) {
            count -= 1;
        }
        while is_due(count) {
            count += 1;
        }
        count
    }

    /// The rate at the begin of the first step that is not a pause; 0 for a ramp from 0. The warm-up uses it.
    pub(super) fn first_rate(&self) -> f64 {
        self.steps.iter().find(|step| step.after > step.before).map_or(0.0, |step| step.rate)
    }

    /// The mean rate over the first `elapsed`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a rate needs at most 53 bits")]
    pub fn mean_rate(&self, elapsed: Duration) -> f64 {
        match self.steps[..] {
            [only] if only.change == 0.0 => only.rate,
            _ if elapsed.is_zero() => 0.0,
            _ => self.due_before(elapsed) as f64 / elapsed.as_secs_f64(),
        }
    }
}

/// How many of the numbers below `count` worker `first` of `workers` gets, when they are assigned in turn.
pub(super) fn share(count: u64, first: u64, workers: u64) -> u64 {
    count.saturating_sub(first).div_ceil(workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(parts: &[(u64, f64)]) -> Schedule {
        ramps(&parts.iter().map(|(seconds, rate)| (*seconds, *rate, *rate)).collect::<Vec<_>>())
    }

    fn ramps(parts: &[(u64, f64, f64)]) -> Schedule {
        let stage = |&(seconds, from, to)| RateStage { length: Duration::from_secs(seconds), from, to };
        Schedule::of_stages(&parts.iter().map(stage).collect::<Vec<_>>())
    }

    #[test]
    fn at_a_constant_rate_request_n_is_due_after_n_over_the_rate() {
        let schedule = Schedule::constant(1000.0);
        assert_eq!(schedule.due(0), Some(Duration::ZERO));
        assert_eq!(schedule.due(1), Some(Duration::from_millis(1)));
        // Errors do not add up in a long run.
        assert_eq!(schedule.due(86_400_000), Some(Duration::from_secs(86_400)));
        assert_eq!(Schedule::constant(0.25).due(3), Some(Duration::from_secs(12)));
        assert_eq!(Schedule::constant(3.0).due(1), Some(Duration::from_nanos(333_333_333)));
        assert_eq!(Schedule::constant(1e-300).due(1), None, "later than a duration can be");
        assert_eq!((Schedule::constant(0.0).due(0), Schedule::constant(0.0).due_before(Duration::MAX)), (None, 0));
    }

    #[test]
    fn the_number_due_before_a_time_agrees_with_the_due_times() {
        let all = [
            Schedule::constant(1000.0),
            Schedule::constant(0.3),
            Schedule::constant(7777.7),
            stages(&[(1, 10.0), (2, 0.0), (1, 333.3), (3, 0.1)]),
            ramps(&[(2, 0.0, 500.0), (1, 500.0, 500.0), (2, 500.0, 0.0), (1, 0.0, 0.0), (1, 7.7, 100.1)]),
            ramps(&[(3, 300.0, 300.000_001), (3, 1e5, 0.0)]),
        ];
        for schedule in all {
            for ms in (0..9000).step_by(7) {
                let time = Duration::from_millis(ms);
                let count = schedule.due_before(time);
                assert!(count == 0 || schedule.due(count - 1).unwrap() < time, "{schedule:?} at {time:?}");
                assert!(schedule.due(count).is_none_or(|due| due >= time), "{schedule:?} at {time:?}");
            }
        }
        // A request that is due at the very time is not due before it.
        assert_eq!(Schedule::constant(1000.0).due_before(Duration::from_secs(30)), 30_000);
        assert_eq!(Schedule::constant(1e9).due_before(Duration::from_secs(86_400)), 86_400_000_000_000);
    }

    #[test]
    fn stages_follow_each_other() {
        let schedule = stages(&[(10, 100.0), (30, 500.0)]);
        assert_eq!(schedule.due(999), Some(Duration::from_millis(9_990)));
        assert_eq!(schedule.due(1000), Some(Duration::from_secs(10)));
        assert_eq!(schedule.due(1001), Some(Duration::from_millis(10_002)));
        assert_eq!(schedule.due(15_999), Some(Duration::from_millis(39_998)));
        assert_eq!(schedule.due(16_000), None);
        assert_eq!(schedule.due_before(Duration::from_secs(99)), 16_000);
    }

    #[test]
    fn a_ramp_has_as_many_requests_as_its_mean_rate() {
        let up = ramps(&[(10, 0.0, 500.0)]);
        // 2.5 t² × 10 are due before t: the request after a quarter of all comes in the middle.
        assert_eq!((up.due(0), up.due(625)), (Some(Duration::ZERO), Some(Duration::from_secs(5))));
        assert_eq!((up.due_before(Duration::from_secs(99)), up.due(2500)), (2500, None));
        let down = ramps(&[(10, 500.0, 0.0)]);
        assert_eq!((down.due(0), down.due(1875)), (Some(Duration::ZERO), Some(Duration::from_secs(5))));
        assert_eq!((down.due_before(Duration::from_secs(99)), down.due(2500)), (2500, None));
        // From 100 to 500, and back, with a constant rate between them.
        let mixed = ramps(&[(10, 100.0, 500.0), (1, 500.0, 500.0), (10, 500.0, 100.0)]);
        let counts = [5, 10, 11, 16, 21, 30].map(|second| mixed.due_before(Duration::from_secs(second)));
        assert_eq!(counts, [1000, 3000, 3500, 5500, 6500, 6500]);
        assert_eq!(mixed.due(3001), Some(Duration::from_millis(10_002)));
    }

    #[test]
    fn due_times_never_decrease() {
        let schedule = ramps(&[(1, 0.0, 1e6), (1, 1e6, 0.0), (1, 0.0, 3.0), (1, 5.0, 5.0)]);
        let due: Vec<_> = (0..1_000_007).filter_map(|number| schedule.due(number)).collect();
        assert!(due.is_sorted() && due.len() == 1_000_007, "{}", due.len());
    }

    #[test]
    fn nothing_is_due_in_a_pause_and_fractions_are_carried_over() {
        let schedule = stages(&[(1, 2.0), (3, 0.0), (2, 1.0)]);
        let due: Vec<_> = (0..5).map(|number| schedule.due(number).map(|due| due.as_secs_f64())).collect();
        assert_eq!(due, [Some(0.0), Some(0.5), Some(4.0), Some(5.0), None]);
        let carried = stages(&[(1, 1.5), (1, 2.0)]);
        assert_eq!(carried.due(2), Some(Duration::from_millis(1250)));
    }

    #[test]
    fn rates() {
        assert!((Schedule::constant(123.4).mean_rate(Duration::ZERO) - 123.4).abs() < 1e-9);
        let mixed = stages(&[(1, 0.0), (1, 100.0), (2, 300.0)]);
        assert!((mixed.first_rate() - 100.0).abs() < 1e-9);
        assert!((mixed.mean_rate(Duration::from_secs(4)) - 175.0).abs() < 1e-9);
        assert!((mixed.mean_rate(Duration::from_secs(2)) - 50.0).abs() < 1e-9);
        let ramp = ramps(&[(1, 0.0, 0.0), (4, 0.0, 100.0)]);
        assert!(ramp.first_rate().abs() < 1e-9, "a ramp from 0 warms up by itself");
        assert!((ramp.mean_rate(Duration::from_secs(5)) - 40.0).abs() < 1e-9);
        assert!((ramps(&[(2, 100.0, 300.0)]).mean_rate(Duration::from_secs(2)) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn shares_add_up() {
        for (count, workers) in [(0, 1), (1, 4), (10, 3), (12, 4), (1_000_003, 7)] {
            assert_eq!((0..workers).map(|worker| share(count, worker, workers)).sum::<u64>(), count);
        }
        assert_eq!((0..4).map(|worker| share(10, worker, 4)).collect::<Vec<_>>(), [3, 3, 2, 2]);
    }
}
