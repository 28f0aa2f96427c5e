//! The flags that describe the load, and the plan that follows from them.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use crate::cli::error::Error;
use crate::config::{parse_duration, parse_duration_or_zero};
use crate::experiment::LONGEST_RUN;
use evenkeel_load::{LoadPlan, RateStage, RequestTemplate, Schedule};

/// The highest rate: one request per nanosecond, which is the resolution of the clock.
const HIGHEST_RATE: f64 = 1e9;
/// How long a run takes when no flag ends it.
const USUAL: Duration = Duration::from_secs(30);

/// Flags of the load.
#[derive(Debug, clap::Args)]
pub struct LoadFlags {
    /// Connections, each with at most one request in flight
    #[arg(short, long, value_name = "N", default_value = "30", allow_negative_numbers = true)]
    connections: String,
    /// How long each run is measured [default: 30s; 6s in each round of a comparison]
    #[arg(short, long, value_name = "TIME", allow_hyphen_values = true)]
    duration: Option<String>,
    /// End after N requests, answered or failed; with --duration, after that time if it comes first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    requests: Option<String>,
    /// Send N requests per second, however long responses take, instead of one after each response
    #[arg(short = 'R', long, value_name = "N", allow_hyphen_values = true)]
    rate: Option<String>,
    /// Rates one after the other, like 10s:100,30s:500, instead of --duration and --rate
    #[arg(long, value_name = "TIME:RATE,…", allow_hyphen_values = true, conflicts_with_all = ["duration", "rate"])]
    stages: Option<String>,
    /// How long a response may take
    #[arg(short, long, value_name = "TIME", default_value = "10s", allow_hyphen_values = true)]
    timeout: String,
    /// How long load is sent before it is counted, 0 for no warm-up
    #[arg(long, value_name = "TIME", default_value = "1s", allow_hyphen_values = true)]
    warmup: String,
    /// Threads that send the load
    #[arg(short, long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    workers: String,
    /// Open a new connection for every request, and send Connection: close
    #[arg(long, conflicts_with = "reconnect_every")]
    no_keepalive: bool,
    /// Open a new connection after every K responses
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    reconnect_every: Option<String>,
    /// The request's method [default: GET, or POST with --body]
    #[arg(short, long, value_name = "WORD")]
    method: Option<String>,
    /// Add a header, or replace Host, User-Agent, Accept or Connection; can be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", allow_hyphen_values = true)]
    headers: Vec<String>,
    /// The request's body, or @FILE to read it from a file
    #[arg(short, long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    body: Option<String>,
    /// The path to request, with its query
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    path: Option<String>,
    /// Statuses that are successes: classes, codes or ranges, like 2xx,304,400-404
    #[arg(long, value_name = "STATUS,…", default_value = "2xx", allow_hyphen_values = true)]
    expect: String,
}

impl LoadFlags {
    /// The plan that the flags describe.
    ///
    /// # Errors
    /// [`Error::BadValue`] and [`Error::BadDuration`].
    pub fn plan(&self) -> Result<LoadPlan, Error> {
        let stages = self.stages.as_deref().map(stages).transpose()?;
        let requests = self.requests.as_deref().map(|given| positive::<NonZeroU64>("--requests", given)).transpose()?;
        let duration = match (&stages, &self.duration) {
            (Some(stages), _) => stages.iter().map(|stage| stage.length).sum(),
            (None, Some(given)) => length("--duration", given)?,
            (None, None) if requests.is_some() => LONGEST_RUN,
            (None, None) => USUAL,
        };
        let mut plan = LoadPlan::new(positive("--connections", &self.connections)?, duration);
        plan.requests = requests;
        plan.schedule = match (stages, &self.rate) {
            (Some(stages), _) => Some(Schedule::of_stages(&stages)),
            (None, Some(given)) => Some(Schedule::constant(rate(given)?)),
            (None, None) => None,
        };
        plan.timeout = length("--timeout", &self.timeout)?;
        plan.threads = positive("--workers", &self.workers)?;
        plan.warm_up =
            parse_duration_or_zero(&self.warmup).map_err(|error| bad("--warmup", &self.warmup, error.to_string()))?;
        plan.responses_per_connection = match &self.reconnect_every {
            Some(given) => Some(positive("--reconnect-every", given)?),
            None => self.no_keepalive.then_some(NonZeroU32::MIN),
        };
        plan.request = self.request()?;
        plan.expected = self.expect.parse()?;
        Ok(plan)
    }

    /// Whether a flag says when a run ends.
    #[must_use]
    pub fn say_the_end(&self) -> bool {
        self.duration.is_some() || self.requests.is_some() || self.stages.is_some()
    }

    fn request(&self) -> Result<RequestTemplate, Error> {
        let mut request = RequestTemplate::default();
        if let Some(given) = &self.body {
            request = request.method("POST")?.body(body(given)?);
        }
        if let Some(method) = &self.method {
            request = request.method(method)?;
        }
        if let Some(path) = &self.path {
            request = request.path(path)?;
        }
        if self.no_keepalive {
            request = request.close();
        }
        Ok(self.headers.iter().try_fold(request, |request, header| request.header(header))?)
    }
}

/// A whole number above 0.
pub(super) fn positive<T: FromStr>(what: &'static str, given: &str) -> Result<T, Error> {
    given.parse().map_err(|_| bad(what, given, "it takes a whole number above 0"))
}

