//! When a stream of messages ends although it could go on: at its deadline, or because the server drains.

use std::future::pending;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::messages::Failure;
use super::status::Status;
use crate::connections::Phase;

/// The limits of one call.
pub(super) struct Limits {
    deadline: Option<Instant>,
    phase: watch::Receiver<Phase>,
    /// The phase in which the call ends.
    last: Phase,
}

impl Limits {
    /// The limits of a call with these headers. One that ends by itself is finished while the time for that lasts.
    pub(super) fn new(headers: &HeaderMap, phase: watch::Receiver<Phase>, endless: bool) -> Self {
        let timeout = headers.get("grpc-timeout").and_then(|text| timeout(text.to_str().ok()?));
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { deadline, phase, last: if endless { Phase::DrainOver } else { Phase::Ending } }
    }

    /// What `step` of the call gives, if no limit is reached before.
    pub(super) async fn within<T, E: Into<Failure>>(
        &mut self,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            status = self.reached() => Err(Failure::Status(status)),
            given = step => given.map_err(Into::into),
        }
    }

    /// Waits until a limit is reached. Returns the status that the call ends with.
    pub(super) async fn reached(&mut self) -> Status {
        let deadline = async {
            match self.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = deadline => Status::DeadlineExceeded,
            () = wait_for(&mut self.phase, self.last) => Status::Unavailable,
        }
    }
}

/// Waits until the server is in this phase, or in a later one.
pub(super) async fn wait_for(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // The sender outlives all connections.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// The value of `grpc-timeout`: up to eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        assert_eq!(timeout("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(timeout("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!((timeout("7u"), timeout("7n")), (Some(Duration::from_micros(7)), Some(Duration::from_nanos(7))));
        for bad in ["", "S", "1", "1s", "-1S", "999999999S", "1.5S", "é"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }
}
