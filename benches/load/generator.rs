//! The load generators: Evenkeel's own, and others with their usual arguments.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use evenkeel::process::Invocation;
use evenkeel::shutdown::Shutdown;
use evenkeel_load::{self as load, GrpcReply, LoadPlan, Protocol, Target};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::comparison::Sample;
use super::reports::{of_autocannon, of_ghz, of_h2load, of_oha, of_result, of_wrk};
use super::{Bench, Result};

/// The load that a generator sends.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    endpoint: Target,
    connections: u32,
    duration: Duration,
    /// Whether connections are kept alive. If not, every request opens a new one.
    kept: bool,
    wire: Wire,
}

/// What requests are sent over, with the number of them that each connection has in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wire {
    Http1,
    Http2(u32),
    /// With the method that is called.
    Grpc(u32, &'static str),
}

impl Wire {
    fn streams(self) -> NonZeroU32 {
        match self {
            Self::Http1 => NonZeroU32::MIN,
            Self::Http2(streams) | Self::Grpc(streams, _) => NonZeroU32::new(streams).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} streams on each connection", self.streams())
    }
}

/// The method of Evenkeel's own server that is called over gRPC, and the file that defines it.
pub(crate) const ECHO: &str = "evenkeel.v1.Echo/Echo";
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/server/proto/evenkeel/v1/echo.proto");

/// The message of each call: its first field is the text "world". As JSON for ghz, its field has the name that [`PROTO`] gives.
const MESSAGE: &[u8] = b"\x0a\x05world";
const MESSAGE_AS_JSON: &str = r#"{"text":"world"}"#;

impl Load {
    pub(crate) fn new(bench: &Bench, endpoint: Target, kept: bool) -> Self {
        let (connections, duration) = (bench.options.connections, bench.options.duration);
        Self { endpoint, connections, duration, kept, wire: Wire::Http1 }
    }

    /// Over kept connections.
    pub(crate) fn over(bench: &Bench, endpoint: Target, wire: Wire) -> Self {
        Self { wire, ..Self::new(bench, endpoint, true) }
    }

    fn milliseconds(&self) -> String {
        format!("{}ms", self.duration.as_millis())
    }

    fn plan(&self) -> Result<LoadPlan> {
        let mut plan = LoadPlan::new(NonZeroU32::new(self.connections).unwrap_or(NonZeroU32::MIN), self.duration);
        if !matches!(self.wire, Wire::Http1) {
            plan.protocol = Protocol::Http2 { streams: self.wire.streams() };
        }
        if let Wire::Grpc(_, method) = self.wire {
            plan.request = plan.request.grpc(&method.parse()?, plan.timeout).grpc_reply(GrpcReply::One);
            plan.request = plan.request.grpc_message(MESSAGE);
        }
        Ok(if self.kept { plan } else { plan.without_keepalive() })
    }
}

/// A load generator.
#[derive(Clone, Debug)]
pub(crate) enum Generator {
    /// The engine of `evenkeel test`, in this process.
    Evenkeel,
    Wrk(PathBuf),
    Oha(PathBuf),
    H2load(PathBuf),
    Ghz(PathBuf),
    /// The paths of Node and of autocannon's script.
    Autocannon(PathBuf, PathBuf),
}

impl Generator {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Evenkeel => "evenkeel",
            Self::Wrk(_) => "wrk",
            Self::Oha(_) => "oha",
            Self::H2load(_) => "h2load",
            Self::Ghz(_) => "ghz",
            Self::Autocannon(..) => "autocannon",
        }
    }

    /// Whether it can open a new connection for every request and count the requests correctly.
    pub(crate) fn opens_for_each(&self) -> bool {
        matches!(self, Self::Evenkeel | Self::Oha(_))
    }

    /// Runs it once. The CPU time is that of the whole process: all threads, start and end included. It is an error if no
    /// request succeeds.
    pub(crate) async fn run(&self, load: &Load) -> Result<Sample> {
        let (program, arguments) = match self {
            Self::Evenkeel => return run_own(load).await,
            Self::Wrk(program) => (program, wrk_arguments(load)),
            Self::Oha(program) => (program, oha_arguments(load)),
            Self::H2load(program) => (program, h2load_arguments(load)),
            Self::Ghz(program) => (program, ghz_arguments(load)),
            Self::Autocannon(node, script) => (node, autocannon_arguments(load, script)),
        };
        let (output, used) = run(Invocation::new(program, arguments)).await?;
        let json = || serde_json::from_str(&output);
        let sample = match self {
            Self::Evenkeel => None,
            Self::Wrk(_) => of_wrk(&output, used),
            Self::Oha(_) => of_oha(&json()?, used),
            Self::H2load(_) => of_h2load(&output, load.duration.as_secs_f64(), used),
            Self::Ghz(_) => of_ghz(&json()?, used),
            Self::Autocannon(..) => of_autocannon(&json()?, used),
        };
        sample.ok_or_else(|| {
            format!("{}: no request succeeded, or its report is unexpected: {output}", self.name()).into()
        })
    }
}

