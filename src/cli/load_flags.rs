//! Flags of the load, and the plan that they describe.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use crate::config::{InvalidValue, parse_duration, parse_duration_or_zero, parse_positive};
use crate::experiment::LONGEST_RUN;
use evenkeel_load::{
    GrpcMethod, LoadPlan, Protocol, RateStage, RequestHeader, RequestMethod, RequestPath, RequestTemplate, Schedule,
    StatusSet,
};

/// The highest rate: one request per nanosecond, which is the resolution of the clock.
const HIGHEST_RATE: f64 = 1e9;
/// Length of a run that no flag ends.
const DEFAULT_DURATION: Duration = Duration::from_secs(30);

/// Flags of the load.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("over_http2").args(["http2", "grpc"]).multiple(true))]
pub struct LoadFlags {
    /// Number of connections; each has at most one request in flight, or as many as --streams
    #[arg(short, long, value_name = "N", default_value = "30", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    connections: NonZeroU32,
    /// Send requests over HTTP/2, without asking the server first
    #[arg(long)]
    http2: bool,
    /// Requests in flight on each connection over HTTP/2 [default: 1]
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU32>, allow_negative_numbers = true)]
    #[arg(requires = "over_http2")]
    streams: Option<NonZeroU32>,
    /// Call this method of gRPC over HTTP/2, with --timeout as its deadline
    #[arg(long, value_name = "SERVICE/METHOD", conflicts_with_all = ["method", "path", "expect"])]
    grpc: Option<GrpcMethod>,
    /// Length of each run [default: 30s; 6s in each round of a comparison]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true)]
    duration: Option<Duration>,
    /// End after N requests, answered or failed; with --duration, after that time if it comes first
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU64>, allow_negative_numbers = true)]
    requests: Option<NonZeroU64>,
    /// Send N requests per second, regardless of the responses [default: send the next request after each response]
    #[arg(short = 'R', long, value_name = "N", value_parser = parse_rate, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// Rates that follow each other, such as 10s:100,30s:500
    #[arg(long, value_name = "TIME:RATE,…", value_parser = Stages::parse, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["duration", "rate"])]
    stages: Option<Stages>,
    /// Longest time for a response
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    #[arg(allow_hyphen_values = true)]
    timeout: Duration,
    /// Length of the load before the measurement; 0 for none
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration_or_zero)]
    #[arg(allow_hyphen_values = true)]
    warmup: Duration,
    /// Threads that send the load
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    workers: NonZeroU32,
    /// Open a new connection for every request, and send Connection: close
    #[arg(long, conflicts_with = "reconnect_every")]
    no_keepalive: bool,
    /// Open a new connection after every K responses
    #[arg(long, value_name = "K", value_parser = parse_positive::<NonZeroU32>, allow_negative_numbers = true)]
    reconnect_every: Option<NonZeroU32>,
    /// Request method [default: GET, or POST with --body]
    #[arg(short, long, value_name = "WORD")]
    method: Option<RequestMethod>,
    /// Add a header, or replace Host, User-Agent, Accept or Connection; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", allow_hyphen_values = true)]
    headers: Vec<RequestHeader>,
    /// Request body, or @FILE to read it from a file; with --grpc, the encoded message
    #[arg(short, long, value_name = "TEXT|@FILE", value_parser = Body::read, allow_hyphen_values = true)]
    body: Option<Body>,
    /// Request path with its query [default: /, or the path of --target]
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    path: Option<RequestPath>,
    /// Statuses that are successes: classes, codes or ranges, such as 2xx,304,400-404
    #[arg(long, value_name = "STATUS,…", default_value = "2xx", allow_hyphen_values = true)]
    expect: StatusSet,
}

impl LoadFlags {
    /// The plan that the flags describe.
    #[must_use]
    pub fn plan(&self) -> LoadPlan {
        let duration = match (&self.stages, self.duration) {
            (Some(Stages(stages)), _) => stages.iter().map(|stage| stage.length).sum(),
            (None, Some(duration)) => duration,
            (None, None) if self.requests.is_some() => LONGEST_RUN,
            (None, None) => DEFAULT_DURATION,
        };
        let schedule = match (&self.stages, self.rate) {
            (Some(Stages(stages)), _) => Some(Schedule::of_stages(stages)),
            (None, rate) => rate.map(Schedule::constant),
        };
        LoadPlan {
            protocol: self.protocol(),
            requests: self.requests,
            schedule,
            timeout: self.timeout,
            threads: self.workers,
            warm_up: self.warmup,
            responses_per_connection: self.reconnect_every.or(self.no_keepalive.then_some(NonZeroU32::MIN)),
            request: self.request(),
            expected: self.expect.clone(),
            ..LoadPlan::new(self.connections, duration)
        }
    }

