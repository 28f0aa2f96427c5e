//! Independent clients: load generators of others, which send load during the same events.

mod ghz;
mod h2load;
mod wrk;

use std::ops::AddAssign;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::PromiseResult;
use crate::experiment::ExperimentError;
use crate::process::{Invocation, ProgramError};
use crate::shutdown::unless;
use crate::workload::event::{EventContext, EventRecord, Planned, drained, play};
use evenkeel_load::{GrpcMethod, LoadPlan, Protocol, Target};
use evenkeel_measure::{Mode, Way, some};

/// How long the client continues after all events are over.
const AFTERMATH: Duration = Duration::from_secs(2);
/// How long the client waits for a response, in seconds.
const TIMEOUT_SECONDS: u32 = 10;

/// An independent client: a program and what it speaks.
#[derive(Clone, Debug)]
pub enum IndependentClient {
    /// wrk, over HTTP/1.1.
    Wrk(PathBuf),
    /// h2load, over HTTP/2.
    H2load(PathBuf),
    /// ghz, which calls this method of gRPC.
    Ghz(PathBuf, GrpcMethod),
}

/// The load that it sends.
struct ClientLoad<'a> {
    target: &'a Target,
    connections: u32,
    /// Requests in flight on each connection over HTTP/2.
    streams: u32,
    mode: Mode,
}

impl IndependentClient {
    /// Its name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Wrk(_) => "wrk",
            Self::H2load(_) => "h2load",
            Self::Ghz(..) => "ghz",
        }
    }

    /// The modes of load that it can send.
    pub(super) fn modes(&self) -> &'static [Mode] {
        match self {
            Self::Wrk(_) => &[Mode::Keepalive, Mode::NoKeepalive],
            Self::H2load(_) | Self::Ghz(..) => &[Mode::Keepalive],
        }
    }

    fn invocation(&self, load: &ClientLoad<'_>) -> Invocation {
        match self {
            Self::Wrk(program) => Invocation::new(program, wrk::arguments(load)),
            Self::H2load(program) => Invocation::new(program, h2load::arguments(load)),
            Self::Ghz(program, method) => Invocation::new(program, ghz::arguments(load, method)),
        }
    }

    /// Whether it sends load until it gets a signal. Else it ends by itself, and is started again.
    fn ends_with_signal(&self) -> bool {
        matches!(self, Self::Wrk(_))
    }

    /// Reads the counts in its output.
    fn counts(&self, load: &ClientLoad<'_>, output: &str) -> Option<ClientCounts> {
        match self {
            Self::Wrk(_) => wrk::counts(output),
            Self::H2load(_) => h2load::counts(output),
            Self::Ghz(..) => ghz::counts(ghz::calls(load), output),
        }
    }
}

/// What an independent client counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ClientCounts {
    /// Requests that got a response.
    requests: u64,
    failed: u64,
}

impl AddAssign for ClientCounts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
    }
}

/// Plays `events` while the client sends load, and takes the counts of failures from its output.
pub(super) async fn run(
    client: &IndependentClient,
    stage: &EventContext<'_>,
    target: &Target,
    (plan, way): (&LoadPlan, Way),
    events: &[Planned],
) -> Result<PromiseResult, ExperimentError> {
    let streams = match plan.protocol {
        Protocol::Http2 { streams } => streams.get(),
        Protocol::Http1 => 1,
    };
    let load = ClientLoad { target, connections: plan.connections.get(), streams, mode: way.mode };
    let invocation = client.invocation(&load);
    let mut playing = pin!(played(events, stage));
    let mut counts = ClientCounts::default();
    let mut happened = None;
    while happened.is_none() {
        let child = start(&invocation)?;
        let pid = child.id().map(|id| Pid::from_raw(id.cast_signed()));
        let mut ended = pin!(child.wait_with_output());
        let output = tokio::select! {
            output = &mut ended => output,
            played = &mut playing => {
                happened = Some(played?);
                if let Some(pid) = pid.filter(|_| client.ends_with_signal()) {
                    // It has not been waited for yet, so the id still belongs to it.
                    let _ = kill(pid, Signal::SIGINT);
                }
                ended.await
            }
        };
        let output = output.map_err(|source| invocation.not_started(&source))?;
        counts += read((client, &load), &invocation, &output.stdout, &output.stderr)?;
    }
    Ok(result(client, way, counts, &happened.unwrap_or_default()))
}

/// Plays `events`, and waits until their pods are gone and a while longer.
async fn played(events: &[Planned], stage: &EventContext<'_>) -> Result<Vec<EventRecord>, ExperimentError> {
    let never = stage.shutdown.child_token();
    let happened = play(events, Instant::now(), stage, &never, true).await;
    unless(stage.shutdown, drained(stage)).await??;
    sleep(AFTERMATH).await;
    Ok(happened)
}

fn start(invocation: &Invocation) -> Result<tokio::process::Child, ProgramError> {
    let mut command = tokio::process::Command::from(invocation.command());
    let started = command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    started.map_err(|source| invocation.not_started(&source))
}

fn read(
    (client, load): (&IndependentClient, &ClientLoad<'_>),
    invocation: &Invocation,
    stdout: &[u8],
    stderr: &[u8],
) -> Result<ClientCounts, ProgramError> {
    let text = String::from_utf8_lossy(stdout);
    client.counts(load, &text).ok_or_else(|| ProgramError {
        command: invocation.to_string(),
        outcome: "its output has no count of requests".into(),
        tail: format!("{text}{}", String::from_utf8_lossy(stderr)),
    })
}

fn result(client: &IndependentClient, way: Way, counts: ClientCounts, happened: &[EventRecord]) -> PromiseResult {
    let trouble = happened.iter().find_map(|event| Some(format!("{}: {}", event.what, event.trouble.as_ref()?)));
    let ClientCounts { requests, failed } = counts;
    PromiseResult {
        event: "all of the above".into(),
        load: format!("{way}, by {}", client.name()),
        rounds: 0,
        requests,
        failed,
        longest_seconds: None,
        full_again_seconds: None,
        failures: Vec::new(),
        broken: trouble.or_else(|| (failed > 0).then(|| some(failed, "request") + " failed")),
    }
}
