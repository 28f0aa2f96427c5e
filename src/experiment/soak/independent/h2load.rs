//! h2load, over HTTP/2. A client of h2load sends nothing more after a GOAWAY and opens no other connection, so it gets a
//! number of requests that takes about a second, and is started again. With a duration instead of a number, it would not
//! count the requests of broken connections.

use super::{ClientCounts, ClientLoad, TIMEOUT_SECONDS};

/// How many requests it sends on each connection.
const REQUESTS_PER_CONNECTION: u32 = 1000;
/// What it prints for each connection that may send no more requests after a GOAWAY.
const GOING_AWAY: &str = "Process Request Failure:";

pub(super) fn arguments(load: &ClientLoad<'_>) -> Vec<String> {
    let requests = load.connections.saturating_mul(REQUESTS_PER_CONNECTION);
    vec![
        format!("-n{requests}"),
        format!("-c{}", load.connections),
        format!("-m{}", load.streams),
        "-t1".into(),
        format!("-N{TIMEOUT_SECONDS}s"),
        format!("http://{}/", load.target.address),
    ]
}

/// Parses the output: "requests: 9 total, 8 started, 8 done, 7 succeeded, 2 failed, 1 errored, 0 timeout". It counts as
/// failed what it did not send after a GOAWAY. Such requests have not begun, so after a GOAWAY only the requests that were
/// started count.
pub(super) fn counts(output: &str) -> Option<ClientCounts> {
    let line = output.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |name: &str| -> Option<u64> {
        let counts = line.split(", ").filter_map(|count| count.split_once(' '));
        counts.filter(|(_, named)| *named == name).find_map(|(count, _)| count.parse().ok())
    };
    let asked = if output.contains(GOING_AWAY) { count("started")? } else { count("total")? };
    Some(ClientCounts { requests: count("done")?, failed: asked.saturating_sub(count("succeeded")?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_the_output_of_h2load() {
        let of = |counts: &str| {
            let output = format!("starting benchmark...\n{counts}\nstatus codes: 1 2xx, 0 3xx, 0 4xx, 0 5xx\n");
            super::counts(&output).map(|counts| (counts.requests, counts.failed))
        };
        let clean = "requests: 300 total, 300 started, 300 done, 300 succeeded, 0 failed, 0 errored, 0 timeout";
        assert_eq!(of(clean), Some((300, 0)));
        let status = "requests: 300 total, 300 started, 300 done, 290 succeeded, 10 failed, 0 errored, 0 timeout";
        assert_eq!(of(status), Some((300, 10)));
        let broken = "requests: 300 total, 120 started, 100 done, 100 succeeded, 200 failed, 200 errored, 0 timeout";
        assert_eq!(of(broken), Some((100, 200)));
        let refused = "requests: 300 total, 0 started, 0 done, 0 succeeded, 300 failed, 300 errored, 0 timeout";
        assert_eq!(of(refused), Some((0, 300)));
        assert_eq!(of("client could not connect to host"), None);
    }

    #[test]
    fn requests_that_it_does_not_send_after_a_goaway_are_no_failures() {
        let after = |counts: &str| super::counts(&format!("Process Request Failure:7480\n\n{counts}\n"));
        let unsent = "requests: 400 total, 240 started, 240 done, 240 succeeded, 160 failed, 160 errored, 0 timeout";
        assert_eq!(after(unsent), Some(ClientCounts { requests: 240, failed: 0 }));
        let refused = "requests: 400 total, 240 started, 240 done, 230 succeeded, 170 failed, 170 errored, 0 timeout";
        assert_eq!(after(refused), Some(ClientCounts { requests: 240, failed: 10 }));
    }
}
