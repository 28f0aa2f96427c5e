//! ghz, over gRPC, with the client of grpc-go: it opens a connection again when that ends, and repeats by itself only what
//! the server has certainly not processed. Each connection has one call in flight: of several, more are affected by a GOAWAY.

use super::{ClientCounts, ClientLoad, TIMEOUT_SECONDS};
use evenkeel_load::GrpcMethod;

pub(super) fn arguments(load: &ClientLoad<'_>, method: &GrpcMethod) -> Vec<String> {
    let mut arguments: Vec<String> = vec!["--insecure".into(), format!("--call={method}"), "--data={}".into()];
    arguments.extend([format!("--connections={}", load.connections), format!("--concurrency={}", load.connections)]);
    // A signal ends it, not this time. Then it waits for the calls in flight, instead of counting them as failed.
    arguments.extend(["--duration=24h".into(), "--duration-stop=wait".into()]);
    arguments.extend([format!("--timeout={TIMEOUT_SECONDS}s"), "--format=summary".into()]);
    arguments.push(load.target.address.to_string());
    arguments
}

/// How grpc-go ends a call that it does not send because of a GOAWAY, after it has tried that once again.
const NOT_SENT: &str = "code = Unavailable desc = the connection is draining";

/// Parses the output: "  Count:        12", and below "Status code distribution:" lines such as "  [Unavailable]   2
/// responses", and below "Error distribution:" such as "  [2]   rpc error: code = Unavailable desc = …".
pub(super) fn counts(output: &str) -> Option<ClientCounts> {
    let lines = || output.lines().map(str::trim);
    let all: u64 = lines().find_map(|line| line.strip_prefix("Count:")?.trim().parse().ok())?;
    let answered = |line: &str| line.strip_prefix("[OK]")?.trim().strip_suffix("responses")?.trim().parse::<u64>().ok();
    let requests = lines().find_map(answered).unwrap_or(0);
    let ended = |line: &str| line.strip_prefix('[')?.split_once(']')?.0.parse::<u64>().ok();
    let not_sent: u64 = lines().filter(|line| line.ends_with(NOT_SENT)).filter_map(ended).sum();
    Some(ClientCounts { requests, failed: all.saturating_sub(requests).saturating_sub(not_sent) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_the_output_of_ghz() {
        let clean =
            "\nSummary:\n  Count:\t23108\n  Total:\t1.98 s\n\nStatus code distribution:\n  [OK]   23108 responses   \n";
        assert_eq!(counts(clean), Some(ClientCounts { requests: 23_108, failed: 0 }));
        let bad = "Summary:\n  Count:\t23108\n\nStatus code distribution:\n  [OK]            23088 responses   \n  \
                   [Unavailable]   20 responses   \n\nError distribution:\n  [20]   transport is closing\n";
        assert_eq!(counts(bad), Some(ClientCounts { requests: 23_088, failed: 20 }));
        let draining = "Summary:\n  Count:\t110\n\nStatus code distribution:\n  [OK]            105 responses   \n  \
                   [Unavailable]   5 responses   \n\nError distribution:\n  [3]   rpc error: code = Unavailable desc = the \
                   connection is draining   \n  [2]   rpc error: code = Unavailable desc = transport is closing   \n";
        assert_eq!(counts(draining), Some(ClientCounts { requests: 105, failed: 2 }));
        let none = "Summary:\n  Count:\t5\n\nStatus code distribution:\n  [Unimplemented]   5 responses\n";
        assert_eq!(counts(none), Some(ClientCounts { requests: 0, failed: 5 }));
        assert_eq!(counts("server does not support the reflection API"), None);
    }
}