    /// The method of gRPC that is called.
    #[must_use]
    pub fn grpc(&self) -> Option<&GrpcMethod> {
        self.grpc.as_ref()
    }

    /// Whether the body of the request is given.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Whether a flag says when a run ends.
    #[must_use]
    pub fn end_a_run(&self) -> bool {
        self.duration.is_some() || self.requests.is_some() || self.stages.is_some()
    }

    fn protocol(&self) -> Protocol {
        if self.http2 || self.grpc.is_some() {
            Protocol::Http2 { streams: self.streams.unwrap_or(NonZeroU32::MIN) }
        } else {
            Protocol::Http1
        }
    }

    fn request(&self) -> RequestTemplate {
        let mut request = RequestTemplate::default();
        if let Some(Body(body)) = &self.body {
            request = request.method(RequestMethod::POST).body(body.clone());
        }
        if let Some(method) = &self.method {
            request = request.method(method.clone());
        }
        if let Some(path) = &self.path {
            request = request.path(path.clone());
        }
        if let Some(method) = &self.grpc {
            request = request.grpc(method, self.timeout);
        }
        if self.no_keepalive {
            request = request.close();
        }
        self.headers.iter().cloned().fold(request, RequestTemplate::header)
    }
}

/// Rates that follow each other. At least one of them is above 0.
#[derive(Clone, Debug)]
struct Stages(Vec<RateStage>);

impl Stages {
    /// From "10s:100,30s:500".
    fn parse(text: &str) -> Result<Self, InvalidValue> {
        let stage = |text: &str| {
            let (length, rate) = text.trim().split_once(':')?;
            let rate = number(rate).filter(|rate| *rate <= HIGHEST_RATE)?;
            Some(RateStage { length: parse_duration(length).ok()?, rate })
        };
        let stages = text.split(',').map(stage).collect::<Option<Vec<_>>>();
        let stages = stages.ok_or_else(|| InvalidValue::expected("times and rates, such as 10s:100,30s:500"))?;
        if stages.iter().all(|stage| stage.rate <= 0.0) {
            return Err(InvalidValue::expected("at least one rate above 0"));
        }
        if stages.iter().map(|stage| stage.length).sum::<Duration>() > LONGEST_RUN {
            return Err(InvalidValue::expected("stages that take at most 24h together"));
        }
        Ok(Self(stages))
    }
}

/// The body of a request.
#[derive(Clone)]
struct Body(Vec<u8>);

impl Body {
    /// The text itself, or the content of the file after `@`.
    fn read(text: &str) -> Result<Self, InvalidValue> {
        match text.strip_prefix('@') {
            Some(file) => std::fs::read(file)
                .map(Self)
                .map_err(|source| InvalidValue::expected(format!("a file that can be read ({source})"))),
            None => Ok(Self(text.as_bytes().to_owned())),
        }
    }
}

/// A body may be secret, and large.
impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Body({} bytes)", self.0.len())
    }
}

fn parse_rate(text: &str) -> Result<f64, InvalidValue> {
    let rate = number(text).filter(|rate| *rate > 0.0 && *rate <= HIGHEST_RATE);
    rate.ok_or_else(|| InvalidValue::expected("a number of requests per second, above 0 and at most 10⁹"))
}