/// Runs Evenkeel's engine once, in this process.
async fn run_own(load: &Load) -> Result<Sample> {
    let before = processor_seconds(UsageWho::RUSAGE_SELF)?;
    let result = load::run(&load.endpoint, &load.plan()?, &Shutdown::new(), |_| {}).await?;
    let used = processor_seconds(UsageWho::RUSAGE_SELF)? - before;
    of_result(&result, used).ok_or_else(|| format!("evenkeel: no request succeeded: {:?}", result.faults).into())
}

fn wrk_arguments(load: &Load) -> Vec<OsString> {
    // wrk accepts whole seconds only.
    let duration = format!("{:.0}s", load.duration.as_secs_f64().max(1.0));
    arguments(["-t1", "--latency", "-c", &load.connections.to_string(), "-d", &duration, &load.endpoint.to_string()])
}

fn oha_arguments(load: &Load) -> Vec<OsString> {
    let mut all = arguments(["--no-tui", "--output-format", "json", "-c", &load.connections.to_string()]);
    all.extend(arguments(["-z", &load.milliseconds()]));
    if !load.kept {
        all.extend(arguments(["--disable-keepalive"]));
    }
    if let Wire::Http2(streams) = load.wire {
        all.extend(arguments(["--http2", "-p", &streams.to_string()]));
    }
    if load.endpoint.tls.is_some() {
        all.extend(arguments(["--insecure"]));
    }
    all.push(load.endpoint.to_string().into());
    all
}

fn h2load_arguments(load: &Load) -> Vec<OsString> {
    let (connections, streams) = (load.connections.to_string(), load.wire.streams().to_string());
    let (duration, url) = (load.milliseconds(), load.endpoint.to_string());
    arguments(["-t1", "-c", &connections, "-m", &streams, "-D", &duration, &url])
}

/// ghz divides its workers between the connections, and each worker has one call in flight. Calls in flight at the end are not
/// counted.
fn ghz_arguments(load: &Load) -> Vec<OsString> {
    let workers = (load.connections * load.wire.streams().get()).to_string();
    let mut all = arguments(["--insecure", "--proto", PROTO, "--call", ECHO, "-d", MESSAGE_AS_JSON, "-O", "json"]);
    all.extend(arguments(["--connections", &load.connections.to_string(), "-c", &workers]));
    let address = load.endpoint.address.to_string();
    all.extend(arguments(["-z", &load.milliseconds(), "--duration-stop", "ignore", &address]));
    all
}

fn autocannon_arguments(load: &Load, script: &Path) -> Vec<OsString> {
    let (connections, duration) = (load.connections.to_string(), load.duration.as_secs_f64().to_string());
    let mut all = vec![script.into()];
    all.extend(arguments(["--json", "-c", &connections, "-d", &duration, &load.endpoint.to_string()]));
    all
}

fn arguments<const N: usize>(all: [&str; N]) -> Vec<OsString> {
    all.map(OsString::from).to_vec()
}

/// Runs a program to its end. Returns its stdout and the CPU seconds that it used.
async fn run(invocation: Invocation) -> Result<(String, f64)> {
    let before = processor_seconds(UsageWho::RUSAGE_CHILDREN)?;
    let output = invocation.run_async().await?;
    let used = processor_seconds(UsageWho::RUSAGE_CHILDREN)? - before;
    Ok((String::from_utf8_lossy(&output).into_owned(), used))
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
fn processor_seconds(who: UsageWho) -> Result<f64> {
    let usage = getrusage(who)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
