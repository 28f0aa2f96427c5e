//! By how much two clocks differ, measured with questions and answers as NTP does, and the unit in which both sides tell them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time in microseconds.
#[must_use]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The time of day, in microseconds since 1970.
#[must_use]
pub fn wall_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// By how much a clock is ahead of another one. All times are in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// By how much it is ahead; negative if it is behind.
    pub offset_us: i64,
    /// The offset is at most so much larger or smaller.
    pub error_us: u64,
}

impl ClockOffset {
    /// From one question that was sent at `sent` and whose answer was received at `received`, both on the own clock. The
    /// other clock said `other` in between: the offset assumes the middle, and the error covers both ends.
    #[must_use]
    pub fn of_exchange(sent: u64, received: u64, other: u64) -> Self {
        let round_trip = received.saturating_sub(sent);
        let middle = sent.saturating_add(round_trip / 2);
        Self { offset_us: other.wrapping_sub(middle).cast_signed(), error_us: round_trip.div_ceil(2) }
    }

    /// The more exact of two.
    #[must_use]
    pub fn or_better(self, other: Self) -> Self {
        if other.error_us < self.error_us { other } else { self }
    }

    /// The time on the other clock when the own clock has this time.
    #[must_use]
    pub fn on_other(self, own: u64) -> u64 {
        own.saturating_add_signed(self.offset_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_right_within_its_error_wherever_the_answer_was_given() {
        // The other clock is 5000 µs ahead, or behind.
        for ahead in [5_000_i64, -5_000, 0, 1_700_000_000_000_000] {
            for answered in [10_000_u64, 10_001, 10_300, 10_600, 10_601] {
                let other = answered.saturating_add_signed(ahead.max(-5_000));
                let measured = ClockOffset::of_exchange(10_000, 10_601, other);
                let off = (measured.offset_us - ahead).unsigned_abs();
                assert!(off <= measured.error_us, "{ahead} at {answered}: {measured:?}");
            }
        }
    }

    #[test]
    fn the_shortest_exchange_counts() {
        let (slow, fast) = (ClockOffset::of_exchange(0, 900, 500), ClockOffset::of_exchange(2_000, 2_100, 2_060));
        assert_eq!((slow.or_better(fast), fast.or_better(slow)), (fast, fast));
        assert_eq!(fast, ClockOffset { offset_us: 10, error_us: 50 });
    }

    #[test]
    fn times_are_told_on_the_other_clock() {
        let ahead = ClockOffset { offset_us: 250, error_us: 1 };
        let behind = ClockOffset { offset_us: -250, error_us: 1 };
        assert_eq!((ahead.on_other(1_000), behind.on_other(1_000), behind.on_other(100)), (1_250, 750, 0));
    }
}