/// Parses a number without sign and exponent.
fn number(text: &str) -> Option<f64> {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadFlags,
    }

    /// The plan, or what clap says about the argument that it refuses.
    fn plan(arguments: &[&str]) -> Result<LoadPlan, String> {
        let cli = Cli::try_parse_from([&["test"], arguments].concat()).map_err(|error| {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        })?;
        Ok(cli.load.plan())
    }

    /// Clap's sentence with the flag, the given value, and what is expected.
    #[track_caller]
    fn refused(flag: &str, given: &str, expected: &str) {
        let error = plan(&[flag, given]).unwrap_err();
        let first = error.lines().next().unwrap();
        assert!(first.starts_with("error: invalid value ") && first.contains(flag), "{first}");
        assert!(first.contains(&format!(": expected {expected}")), "{given:?}: {first}");
    }

    #[test]
    fn flags_that_end_a_run() {
        let ends = |arguments: &[&str]| {
            let plan = plan(arguments).unwrap();
            (plan.duration.as_secs(), plan.requests.map(NonZeroU64::get))
        };
        assert_eq!(ends(&[]), (30, None));
        assert_eq!(ends(&["-d", "5"]), (5, None));
        assert_eq!(ends(&["--requests", "100"]), (86_400, Some(100)));
        assert_eq!(ends(&["--requests", "100", "-d", "5"]), (5, Some(100)));
        assert_eq!(ends(&["--stages", "10s:100,30s:500"]), (40, None));
        assert_eq!(ends(&["--stages", "10s:100", "--requests", "7"]), (10, Some(7)));
    }

    #[test]
    fn flags_that_set_the_rate() {
        assert_eq!(plan(&[]).unwrap().schedule, None);
        assert_eq!(plan(&["--rate", "0.5"]).unwrap().schedule, Some(Schedule::constant(0.5)));
        let stage = |seconds, rate| RateStage { length: Duration::from_secs(seconds), rate };
        let both = Schedule::of_stages(&[stage(10, 100.0), stage(5, 0.0)]);
        assert_eq!(plan(&["--stages", "10s:100, 5:0"]).unwrap().schedule, Some(both));
        for bad in ["0", "-1", "x", "", "inf", "NaN", "1e3", "2000000000"] {
            refused("--rate", bad, "a number of requests per second");
        }
        for bad in ["", "10s", "10s:", ":5", "10s:x", "10s:-1", "0:5", "5s:1,", "1s:1:1"] {
            refused("--stages", bad, "times and rates");
        }
        refused("--stages", "10s:0", "at least one rate above 0");
        refused("--stages", "23h:1,2h:1", "stages that take at most 24h");
        for other in [["--rate", "5"], ["-d", "5s"]] {
            let given = [&["test", "--stages", "1s:1"], &other[..]].concat();
            assert!(Cli::try_parse_from(given).is_err(), "{other:?}");
        }
    }

    #[test]
    fn flags_that_close_connections() {
        let responses = |arguments: &[&str]| plan(arguments).unwrap().responses_per_connection.map(NonZeroU32::get);
        assert_eq!(responses(&[]), None);
        assert_eq!(responses(&["--no-keepalive"]), Some(1));
        assert_eq!(responses(&["--reconnect-every", "100"]), Some(100));
        for flag in ["--reconnect-every", "--requests", "--connections", "--workers"] {
            refused(flag, "0", "a whole number above 0");
            refused(flag, "-1", "a whole number above 0");
        }
    }

    #[test]
    fn flags_of_expected_statuses() {
        assert_eq!(plan(&[]).unwrap().expected, StatusSet::default());
        assert_eq!(plan(&["--expect", "2xx,304"]).unwrap().expected, "2xx,304".parse().unwrap());
        for bad in ["", "2x", "-1"] {
            refused("--expect", bad, "classes, codes or ranges");
        }
        refused("--expect", "304-200", "a range that begins with its lower code");
    }

    #[test]
    fn flags_of_the_request() {
        let request = |arguments: &[&str]| plan(arguments).unwrap().request;
        assert_eq!(
            request(&["--body", "x"]),
            RequestTemplate::default().method("POST".parse().unwrap()).body(b"x".into())
        );
        assert_eq!(
            request(&["-m", "PUT", "-b", "x"]),
            RequestTemplate::default().method("PUT".parse().unwrap()).body(b"x".into())
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0, 159]).unwrap();
        let given = format!("@{}", file.path().display());
        assert_eq!(request(&["-b", &given, "-m", "GET"]), RequestTemplate::default().body(vec![0, 159]));
        refused("--body", "@/does/not/exist", "a file that can be read (No such file");
        refused("--header", "X", "NAME: VALUE");
        refused("--path", "x", "a path that begins with /");
        refused("--method", "a b", "a method such as GET or POST");
        refused("--duration", "1w", "a number above 0 with ms, s, m or h");
        refused("--warmup", "-1s", "a number above 0 with ms, s, m or h");
    }
}
