//! The value of `--stages`: rates that follow each other.

use std::time::Duration;

use crate::config::{InvalidValue, parse_duration};
use crate::experiment::LONGEST_RUN;
use evenkeel_load::{RateStage, Schedule};

/// The highest rate: one request per nanosecond, which is the resolution of the clock.
const HIGHEST_RATE: f64 = 1e9;

/// Stages of a run. At least one of their rates is above 0.
#[derive(Clone, Debug)]
pub(super) struct Stages(Vec<RateStage>);

impl Stages {
    /// From "30s:100..500,10s:500": a ramp, and a constant rate.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not such a list.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidValue> {
        let stages = text.split(',').map(stage).collect::<Option<Vec<_>>>();
        let expected = "times and rates, such as 10s:100,30s:100..500, with rates of at most 10⁹ per second";
        let stages = stages.ok_or_else(|| InvalidValue::expected(expected))?;
        if stages.iter().all(|stage| stage.from <= 0.0 && stage.to <= 0.0) {
            return Err(InvalidValue::expected("at least one rate above 0"));
        }
        let stages = Self(stages);
        if stages.length() > LONGEST_RUN {
            return Err(InvalidValue::expected("stages that take at most 24h together"));
        }
        Ok(stages)
    }

    /// How long they take together.
    #[must_use]
    pub(super) fn length(&self) -> Duration {
        self.0.iter().map(|stage| stage.length).sum()
    }

    /// When their requests are due.
    #[must_use]
    pub(super) fn schedule(&self) -> Schedule {
        Schedule::of_stages(&self.0)
    }
}

/// One stage: "10s:100", or "10s:100..500".
fn stage(text: &str) -> Option<RateStage> {
    let (length, rates) = text.trim().split_once(':')?;
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    Some(RateStage { length: parse_duration(length).ok()?, from: rate_from(from)?, to: rate_from(to)? })
}

/// Parses a rate, without sign and exponent.
#[must_use]
pub(super) fn rate_from(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let rate: Option<f64> = is_decimal.then(|| text.parse().ok()).flatten();
    rate.filter(|rate| *rate <= HIGHEST_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_rates_and_ramps() {
        let stages = |text: &str| Stages::parse(text).unwrap().0;
        let stage = |seconds, from, to| RateStage { length: Duration::from_secs(seconds), from, to };
        assert_eq!(stages("10s:100, 5:0"), [stage(10, 100.0, 100.0), stage(5, 0.0, 0.0)]);
        assert_eq!(stages("30s:100..500"), [stage(30, 100.0, 500.0)]);
        assert_eq!(stages("1m:0..0.5,2s:.5..0"), [stage(60, 0.0, 0.5), stage(2, 0.5, 0.0)]);
        assert_eq!(Stages::parse("10s:1,1m:2..3").unwrap().length(), Duration::from_secs(70));
    }

    #[test]
    fn what_is_refused_and_why() {
        let why = |text: &str| Stages::parse(text).unwrap_err().to_string();
        for bad in ["", "10s", "10s:", ":5", "10s:x", "10s:-1", "0:5", "5s:1,", "1s:1:1", "1s:2000000000"] {
            assert!(why(bad).starts_with("expected times and rates"), "{bad}: {}", why(bad));
        }
        for bad in ["5s:1..", "5s:..1", "5s:..", "5s:1..2..3", "5s:1-2", "5s:1..-2", "5s:1..1e3"] {
            assert!(why(bad).starts_with("expected times and rates"), "{bad}: {}", why(bad));
        }
        for nothing in ["10s:0", "10s:0..0,5s:0"] {
            assert_eq!(why(nothing), "expected at least one rate above 0");
        }
        assert_eq!(why("23h:1,2h:1"), "expected stages that take at most 24h together");
    }
}
