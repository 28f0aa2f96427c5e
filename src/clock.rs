//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the epoch; 0 where the clock stands before it.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
