//! The load generators: Evenkeel's own, and others with their usual arguments.

use std::ffi::OsStr;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel::process::Invocation;
use evenkeel::shutdown::Shutdown;
use evenkeel_load::{self as load, GrpcReply, LoadPlan, Protocol, RunResult, Target};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::Value;

use super::comparison::Sample;
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
    Grpc(u32),
}

impl Wire {
    fn streams(self) -> NonZeroU32 {
        match self {
            Self::Http1 => NonZeroU32::MIN,
            Self::Http2(streams) | Self::Grpc(streams) => NonZeroU32::new(streams).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} streams on each connection", self.streams())
    }
}

/// The method of Evenkeel's own server that is called over gRPC, and the file that defines it.
const METHOD: (&str, &str) = ("evenkeel.v1.Echo", "Echo");
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crates/server/proto/evenkeel/v1/echo.proto");

impl Load {
    pub(crate) fn new(bench: &Bench, endpoint: Target, kept: bool) -> Self {
        let (connections, duration) = (bench.options.connections, bench.options.duration);
        Self { endpoint, connections, duration, kept, wire: Wire::Http1 }
    }

    pub(crate) fn over(bench: &Bench, endpoint: Target, wire: Wire) -> Self {
        Self { wire, ..Self::new(bench, endpoint, true) }
    }

