//! The pause between two attempts to open a connection.

use std::time::{Duration, Instant};

/// The pause after a first failure. It doubles with each further one, so that a dead target is not flooded.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// When to try again after a failure at `now`.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(self.failures.min(16)));
        self.failures += 1;
        now + pause
    }

    /// There was a response.
    #[inline]
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}
