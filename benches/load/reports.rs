//! Reads what the load generators report. Only responses with a status of success are counted in a rate; what failed is
//! counted apart.

use evenkeel_load::{Fault, RunResult};
use serde_json::Value;

use super::Result;
use super::comparison::Sample;

/// What a generator counted.
struct Counted {
    succeeded: f64,
    seconds: f64,
    p99_ms: f64,
    failed: u64,
}

impl Counted {
    /// `None` if no request succeeded. `used` are the CPU seconds.
    fn sample(self, used: f64) -> Option<Sample> {
        let Self { succeeded, seconds, p99_ms, failed } = self;
        let sample = Sample {
            requests_per_second: succeeded / seconds,
            cpu_per_million: used * 1e6 / succeeded,
            p99_ms,
            failed,
        };
        (succeeded > 0.0 && seconds > 0.0).then_some(sample)
    }
}

/// Reads the result of Evenkeel's engine. A response with an unexpected status is counted as a response and as a fault.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
pub(super) fn of_result(result: &RunResult, used: f64) -> Option<Sample> {
    let is_response = |fault: &Fault| matches!(fault, Fault::Status(_) | Fault::Grpc(_) | Fault::NotGrpc(_));
    let (responses, others): (Vec<_>, Vec<_>) = result.faults.iter().partition(|(at, _)| is_response(&at.fault));
    let [other_status, without_response] =
        [responses, others].map(|all| all.iter().map(|(_, count)| **count).sum::<u64>());
    Counted {
        succeeded: (result.answered - other_status) as f64,
        seconds: result.elapsed.as_secs_f64(),
        p99_ms: result.latency.quantile(0.99) as f64 / 1000.0,
        failed: other_status + without_response,
    }
    .sample(used)
}

/// Reads the JSON of `evenkeel test`.
pub(super) fn of_own(report: &Value) -> Result<Sample> {
    let run = &report["runs"][0];
    let number = |value: &Value| value.as_f64().ok_or_else(|| format!("a number is missing in the report: {run}"));
    let requests = number(&run["requests"]["answered"])?;
    Ok(Sample {
        requests_per_second: number(&run["requests_per_second"]["average"])?,
        cpu_per_million: number(&run["generator_cpu_seconds"])? * 1e6 / requests.max(1.0),
        p99_ms: number(&run["latency_us"]["p99"])? / 1000.0,
        failed: run["errors"].as_u64().ok_or("the number of errors is missing in the report")?,
    })
}

/// Reads wrk's report.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
pub(super) fn of_wrk(output: &str, used: f64) -> Option<Sample> {
    let line = |wanted: &str| output.lines().map(str::trim).find(|line| line.contains(wanted));
    let requests: f64 = line("requests in")?.split(' ').next()?.parse().ok()?;
    let rate: f64 = line("Requests/sec:")?.split_whitespace().nth(1)?.parse().ok()?;
    let p99 = line("99%")?.split_whitespace().nth(1)?;
    let (number, unit) = p99.split_at(p99.find(|c: char| c.is_ascii_alphabetic())?);
    let scale = match unit {
        "us" => 0.001,
        "ms" => 1.0,
        "s" => 1000.0,
        _ => return None,
    };
    let numbers = |line: &str| line.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
    // Both lines are missing if there is nothing to tell. Its requests include those with other statuses.
    let [broken, other] = ["Socket errors", "Non-2xx"].map(|what| line(what).map_or(0, numbers));
    Counted {
        succeeded: requests - other as f64,
        seconds: requests / rate,
        p99_ms: number.parse::<f64>().ok()? * scale,
        failed: broken + other,
    }
    .sample(used)
}

/// Reads h2load's report, which has no percentiles. Those that failed include those with a status of an error.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
pub(super) fn of_h2load(output: &str, seconds: f64, used: f64) -> Option<Sample> {
    let counts = |name: &str| output.lines().find_map(|line| line.strip_prefix(name));
    let count = |counts: &str, what: &str| {
        counts.split(", ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok())
    };
    let succeeded = count(counts("status codes: ")?, " 2xx")?;
    let redirected = count(counts("status codes: ")?, " 3xx")?;
    let failed = count(counts("requests: ")?, " failed")?;
    Counted { succeeded: succeeded as f64, seconds, p99_ms: f64::NAN, failed: failed + redirected }.sample(used)
}

/// Reads ghz's JSON. Its times are in nanoseconds.
pub(super) fn of_ghz(report: &Value, used: f64) -> Option<Sample> {
    let statuses = report["statusCodeDistribution"].as_object()?;
    let p99 = report["latencyDistribution"].as_array()?.iter().find(|part| part["percentage"] == 99)?;
    Counted {
        succeeded: statuses.get("OK")?.as_f64()?,
        seconds: report["total"].as_f64()? / 1e9,
        p99_ms: p99["latency"].as_f64()? / 1e6,
        failed: statuses.iter().filter(|(status, _)| *status != "OK").filter_map(|(_, count)| count.as_u64()).sum(),
    }
    .sample(used)
}

/// What oha calls a request that was in flight at the end of the run. It is not a failure.
const OHA_IN_FLIGHT: &str = "aborted due to deadline";

/// Reads oha's JSON.
pub(super) fn of_oha(report: &Value, used: f64) -> Option<Sample> {
    let statuses = report["statusCodeDistribution"].as_object()?;
    let (succeeded, other): (Vec<_>, Vec<_>) = statuses.iter().partition(|(status, _)| status.starts_with('2'));
    let errors = report["errorDistribution"].as_object()?.iter().filter(|(error, _)| *error != OHA_IN_FLIGHT);
    Counted {
        succeeded: succeeded.iter().filter_map(|(_, count)| count.as_f64()).sum(),
        seconds: report["summary"]["total"].as_f64()?,
        p99_ms: report["latencyPercentiles"]["p99"].as_f64()? * 1000.0,
        failed: other.into_iter().chain(errors).filter_map(|(_, count)| count.as_u64()).sum(),
    }
    .sample(used)
}

/// Reads autocannon's JSON.
pub(super) fn of_autocannon(report: &Value, used: f64) -> Option<Sample> {
    Counted {
        succeeded: report["2xx"].as_f64()?,
        seconds: report["duration"].as_f64()?,
        p99_ms: report["latency"]["p99"].as_f64()?,
        failed: report["errors"].as_u64()? + report["non2xx"].as_u64()?,
    }
    .sample(used)
}
