//! Flags of the load, and the plan that they describe.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::body::Body;
use super::mix_flags::MixFlags;
use super::stages::{Stages, rate_from};
use crate::cli::error::Error;
use crate::config::{InvalidValue, parse_duration, parse_duration_or_zero, parse_positive};
use crate::experiment::LONGEST_RUN;
use evenkeel_load::{
    CallLine, GrpcMethod, LoadPlan, Protocol, RequestHeader, RequestMethod, RequestMix, RequestPath, RequestTemplate,
    Schedule, StatusSet, ThinkTime,
};

/// Length of a run that no flag ends.
const DEFAULT_DURATION: Duration = Duration::from_secs(30);

/// Flags of the load.
#[derive(Debug, clap::Args)]
pub struct LoadFlags {
    /// Number of connections; each has at most one request in flight, or as many as --streams
    #[arg(short, long, value_name = "N", default_value = "30", value_parser = parse_positive::<NonZeroU32>)]
    #[arg(allow_negative_numbers = true)]
    connections: NonZeroU32,
    /// Send requests over HTTP/2, without asking the server first
    #[arg(long)]
    http2: bool,
    /// Requests in flight on each connection over HTTP/2 [default: 1; all, where --compare has protocols]
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU32>, allow_negative_numbers = true)]
    streams: Option<NonZeroU32>,
    /// Call this method of gRPC over HTTP/2, with --timeout as its deadline
    #[arg(long, value_name = "SERVICE/METHOD", conflicts_with = "expect")]
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
    /// Rates that follow each other, and ramps between two rates, such as 30s:100..500,10s:500
    #[arg(long, value_name = "TIME:RATE[..RATE],…", value_parser = Stages::parse, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["duration", "rate"])]
    stages: Option<Stages>,
    /// Pause of each connection or stream between a response and its next request, such as 50ms or 20ms..80ms
    #[arg(long, value_name = "TIME[..TIME]", value_parser = parse_think_time, allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["rate", "stages"])]
    think_time: Option<ThinkTime>,
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
    /// Request body, or @FILE to read it from a file; may have placeholders such as {{uuid}}. With --grpc, the encoded message
    #[arg(short, long, value_name = "TEXT|@FILE", value_parser = Body::read, allow_hyphen_values = true)]
    body: Option<Body>,
    /// Request path with its query; several are requested in turn [default: /, or the path of --target]
    #[arg(id = "path", long, value_name = "PATH", allow_hyphen_values = true)]
    paths: Vec<RequestPath>,
    #[command(flatten)]
    mix: MixFlags,
    /// Statuses that are successes: classes, codes or ranges, such as 2xx,304,400-404
    #[arg(long, value_name = "STATUS,…", default_value = "2xx", allow_hyphen_values = true)]
    expect: StatusSet,
}

/// The load that flags describe.
#[derive(Clone, Debug)]
pub struct Load {
    /// The plan, with one protocol for all runs.
    pub plan: LoadPlan,
    /// Whether `--http2` chooses that protocol.
    pub over_http2: bool,
    /// Requests in flight on each connection over HTTP/2, if that is given.
    pub streams: Option<NonZeroU32>,
    /// The requests, where runs over different protocols are compared: of HTTP, and of gRPC.
    pub requests: (RequestTemplate, Option<RequestTemplate>),
    /// Whether a flag says when a run ends.
    pub has_end: bool,
}

impl LoadFlags {
    /// The load that the flags describe.
    ///
    /// # Errors
    /// [`Error::BadValue`] for flags that contradict each other, and if the body has a placeholder that does not exist.
    pub fn load(&self, compares_protocols: bool) -> Result<Load, Error> {
        if let (Some(method), false) = (&self.grpc, compares_protocols)
            && (self.method.is_some() || !self.paths.is_empty())
        {
            let why = "a call of gRPC has its own method and path, so --method and --path are only for a comparison \
                       with other protocols";
            return Err(Error::BadValue { what: "--grpc", given: method.to_string(), why: why.into() });
        }
        if self.streams.is_some() && !compares_protocols && self.protocol() == Protocol::Http1 {
            let given = self.streams.map(|streams| streams.to_string()).unwrap_or_default();
            let why = "a connection has several streams only over HTTP/2, so expected --http2 or --grpc with it";
            return Err(Error::BadValue { what: "--streams", given, why: why.into() });
        }
        self.mix.check(self.grpc.is_some(), compares_protocols)?;
        let requests = (self.http_request()?, self.grpc_request());
        Ok(Load {
            plan: self.plan(&requests),
            over_http2: self.http2,
            streams: self.streams,
            requests,
            has_end: self.end_a_run(),
        })
    }

