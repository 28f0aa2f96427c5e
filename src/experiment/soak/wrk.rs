//! The same events under the load of wrk, an independent client.

use std::num::NonZeroU32;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::PromiseResult;
use crate::experiment::ExperimentError;
use crate::process::{Invocation, ProgramError};
use crate::shutdown::unless;
use crate::workload::event::{EventContext, Planned, drained, play};
use evenkeel_load::Target;
use evenkeel_measure::{Mode, some};

/// How long wrk continues after all events are over.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Plays `events` while wrk sends load, and takes the counts of failures from its output.
pub(super) async fn run(
    program: &Path,
    stage: &EventContext<'_>,
    endpoint: &Target,
    connections: NonZeroU32,
    mode: Mode,
    events: &[Planned],
) -> Result<PromiseResult, ExperimentError> {
    let connections = format!("-c{connections}");
    let url = format!("http://{}/", endpoint.address);
    // A signal ends wrk, not this time.
    let mut arguments = vec!["-t1", &connections, "-d24h", "--timeout", "10s"];
    if mode == Mode::NoKeepalive {
        arguments.extend(["-H", "Connection: close"]);
    }
    arguments.push(&url);
    let invocation = Invocation::new(program, arguments);
    let mut command = tokio::process::Command::from(invocation.command());
    let started = command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = started.map_err(|source| invocation.not_started(&source))?;
    let pid = child.id().map(|id| Pid::from_raw(id.cast_signed()));
    let never = stage.shutdown.child_token();
    let happened = play(events, Instant::now(), stage, &never).await;
    unless(stage.shutdown, drained(stage)).await??;
    sleep(AFTERMATH).await;
    if let Some(pid) = pid {
        // wrk has not been waited for yet, so the id still belongs to it.
        let _ = kill(pid, Signal::SIGINT);
    }
    let output = child.wait_with_output().await.map_err(|source| invocation.not_started(&source))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counted = WrkCounts::read(&text).ok_or_else(|| ProgramError {
        command: invocation.to_string(),
        outcome: "its output has no count of requests".into(),
        tail: text.clone(),
    })?;
    let trouble = happened.iter().find_map(|event| Some(format!("{}: {}", event.what, event.trouble.as_ref()?)));
    let failed = counted.failed;
    Ok(PromiseResult {
        event: "all of the above".into(),
        load: format!("{mode}, by wrk"),
        rounds: 0,
        requests: counted.requests,
        failed,
        longest_seconds: None,
        full_again_seconds: None,
        failures: Vec::new(),
        broken: trouble.or_else(|| (failed > 0).then(|| some(failed, "request") + " failed")),
    })
}

#[derive(Debug, PartialEq, Eq)]
struct WrkCounts {
    requests: u64,
    failed: u64,
}

impl WrkCounts {
    /// Parses the output of wrk: "  12 requests in 2.0s, …" and, only if there are any, "Socket errors: connect 0, read
    /// 1, write 0, timeout 0" and "Non-2xx or 3xx responses: 5".
    fn read(text: &str) -> Option<Self> {
        let mut requests = None;
        let mut failed = 0;
        for line in text.lines().map(str::trim) {
            if let Some((count, _)) = line.split_once(" requests in ") {
                requests = count.parse().ok();
            } else if let Some(counts) = line.strip_prefix("Socket errors: ") {
                let numbers = counts.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
                failed += numbers.sum::<u64>();
            } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses: ") {
                failed += count.trim().parse::<u64>().ok()?;
            }
        }
        Some(Self { requests: requests?, failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_the_output_of_wrk() {
        let clean =
            "Running 2s test @ http://198.18.1.1:80/\n  144180 requests in 2.10s, 26.15MB read\nRequests/sec: 1\n";
        assert_eq!(WrkCounts::read(clean), Some(WrkCounts { requests: 144_180, failed: 0 }));
        let bad = "  7 requests in 2.10s, 1MB read\n  Socket errors: connect 1, read 20, write 3, timeout 4\n  \
                   Non-2xx or 3xx responses: 100\n";
        assert_eq!(WrkCounts::read(bad), Some(WrkCounts { requests: 7, failed: 128 }));
        assert_eq!(WrkCounts::read("unable to connect"), None);
    }
}
