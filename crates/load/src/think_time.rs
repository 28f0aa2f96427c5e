//! The pause between a response and the next request, as a user takes it who reads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use mio::Token;
use serde::{Deserialize, Serialize};

/// How long a connection or stream of a closed loop waits between a response and its next request: between `shortest` and
/// `longest`, and each time as likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThinkTime {
    /// The shortest pause.
    pub shortest: Duration,
    /// The longest pause.
    pub longest: Duration,
}

/// Who pauses, and until when.
pub(super) struct Thinkers {
    /// `None` if nobody does.
    time: Option<ThinkTime>,
    random: Rng,
    /// The one whose pause ends first is at the top.
    until: BinaryHeap<Reverse<(Instant, Token)>>,
}

impl Thinkers {
    pub(super) fn new(time: Option<ThinkTime>, seed: u64) -> Self {
        Self { time, random: Rng::with_seed(seed), until: BinaryHeap::new() }
    }

    /// Whether there are pauses.
    #[inline]
    pub(super) fn exist(&self) -> bool {
        self.time.is_some()
    }

    /// Begins a pause for one request of the connection with this token. Returns false if there are none.
    #[inline]
    pub(super) fn begin(&mut self, token: Token, now: Instant) -> bool {
        let Some(ThinkTime { shortest, longest }) = self.time else { return false };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (from, to) = (micros(shortest), micros(longest));
        let pause = Duration::from_micros(self.random.u64(from..=to.max(from)));
        self.until.push(Reverse((now + pause, token)));
        true
    }

    /// The next connection whose pause has ended.
    pub(super) fn ended(&mut self, now: Instant) -> Option<Token> {
        let Reverse((_, token)) = self.until.peek().filter(|Reverse((until, _))| *until <= now).copied()?;
        self.until.pop();
        Some(token)
    }

    /// When the next pause ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.until.peek().map(|Reverse((until, _))| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_end_in_order() {
        let mut thinkers = Thinkers::new(Some(ThinkTime { shortest: 20 * MS, longest: 20 * MS }), 0);
        let now = Instant::now();
        assert!(thinkers.begin(Token(2), now + MS) && thinkers.begin(Token(1), now));
        assert_eq!(thinkers.next(), Some(now + 20 * MS));
        assert_eq!(thinkers.ended(now + 19 * MS), None);
        assert_eq!((thinkers.ended(now + 20 * MS), thinkers.ended(now + 20 * MS)), (Some(Token(1)), None));
        assert_eq!((thinkers.ended(now + 21 * MS), thinkers.next()), (Some(Token(2)), None));
    }

    #[test]
    fn pauses_are_distributed_over_the_range() {
        let mut thinkers = Thinkers::new(Some(ThinkTime { shortest: 20 * MS, longest: 80 * MS }), 0);
        let now = Instant::now();
        (0..6000).for_each(|number| assert!(thinkers.begin(Token(number), now)));
        let mut counts = [0; 6];
        for (tenth, count) in (1..).zip(&mut counts) {
            while thinkers.ended(now + (20 + 10 * tenth) * MS).is_some() {
                *count += 1;
            }
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(counts.iter().sum::<i32>(), 6000);
    }

    #[test]
    fn without_a_think_time_nobody_pauses() {
        let mut thinkers = Thinkers::new(None, 0);
        assert!(!thinkers.exist() && !thinkers.begin(Token(0), Instant::now()) && thinkers.next().is_none());
    }
}
