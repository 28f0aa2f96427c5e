//! ghz, over gRPC, with the client of grpc-go: it opens a connection again when that ends, and sends a call again by itself that
//! the server has certainly not processed.
//!
//! ghz counts each time that a call was sent, so a call that was sent again is one failure and one success. To count calls, it
//! gets their number, and is started again when it has made them: a call that did not succeed in the end has failed.

use super::{ClientCounts, ClientLoad, TIMEOUT_SECONDS};
use evenkeel_load::GrpcMethod;

/// How many calls it makes on each connection, which takes a few seconds.
const CALLS_PER_CONNECTION: u32 = 600;

pub(super) fn arguments(load: &ClientLoad<'_>, method: &GrpcMethod) -> Vec<String> {
    let workers = load.connections.saturating_mul(load.streams);
    vec![
        "--insecure".into(),
        format!("--call={method}"),
        "--data={}".into(),
        format!("--connections={}", load.connections),
        format!("--concurrency={workers}"),
        format!("--total={}", calls(load)),
        format!("--timeout={TIMEOUT_SECONDS}s"),
        "--format=summary".into(),
        load.target.address.to_string(),
    ]
}

/// How many calls it makes before it ends. Each of its workers needs at least one.
pub(super) fn calls(load: &ClientLoad<'_>) -> u32 {
    load.connections.saturating_mul(load.streams.max(CALLS_PER_CONNECTION))
}

/// Parses the output after so many `calls`: "  Count:        12", and below "Status code distribution:" lines such as "  [OK]
/// 11 responses".
pub(super) fn counts(calls: u32, output: &str) -> Option<ClientCounts> {
    let lines = || output.lines().map(str::trim);
    lines().find(|line| line.starts_with("Count:"))?;
    let succeeded =
        |line: &str| line.strip_prefix("[OK]")?.trim().strip_suffix("responses")?.trim().parse::<u64>().ok();
    let requests = lines().find_map(succeeded).unwrap_or(0);
    Some(ClientCounts { requests, failed: u64::from(calls).saturating_sub(requests) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts of requests and of failures in an output of ghz that made 6,000 calls.
    fn of(count: u32, below: &str) -> Option<(u64, u64)> {
        let output = format!("\nSummary:\n  Count:\t{count}\n  Total:\t1.98 s\n\nStatus code distribution:\n{below}\n");
        counts(6000, &output).map(|counts| (counts.requests, counts.failed))
    }

    #[test]
    fn counts_in_the_output_of_ghz() {
        assert_eq!(of(6000, "  [OK]   6000 responses   "), Some((6000, 0)));
        let some = "  [OK]            5980 responses   \n  [Unavailable]   20 responses   ";
        assert_eq!(of(6000, some), Some((5980, 20)));
        assert_eq!(of(6000, "  [Unimplemented]   6000 responses   "), Some((0, 6000)));
    }

    #[test]
    fn a_call_that_was_sent_again_has_failed_only_if_it_did_not_succeed_in_the_end() {
        let again = "  [Unavailable]   3 responses   \n  [OK]            6000 responses   ";
        assert_eq!(of(6003, again), Some((6000, 0)));
        let not_all = "  [OK]            5999 responses   \n  [Unavailable]   3 responses   ";
        assert_eq!(of(6002, not_all), Some((5999, 1)));
    }

    #[test]
    fn an_output_without_a_count_has_no_counts() {
        assert_eq!(counts(1, "server does not support the reflection API"), None);
    }
}