    /// The number of connections.
    #[must_use]
    pub fn connections(&self) -> NonZeroU32 {
        self.connections
    }

    /// The plan that the flags describe, with the request of HTTP, or with the call of gRPC if there is one.
    fn plan(&self, (request, call): &(RequestTemplate, Option<RequestTemplate>)) -> LoadPlan {
        let duration = match (&self.stages, self.duration) {
            (Some(stages), _) => stages.length(),
            (None, Some(duration)) => duration,
            (None, None) if self.requests.is_some() => LONGEST_RUN,
            (None, None) => DEFAULT_DURATION,
        };
        let schedule = match (&self.stages, self.rate) {
            (Some(stages), _) => Some(stages.schedule()),
            (None, rate) => rate.map(Schedule::constant),
        };
        LoadPlan {
            protocol: self.protocol(),
            mix: self.call_mix().or_else(|| self.mix.mix(request, &self.paths, |request| self.add_to(request))),
            seed: self.mix.seed(),
            requests: self.requests,
            schedule,
            think_time: self.think_time,
            timeout: self.timeout,
            threads: self.workers,
            warm_up: self.warmup,
            responses_per_connection: self.reconnect_every.or(self.no_keepalive.then_some(NonZeroU32::MIN)),
            request: call.as_ref().unwrap_or(request).clone(),
            expected: self.expect.clone(),
            ..LoadPlan::new(self.connections, duration)
        }
    }

    /// The method of gRPC that is called.
    #[must_use]
    pub fn grpc(&self) -> Option<&GrpcMethod> {
        self.grpc.as_ref()
    }

    /// The calls of gRPC in a file, if there are some.
    #[must_use]
    pub fn calls(&self) -> Option<&[CallLine]> {
        self.mix.calls()
    }

    /// Whether the body of the request is given.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    fn end_a_run(&self) -> bool {
        self.duration.is_some() || self.requests.is_some() || self.stages.is_some()
    }

    fn protocol(&self) -> Protocol {
        if self.http2 || self.grpc.is_some() {
            Protocol::Http2 { streams: self.streams.unwrap_or(NonZeroU32::MIN) }
        } else {
            Protocol::Http1
        }
    }

    /// A request of a file, with the headers that it has no others for.
    fn add_to(&self, request: RequestTemplate) -> RequestTemplate {
        let request = request.default_headers(&self.headers);
        if self.no_keepalive { request.close() } else { request }
    }

    /// The calls of gRPC in a file, if there is one. Their messages are encoded later.
    fn call_mix(&self) -> Option<RequestMix> {
        let (method, calls) = (self.grpc.as_ref()?, self.mix.calls()?);
        let call = |call: &CallLine| {
            let request = RequestTemplate::default().grpc(method, self.timeout);
            self.add_to(call.metadata.iter().cloned().fold(request, RequestTemplate::header))
        };
        RequestMix::new(calls.iter().map(call).collect(), self.mix.order())
    }

    /// The call of gRPC, if the flags have one.
    fn grpc_request(&self) -> Option<RequestTemplate> {
        let method = self.grpc.as_ref()?;
        let body = self.body.as_ref().map(Body::bytes).unwrap_or_default();
        let request = RequestTemplate::default().body(body).grpc(method, self.timeout);
        Some(self.with_headers(request))
    }

    /// The request of HTTP; of several, what they have in common. With a call of gRPC, the body is the message of that.
    fn http_request(&self) -> Result<RequestTemplate, Error> {
        let mut request = RequestTemplate::default();
        if let Some(body) = self.body.as_ref().filter(|_| self.grpc.is_none()) {
            request = request.method(RequestMethod::POST).body_template(body.template()?);
        }
        if let Some(method) = &self.method {
            request = request.method(method.clone());
        }
        if let Some(path) = self.paths.first() {
            request = request.path(path.clone());
        }
        Ok(self.with_headers(request))
    }

    fn with_headers(&self, request: RequestTemplate) -> RequestTemplate {
        let request = if self.no_keepalive { request.close() } else { request };
        self.headers.iter().cloned().fold(request, RequestTemplate::header)
    }
}