    fn plan(&self) -> Result<LoadPlan> {
        let mut plan = LoadPlan::new(NonZeroU32::new(self.connections).unwrap_or(NonZeroU32::MIN), self.duration);
        if !matches!(self.wire, Wire::Http1) {
            plan.protocol = Protocol::Http2 { streams: self.wire.streams() };
        }
        if matches!(self.wire, Wire::Grpc(_)) {
            let method = format!("{}/{}", METHOD.0, METHOD.1).parse()?;
            plan.request = plan.request.grpc(&method, plan.timeout).grpc_reply(GrpcReply::One);
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

    /// Runs it once. The CPU time is that of the whole process: all threads, start and end included.
    pub(crate) async fn run(&self, load: &Load) -> Result<Sample> {
        let url = load.endpoint.to_string();
        let (connections, seconds) = (load.connections.to_string(), load.duration.as_secs_f64());
        let milliseconds = format!("{}ms", load.duration.as_millis());
        let streams = load.wire.streams().to_string();
        match self {
            Self::Evenkeel => {
                let before = processor_seconds(UsageWho::RUSAGE_SELF)?;
                let result = load::run(&load.endpoint, &load.plan()?, &Shutdown::new(), |_| {}).await?;
                let used = processor_seconds(UsageWho::RUSAGE_SELF)? - before;
                Ok(of_result(&result, used))
            }
            Self::Wrk(program) => {
                // wrk accepts whole seconds only.
                let duration = format!("{:.0}s", seconds.max(1.0));
                let arguments = ["-t1", "--latency", "-c", &connections, "-d", &duration, &url];
                let (output, used) = run(Invocation::new(program, arguments)).await?;
                of_wrk(&output, used).ok_or_else(|| unexpected("wrk", &output))
            }
            Self::Oha(program) => {
                let mut arguments =
                    vec!["--no-tui", "--output-format", "json", "-c", &connections, "-z", &milliseconds];
                arguments.extend((!load.kept).then_some("--disable-keepalive"));
                if let Wire::Http2(_) = load.wire {
                    arguments.extend(["--http2", "-p", &streams]);
                }
                arguments.push(&url);
                let (output, used) = run(Invocation::new(program, arguments)).await?;
                of_oha(&serde_json::from_str(&output)?, used).ok_or_else(|| unexpected("oha", &output))
            }
            Self::H2load(program) => {
                let duration = format!("{:.0}", seconds.max(1.0));
                let arguments = ["-t1", "-c", &connections, "-m", &streams, "-D", &duration, &url];
                let (output, used) = run(Invocation::new(program, arguments)).await?;
                of_h2load(&output, used).ok_or_else(|| unexpected("h2load", &output))
            }
            Self::Ghz(program) => {
                let (method, address) = (METHOD.0.to_owned() + "." + METHOD.1, load.endpoint.address.to_string());
                let workers = (load.connections * load.wire.streams().get()).to_string();
                let arguments = ["--insecure", "--proto", PROTO, "--call", &method, "-d", "{}", "-O", "json"];
                let arguments = arguments.into_iter().chain(["--connections", &connections, "-c", &workers]);
                let arguments = arguments.chain(["-z", &milliseconds, "--duration-stop", "ignore", &address]);
                let (output, used) = run(Invocation::new(program, arguments)).await?;
                of_ghz(&serde_json::from_str(&output)?, used).ok_or_else(|| unexpected("ghz", &output))
            }
            Self::Autocannon(node, script) => {
                let duration = seconds.to_string();
                let arguments = ["--json", "-c", &connections, "-d", &duration, &url].map(OsStr::new);
                let arguments = [script.as_os_str()].into_iter().chain(arguments);
                let (output, used) = run(Invocation::new(node, arguments)).await?;
                of_autocannon(&serde_json::from_str(&output)?, used).ok_or_else(|| unexpected("autocannon", &output))
            }
        }
    }
}

fn unexpected(name: &str, output: &str) -> Box<dyn std::error::Error> {
    format!("{name} printed an unexpected report: {output}").into()
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

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn of_result(result: &RunResult, used: f64) -> Sample {
    let answered = result.answered as f64;
    Sample {
        requests_per_second: answered / result.elapsed.as_secs_f64(),
        cpu_per_million: used * 1e6 / answered,
        p99_ms: result.latency.quantile(0.99) as f64 / 1000.0,
        failed: result.faults.values().sum(),
    }
}

/// Reads wrk's report.
fn of_wrk(output: &str, used: f64) -> Option<Sample> {
    let line = |wanted: &str| output.lines().map(str::trim).find(|line| line.contains(wanted));
    let requests: f64 = line("requests in")?.split(' ').next()?.parse().ok()?;
    let p99 = line("99%")?.split_whitespace().nth(1)?;
    let (number, unit) = p99.split_at(p99.find(|c: char| c.is_ascii_alphabetic())?);
    let scale = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => return None,
    };
    let numbers = |line: &str| line.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
    Some(Sample {
        requests_per_second: line("Requests/sec:")?.split_whitespace().nth(1)?.parse().ok()?,
        cpu_per_million: used * 1e6 / requests,
        p99_ms: number.parse::<f64>().ok()? * scale,
        failed: ["Socket errors", "Non-2xx"].into_iter().filter_map(line).map(numbers).sum(),
    })
}

/// Reads h2load's report, which has no percentiles.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn of_h2load(output: &str, used: f64) -> Option<Sample> {
    let rate = output.lines().find(|line| line.starts_with("finished in "))?.split(", ").nth(1)?;
    let counts = output.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let count = |what: &str| counts.split(", ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok());
    let succeeded = count(" succeeded")?;
    Some(Sample {
        requests_per_second: rate.strip_suffix(" req/s")?.parse().ok()?,
        cpu_per_million: used * 1e6 / succeeded as f64,
        p99_ms: f64::NAN,
        failed: count(" failed")? + count(" timeout")?,
    })
}

/// Reads ghz's JSON. Its times are in nanoseconds.
fn of_ghz(report: &Value, used: f64) -> Option<Sample> {
    let statuses = report["statusCodeDistribution"].as_object()?;
    let answered = statuses.get("OK")?.as_f64()?;
    let p99 = report["latencyDistribution"].as_array()?.iter().find(|part| part["percentage"] == 99)?;
    Some(Sample {
        requests_per_second: answered / (report["total"].as_f64()? / 1e9),
        cpu_per_million: used * 1e6 / answered,
        p99_ms: p99["latency"].as_f64()? / 1e6,
        failed: statuses.iter().filter(|(status, _)| *status != "OK").filter_map(|(_, count)| count.as_u64()).sum(),
    })
}

/// Reads oha's JSON.
fn of_oha(report: &Value, used: f64) -> Option<Sample> {
    let statuses = report["statusCodeDistribution"].as_object()?;
    let answered: f64 = statuses.values().filter_map(Value::as_f64).sum();
    let other = statuses.iter().filter(|(status, _)| !status.starts_with('2'));
    let errors = report["errorDistribution"].as_object()?;
    // Requests that were in flight at the end of the run are not failures.
    let failed = errors.iter().filter(|(error, _)| !error.contains("deadline"));
    Some(Sample {
        requests_per_second: answered / report["summary"]["total"].as_f64()?,
        cpu_per_million: used * 1e6 / answered,
        p99_ms: report["latencyPercentiles"]["p99"].as_f64()? * 1000.0,
        failed: other.chain(failed).filter_map(|(_, count)| count.as_u64()).sum(),
    })
}

/// Reads autocannon's JSON.
fn of_autocannon(report: &Value, used: f64) -> Option<Sample> {
    let answered = report["requests"]["total"].as_f64()?;
    Some(Sample {
        requests_per_second: answered / report["duration"].as_f64()?,
        cpu_per_million: used * 1e6 / answered,
        p99_ms: report["latency"]["p99"].as_f64()?,
        failed: report["errors"].as_u64()? + report["non2xx"].as_u64()?,
    })
}
