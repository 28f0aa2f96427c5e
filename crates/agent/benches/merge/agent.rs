//! What an agent sends.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use evenkeel_agent::{Conduct, FromAgent};
use evenkeel_load::{self as load, LoadPlan, RunResult, Target};
use tokio_util::sync::CancellationToken;

use super::{Result, server};

/// How long the real run is: longer than the shortest bins of time last, so that a result has all of its bins.
const REAL: Duration = Duration::from_secs(13);
const CONNECTIONS: NonZeroU32 = NonZeroU32::new(8).unwrap();
/// How often a second a worker computes the percentile of its live figures, and how often that is done here to measure it.
const PERCENTILES_A_SECOND: u32 = 4;
const PERCENTILES: u32 = 1000;

/// What an agent sent, and what it counted.
pub(crate) struct Recorded {
    /// The message with the result, as a line of JSON.
    pub(crate) line: Vec<u8>,
    /// The bytes of a message with live figures.
    pub(crate) live: usize,
    /// The processor time that live figures took, as a part of that of the load.
    pub(crate) live_share: f64,
    pub(crate) plan: LoadPlan,
    pub(crate) answered: u64,
}

impl Recorded {
    /// Makes a run with responses from so many pods, and lengthens its result to so many seconds.
    pub(crate) fn of_run(pods: u32, seconds: u32) -> Result<Self> {
        let target = Target { address: server::start(pods)?, host: "agents".into(), path: "/".into(), tls: None };
        let plan = LoadPlan::new(CONNECTIONS, REAL);
        let mut live = 0;
        let progress = |progress| {
            live = serde_json::to_vec(&FromAgent::Live(progress)).map_or(0, |line| line.len() + 1);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let end = CancellationToken::new();
        let before = processor_time()?;
        let mut result = runtime.block_on(load::run(&target, &plan, &end, progress))?;
        // This thread has no other work than the live figures.
        let reported = processor_time()?.saturating_sub(before);
        let loaded: Duration = result.threads.iter().map(|thread| thread.cpu).sum();
        let live_share = (reported + percentiles(&result)).as_secs_f64() / loaded.as_secs_f64();
        lengthen(&mut result, seconds);
        let answered = result.answered;
        let message = FromAgent::Result { result: Box::new(result), conduct: Conduct::default() };
        let mut encoded = serde_json::to_vec(&message)?;
        encoded.push(b'\n');
        Ok(Self { line: encoded, live, live_share, plan, answered })
    }
}

/// The time that the percentiles of the live figures took in this run.
fn percentiles(run: &RunResult) -> Duration {
    let began = Instant::now();
    for _ in 0..PERCENTILES {
        black_box(black_box(&run.latency).quantile(0.99));
    }
    (began.elapsed() / PERCENTILES).mul_f64(run.elapsed.as_secs_f64() * f64::from(PERCENTILES_A_SECOND))
}

/// The processor time of this thread.
fn processor_time() -> Result<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics.split_whitespace().next().ok_or("the kernel does not count it")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// Repeats what grows with the time. Histograms and bins of time do not.
fn lengthen(result: &mut RunResult, seconds: u32) {
    result.elapsed = Duration::from_secs(seconds.into());
    let seconds = seconds as usize;
    result.seconds = result.seconds.iter().copied().cycle().take(seconds).collect();
    result.tenths = result.tenths.iter().copied().cycle().take(seconds.saturating_mul(10)).collect();
}
