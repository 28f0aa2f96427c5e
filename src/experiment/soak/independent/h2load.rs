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

/// Parses the output: "requests: 9 total, 8 started, 8 done, 7 succeeded, 2 failed, 1 errored, 0 timeout", and "status codes:
/// 7 2xx, 0 3xx, 1 4xx, 0 5xx".
///
/// After a GOAWAY, h2load counts as failed what it does not send any more, and as errors what it has prepared and then does
/// not send. So after a GOAWAY only requests without any end and unexpected statuses count.
pub(super) fn counts(output: &str) -> Option<ClientCounts> {
    let requests = output.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let statuses = output.lines().find_map(|line| line.strip_prefix("status codes: "))?;
    let done = named(requests, "done")?;
    let failed = if output.contains(GOING_AWAY) {
        named(requests, "started")?.saturating_sub(done) + named(statuses, "4xx")? + named(statuses, "5xx")?
    } else {
        named(requests, "total")?.saturating_sub(named(requests, "succeeded")?)
    };
    Some(ClientCounts { requests: done, failed })
}

/// The count of this name in "1 total, 2 started".
fn named(counts: &str, name: &str) -> Option<u64> {
    let mut counts = counts.split(", ").filter_map(|count| count.split_once(' '));
    counts.find(|(_, named)| *named == name).and_then(|(count, _)| count.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &str, requests: &str, statuses: &str) -> Option<(u64, u64)> {
        let output = format!("starting benchmark...\n{before}\nrequests: {requests}\nstatus codes: {statuses}\n");
        counts(&output).map(|counts| (counts.requests, counts.failed))
    }

    #[test]
    fn counts_in_the_output_of_h2load() {
        let without = |requests, statuses| of("Application protocol: h2c", requests, statuses);
        let clean = "300 total, 300 started, 300 done, 300 succeeded, 0 failed, 0 errored, 0 timeout";
        assert_eq!(without(clean, "300 2xx, 0 3xx, 0 4xx, 0 5xx"), Some((300, 0)));
        let status = "300 total, 300 started, 300 done, 290 succeeded, 10 failed, 0 errored, 0 timeout";
        assert_eq!(without(status, "290 2xx, 0 3xx, 0 4xx, 10 5xx"), Some((300, 10)));
        let broken = "300 total, 120 started, 100 done, 100 succeeded, 200 failed, 200 errored, 0 timeout";
        assert_eq!(without(broken, "100 2xx, 0 3xx, 0 4xx, 0 5xx"), Some((100, 200)));
        let refused = "300 total, 0 started, 0 done, 0 succeeded, 300 failed, 300 errored, 0 timeout";
        assert_eq!(without(refused, "0 2xx, 0 3xx, 0 4xx, 0 5xx"), Some((0, 300)));
        assert_eq!(counts("client could not connect to host"), None);
    }

    #[test]
    fn requests_that_it_does_not_send_after_a_goaway_are_no_failures() {
        let after = |requests, statuses| of("Process Request Failure:7480", requests, statuses);
        let unsent = "400 total, 240 started, 240 done, 200 succeeded, 200 failed, 200 errored, 0 timeout";
        assert_eq!(after(unsent, "200 2xx, 0 3xx, 0 4xx, 0 5xx"), Some((240, 0)));
        let broken = "400 total, 240 started, 235 done, 232 succeeded, 168 failed, 165 errored, 0 timeout";
        assert_eq!(after(broken, "232 2xx, 0 3xx, 1 4xx, 2 5xx"), Some((235, 8)));
    }
}
