//! wrk, over HTTP/1.1. It opens a connection again when that ends.

use super::{ClientCounts, ClientLoad, TIMEOUT_SECONDS};
use evenkeel_measure::Mode;

pub(super) fn arguments(load: &ClientLoad<'_>) -> Vec<String> {
    // A signal ends it, not this time.
    let mut arguments = vec!["-t1".into(), format!("-c{}", load.connections), "-d24h".into()];
    arguments.extend(["--timeout".into(), format!("{TIMEOUT_SECONDS}s")]);
    if load.mode == Mode::NoKeepalive {
        arguments.extend(["-H".into(), "Connection: close".into()]);
    }
    arguments.push(format!("http://{}/", load.target.address));
    arguments
}

/// Parses the output: "  12 requests in 2.0s, …" and, only if there are any, "Socket errors: connect 0, read 1, write 0,
/// timeout 0" and "Non-2xx or 3xx responses: 5".
pub(super) fn counts(output: &str) -> Option<ClientCounts> {
    let mut requests = None;
    let mut failed = 0;
    for line in output.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            requests = count.parse().ok();
        } else if let Some(counts) = line.strip_prefix("Socket errors: ") {
            let numbers = counts.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
            failed += numbers.sum::<u64>();
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses: ") {
            failed += count.trim().parse::<u64>().ok()?;
        }
    }
    Some(ClientCounts { requests: requests?, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_the_output_of_wrk() {
        let clean =
            "Running 2s test @ http://198.18.1.1:80/\n  144180 requests in 2.10s, 26.15MB read\nRequests/sec: 1\n";
        assert_eq!(counts(clean), Some(ClientCounts { requests: 144_180, failed: 0 }));
        let bad = "  7 requests in 2.10s, 1MB read\n  Socket errors: connect 1, read 20, write 3, timeout 4\n  \
                   Non-2xx or 3xx responses: 100\n";
        assert_eq!(counts(bad), Some(ClientCounts { requests: 7, failed: 128 }));
        assert_eq!(counts("unable to connect"), None);
    }
}
