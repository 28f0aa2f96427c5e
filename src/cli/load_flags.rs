//! The flags that say what load is sent, made into a plan.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use crate::config::{parse_duration, parse_duration_or_zero};
use crate::error::Error;
use crate::experiment::LONGEST_RUN;
use crate::load::{Plan, Request, Schedule, Stage};

/// The highest rate: a request a nanosecond, which is as fine as the clock is.
const HIGHEST_RATE: f64 = 1e9;
/// How long a run takes when nothing is said.
const USUAL: Duration = Duration::from_secs(30);

/// Flags of the load.
#[derive(Debug, clap::Args)]
pub struct LoadFlags {
    /// Connections, each with one request on its way at most
    #[arg(short, long, value_name = "N", default_value = "30", allow_negative_numbers = true)]
    connections: String,
    /// How long each run is measured [default: 30s; 6s in each round of a comparison]
    #[arg(short, long, value_name = "TIME", allow_hyphen_values = true)]
    duration: Option<String>,
    /// End after N requests, answered or failed; with --duration, after that time if it comes first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    requests: Option<String>,
    /// Send so many requests a second, whatever becomes of them, instead of the next one after each answer
    #[arg(short = 'R', long, value_name = "N", allow_hyphen_values = true)]
    rate: Option<String>,
    /// Rates that follow each other, as 10s:100,30s:500; instead of --duration and --rate
    #[arg(long, value_name = "TIME:RATE,…", allow_hyphen_values = true, conflicts_with_all = ["duration", "rate"])]
    stages: Option<String>,
    /// How long an answer may take
    #[arg(short, long, value_name = "TIME", default_value = "10s", allow_hyphen_values = true)]
    timeout: String,
    /// How long the load runs before it counts, 0 for not at all
    #[arg(long, value_name = "TIME", default_value = "1s", allow_hyphen_values = true)]
    warmup: String,
    /// Threads that send the load
    #[arg(short, long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    workers: String,
    /// Open a new connection for every request, and say so to the server (Connection: close)
    #[arg(long, conflicts_with = "reconnect_every")]
    no_keepalive: bool,
    /// Open a new connection after every K answers
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    reconnect_every: Option<String>,
    /// The request's method [default: GET, or POST with --body]
    #[arg(short, long, value_name = "WORD")]
    method: Option<String>,
    /// Another header, or another Host, User-Agent, Accept or Connection; more than once for more
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", allow_hyphen_values = true)]
    headers: Vec<String>,
    /// The request's body, or @FILE to read it from
    #[arg(short, long, value_name = "TEXT|@FILE", allow_hyphen_values = true)]
    body: Option<String>,
    /// The path to ask for, with its query
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    path: Option<String>,
}

impl LoadFlags {
    /// What they say, all of it checked.
    ///
    /// # Errors
    /// [`Error::BadValue`] and [`Error::BadDuration`].
    pub fn plan(&self) -> Result<Plan, Error> {
        let stages = self.stages.as_deref().map(stages).transpose()?;
        let requests = self.requests.as_deref().map(|given| positive::<NonZeroU64>("--requests", given)).transpose()?;
        let duration = match (&stages, &self.duration) {
            (Some(stages), _) => stages.iter().map(|stage| stage.length).sum(),
            (None, Some(given)) => length("--duration", given)?,
            (None, None) if requests.is_some() => LONGEST_RUN,
            (None, None) => USUAL,
        };
        let mut plan = Plan::new(positive("--connections", &self.connections)?, duration);
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
        plan.answers_per_connection = match &self.reconnect_every {
            Some(given) => Some(positive("--reconnect-every", given)?),
            None => self.no_keepalive.then_some(NonZeroU32::MIN),
        };
        plan.request = self.request()?;
        Ok(plan)
    }

    /// Whether they say when a run ends.
    #[must_use]
    pub fn say_the_end(&self) -> bool {
        self.duration.is_some() || self.requests.is_some() || self.stages.is_some()
    }

    fn request(&self) -> Result<Request, Error> {
        let mut request = Request::default();
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
        self.headers.iter().try_fold(request, |request, header| request.header(header))
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
    rate.ok_or_else(|| bad("--rate", given, "it takes a number of requests a second, above 0 and at most 10⁹"))
}

/// A number without sign or exponent.
fn number(given: &str) -> Option<f64> {
    given.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| given.parse().ok()).flatten()
}

/// "10s:100,30s:500".
fn stages(given: &str) -> Result<Vec<Stage>, Error> {
    let bad = |why: &str| bad("--stages", given, why);
    let stage = |text: &str| {
        let (length, rate) = text.trim().split_once(':')?;
        let rate = number(rate).filter(|rate| *rate <= HIGHEST_RATE)?;
        Some(Stage { length: parse_duration(length).ok()?, rate })
    };
    let stages = given.split(',').map(stage).collect::<Option<Vec<_>>>();
    let stages = stages.ok_or_else(|| bad("it takes times and rates, like 10s:100,30s:500"))?;
    if stages.iter().all(|stage| stage.rate <= 0.0) {
        return Err(bad("a rate above 0 is needed somewhere"));
    }
    if stages.iter().map(|stage| stage.length).sum::<Duration>() > LONGEST_RUN {
        return Err(bad("all stages together may take a day"));
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

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadFlags,
    }

    fn plan(arguments: &[&str]) -> Result<Plan, Error> {
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
        let stage = |seconds, rate| Stage { length: Duration::from_secs(seconds), rate };
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
        let answers = |arguments: &[&str]| plan(arguments).unwrap().answers_per_connection.map(NonZeroU32::get);
        assert_eq!(answers(&[]), None);
        assert_eq!(answers(&["--no-keepalive"]), Some(1));
        assert_eq!(answers(&["--reconnect-every", "100"]), Some(100));
        assert!(plan(&["--reconnect-every", "0"]).is_err() && plan(&["--requests", "0"]).is_err());
    }

    #[test]
    fn what_is_asked() {
        let request = |arguments: &[&str]| plan(arguments).unwrap().request;
        assert_eq!(request(&["--body", "x"]), Request::default().method("POST").unwrap().body(b"x".into()));
        assert_eq!(request(&["-m", "PUT", "-b", "x"]), Request::default().method("PUT").unwrap().body(b"x".into()));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0, 159]).unwrap();
        let given = format!("@{}", file.path().display());
        assert_eq!(request(&["-b", &given, "-m", "GET"]), Request::default().body(vec![0, 159]));
        for bad in [["--body", "@/does/not/exist"], ["-H", "X"], ["--path", "x"], ["--method", "a b"]] {
            assert_eq!(plan(&bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