fn bad(what: &'static str, given: &str, why: impl Into<String>) -> Error {
    Error::BadValue { what, given: given.to_owned(), why: why.into() }
}

fn length(what: &'static str, given: &str) -> Result<Duration, Error> {
    parse_duration(given).map_err(|error| bad(what, given, error.to_string()))
}

fn rate(given: &str) -> Result<f64, Error> {
    let rate = number(given).filter(|rate| *rate > 0.0 && *rate <= HIGHEST_RATE);
    rate.ok_or_else(|| bad("--rate", given, "expected a number of requests per second, above 0 and at most 10⁹"))
}

/// Parses a number without sign and exponent.
fn number(given: &str) -> Option<f64> {
    given.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| given.parse().ok()).flatten()
}

/// "10s:100,30s:500".
fn stages(given: &str) -> Result<Vec<RateStage>, Error> {
    let bad = |why: &str| bad("--stages", given, why);
    let stage = |text: &str| {
        let (length, rate) = text.trim().split_once(':')?;
        let rate = number(rate).filter(|rate| *rate <= HIGHEST_RATE)?;
        Some(RateStage { length: parse_duration(length).ok()?, rate })
    };
    let stages = given.split(',').map(stage).collect::<Option<Vec<_>>>();
    let stages = stages.ok_or_else(|| bad("expected times and rates, like 10s:100,30s:500"))?;
    if stages.iter().all(|stage| stage.rate <= 0.0) {
        return Err(bad("at least one rate must be above 0"));
    }
    if stages.iter().map(|stage| stage.length).sum::<Duration>() > LONGEST_RUN {
        return Err(bad("all stages together may take at most a day"));
    }
    Ok(stages)
}

fn body(given: &str) -> Result<Vec<u8>, Error> {
    match given.strip_prefix('@') {
        Some(file) => std::fs::read(file).map_err(|why| bad("--body", given, format!("it cannot be read ({why})"))),
        None => Ok(given.as_bytes().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use evenkeel_load::StatusSet;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadFlags,
    }

    fn plan(arguments: &[&str]) -> Result<LoadPlan, Error> {
        Cli::try_parse_from([&["test"], arguments].concat()).unwrap().load.plan()
    }

    #[test]
    fn what_ends_a_run() {
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
    fn what_paces_it() {
        assert_eq!(plan(&[]).unwrap().schedule, None);
        assert_eq!(plan(&["--rate", "0.5"]).unwrap().schedule, Some(Schedule::constant(0.5)));
        let stage = |seconds, rate| RateStage { length: Duration::from_secs(seconds), rate };
        let both = Schedule::of_stages(&[stage(10, 100.0), stage(5, 0.0)]);
        assert_eq!(plan(&["--stages", "10s:100, 5:0"]).unwrap().schedule, Some(both));
        for bad in ["0", "-1", "x", "", "inf", "NaN", "1e3", "2000000000"] {
            assert_eq!(plan(&["--rate", bad]).unwrap_err().exit_code(), 2, "{bad:?}");
        }
        for bad in ["", "10s", "10s:", ":5", "10s:x", "10s:-1", "0:5", "5s:1,", "10s:0", "23h:1,2h:1", "1s:1:1"] {
            assert_eq!(plan(&["--stages", bad]).unwrap_err().exit_code(), 2, "{bad:?}");
        }
        for other in [["--rate", "5"], ["-d", "5s"]] {
            let given = [&["test", "--stages", "1s:1"], &other[..]].concat();
            assert!(Cli::try_parse_from(given).is_err(), "{other:?}");
        }
    }

    #[test]
    fn how_long_connections_last() {
        let responses = |arguments: &[&str]| plan(arguments).unwrap().responses_per_connection.map(NonZeroU32::get);
        assert_eq!(responses(&[]), None);
        assert_eq!(responses(&["--no-keepalive"]), Some(1));
        assert_eq!(responses(&["--reconnect-every", "100"]), Some(100));
        assert!(plan(&["--reconnect-every", "0"]).is_err() && plan(&["--requests", "0"]).is_err());
    }

    #[test]
    fn which_statuses_are_expected() {
        assert_eq!(plan(&[]).unwrap().expected, StatusSet::default());
        assert_eq!(plan(&["--expect", "2xx,304"]).unwrap().expected, "2xx,304".parse().unwrap());
        for bad in ["", "2x", "-1", "304-200"] {
            let error = plan(&["--expect", bad]).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("--expect"), "{error}");
        }
    }

    #[test]
    fn what_is_asked() {
        let request = |arguments: &[&str]| plan(arguments).unwrap().request;
        assert_eq!(request(&["--body", "x"]), RequestTemplate::default().method("POST").unwrap().body(b"x".into()));
        assert_eq!(
            request(&["-m", "PUT", "-b", "x"]),
            RequestTemplate::default().method("PUT").unwrap().body(b"x".into())
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0, 159]).unwrap();
        let given = format!("@{}", file.path().display());
        assert_eq!(request(&["-b", &given, "-m", "GET"]), RequestTemplate::default().body(vec![0, 159]));
        for bad in [["--body", "@/does/not/exist"], ["-H", "X"], ["--path", "x"], ["--method", "a b"]] {
            assert_eq!(plan(&bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
