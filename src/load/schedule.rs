//! When each request of an open loop is due: pure arithmetic, no clock.

use std::time::Duration;

/// A part of a run at one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// How long it lasts.
    pub length: Duration,
    /// Requests a second; 0 is a pause.
    pub rate: f64,
}

/// Due times: the rate is constant within each step and changes at once between two.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    rate: f64,
    /// In seconds.
    begins: f64,
    /// Requests due before it begins, and before it ends; whole ones and a part of the next.
    before: f64,
    after: f64,
}

impl Schedule {
    /// `rate` requests a second, without end: request n, counted from 0, is due after n / `rate` seconds.
    #[must_use]
    pub fn constant(rate: f64) -> Self {
        Self { steps: vec![Step { rate, begins: 0.0, before: 0.0, after: f64::INFINITY }] }
    }

    /// One stage after the other; nothing is due after the last.
    #[must_use]
    pub fn of_stages(stages: &[Stage]) -> Self {
        let (mut begins, mut before) = (0.0, 0.0);
        let mut step = |stage: &Stage| {
            let seconds = stage.length.as_secs_f64();
            let step = Step { rate: stage.rate, begins, before, after: before + stage.rate * seconds };
            (begins, before) = (begins + seconds, step.after);
            step
        };
        Self { steps: stages.iter().map(&mut step).collect() }
    }

    /// When request `number`, counted from 0, is due; `None` when it never is.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a day at 10^9 a second is 86 × 10^12")]
    pub fn due(&self, number: u64) -> Option<Duration> {
        let number = number as f64;
        let step = self.steps.get(self.steps.partition_point(|step| step.after <= number))?;
        Duration::try_from_secs_f64(step.begins + (number - step.before) / step.rate).ok()
    }

    /// How many requests are due before `time`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is no less than 0")]
    pub fn due_before(&self, time: Duration) -> u64 {
        let seconds = time.as_secs_f64();
        let step = self.steps.iter().rev().find(|step| step.begins <= seconds);
        let estimate = step.map_or(0.0, |step| step.after.min(step.before + step.rate * (seconds - step.begins)));
        // The estimate may be rounded to the wrong side; what counts is what `due` says.
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

    /// The rate it begins with, pauses left out: that of the warm-up.
    pub(super) fn first_rate(&self) -> f64 {
        self.steps.iter().map(|step| step.rate).find(|rate| *rate > 0.0).unwrap_or(0.0)
    }

    /// The mean rate over the first `elapsed`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    pub fn mean_rate(&self, elapsed: Duration) -> f64 {
        match self.steps[..] {
            [only] => only.rate,
            _ if elapsed.is_zero() => 0.0,
            _ => self.due_before(elapsed) as f64 / elapsed.as_secs_f64(),
        }
    }
}

/// How many of the numbers below `count` fall to worker `first` of `workers`, when they are dealt out in turn.
pub(super) fn share(count: u64, first: u64, workers: u64) -> u64 {
    count.saturating_sub(first).div_ceil(workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(parts: &[(u64, f64)]) -> Schedule {
        let stage = |&(seconds, rate)| Stage { length: Duration::from_secs(seconds), rate };
        Schedule::of_stages(&parts.iter().map(stage).collect::<Vec<_>>())
    }

    #[test]
    fn at_a_constant_rate_request_n_is_due_after_n_over_the_rate() {
        let schedule = Schedule::constant(1000.0);
        assert_eq!(schedule.due(0), Some(Duration::ZERO));
        assert_eq!(schedule.due(1), Some(Duration::from_millis(1)));
        // No error adds up, however long the run.
        assert_eq!(schedule.due(86_400_000), Some(Duration::from_secs(86_400)));
        assert_eq!(Schedule::constant(0.25).due(3), Some(Duration::from_secs(12)));
        assert_eq!(Schedule::constant(3.0).due(1), Some(Duration::from_nanos(333_333_333)));
        assert_eq!(Schedule::constant(1e-300).due(1), None, "later than any time there is");
    }

    #[test]
    fn what_is_due_before_a_time_agrees_with_the_due_times() {
        let all = [
            Schedule::constant(1000.0),
            Schedule::constant(0.3),
            Schedule::constant(7777.7),
            stages(&[(1, 10.0), (2, 0.0), (1, 333.3), (3, 0.1)]),
        ];
        for schedule in all {
            for ms in (0..9000).step_by(7) {
                let time = Duration::from_millis(ms);
                let count = schedule.due_before(time);
                assert!(count == 0 || schedule.due(count - 1).unwrap() < time, "{schedule:?} at {time:?}");
                assert!(schedule.due(count).is_none_or(|due| due >= time), "{schedule:?} at {time:?}");
            }
        }
        // A time at which one is due does not count it.
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
    fn a_pause_has_nothing_due_and_half_a_request_is_carried_over() {
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
    }

    #[test]
    fn shares_add_up() {
        for (count, workers) in [(0, 1), (1, 4), (10, 3), (12, 4), (1_000_003, 7)] {
            assert_eq!((0..workers).map(|worker| share(count, worker, workers)).sum::<u64>(), count);
        }
        assert_eq!((0..4).map(|worker| share(10, worker, 4)).collect::<Vec<_>>(), [3, 3, 2, 2]);
    }
}