/// Parses "50ms", or "20ms..80ms".
fn parse_think_time(text: &str) -> Result<ThinkTime, InvalidValue> {
    let expected =
        || InvalidValue::expected("a time, such as 50ms, or the shortest and the longest, such as 20ms..80ms");
    let (shortest, longest) = text.split_once("..").unwrap_or((text, text));
    let time = |text| parse_duration_or_zero(text).map_err(|_| expected());
    let time = ThinkTime { shortest: time(shortest)?, longest: time(longest)? };
    if time.shortest <= time.longest { Ok(time) } else { Err(expected()) }
}

fn parse_rate(text: &str) -> Result<f64, InvalidValue> {
    let rate = rate_from(text).filter(|rate| *rate > 0.0);
    rate.ok_or_else(|| InvalidValue::expected("a number of requests per second, above 0 and at most 10⁹"))
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
        cli.load.load(false).map(|load| load.plan).map_err(|error| {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        })
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
        for bad in ["0", "-1", "x", "", "inf", "NaN", "1e3", "2000000000"] {
            refused("--rate", bad, "a number of requests per second");
        }
        refused("--stages", "10s:", "times and rates");
        for other in [["--rate", "5"], ["-d", "5s"]] {
            let given = [&["test", "--stages", "1s:1"], &other[..]].concat();
            assert!(Cli::try_parse_from(given).is_err(), "{other:?}");
        }
    }

    #[test]
    fn flags_of_the_think_time() {
        let range = |text| {
            plan(&["--think-time", text])
                .unwrap()
                .think_time
                .map(|time| [time.shortest, time.longest].map(|t| t.as_millis()))
        };
        assert_eq!(
            (range("50ms"), range("20ms..1s"), range("0..5ms")),
            (Some([50, 50]), Some([20, 1000]), Some([0, 5]))
        );
        for bad in ["", "x", "-1s", "80ms..20ms", "1s..", "..1s", "1s..2s..3s"] {
            refused("--think-time", bad, "a time, such as 50ms");
        }
        for other in [["--rate", "5"], ["--stages", "1s:5"]] {
            let error = plan(&[&["--think-time", "1s"], &other[..]].concat()).unwrap_err();
            assert!(error.contains("cannot be used with"), "{error}");
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
    fn placeholders_of_a_body() {
        let template = evenkeel_load::Template::parse(b"{{uuid}}").unwrap();
        let expected = RequestTemplate::default().method("POST".parse().unwrap()).body_template(template);
        assert_eq!(plan(&["--body", "{{uuid}}"]).unwrap().request, expected);
        let error = plan(&["--body", "a {{id}}"]).unwrap_err();
        assert!(error.contains("\"{{id}}\" cannot be used for --body: expected {{uuid}}"), "{error}");
        assert!(plan(&["--body", "{{id}}", "--grpc", "a.B/C"]).is_ok(), "a message of gRPC is encoded already");
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
        refused("--path", "/{{id}}", "{{uuid}}, {{sequence}} or {{random:1..1000}}");
        refused("--header", "X: {{id}}", "{{uuid}}, {{sequence}} or {{random:1..1000}}");
        refused("--method", "a b", "a method such as GET or POST");
        refused("--duration", "1w", "a number above 0 with ms, s, m or h");
        refused("--warmup", "-1s", "a number above 0 with ms, s, m or h");
    }
}
