//! What an agent sends.

use std::num::NonZeroU32;
use std::time::Duration;

use evenkeel_agent::{Conduct, FromAgent};
use evenkeel_load::{self as load, LoadPlan, RunResult, Target};
use tokio_util::sync::CancellationToken;

use super::{Result, server};

/// How long the real run is: longer than the shortest bins of time last, so that a result has all of its bins.
const REAL: Duration = Duration::from_secs(13);
const CONNECTIONS: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// What an agent sent, and what it counted.
pub(crate) struct Recorded {
    /// The message with the result, as a line of JSON.
    pub(crate) line: Vec<u8>,
    /// The bytes of a message with live figures.
    pub(crate) live: usize,
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
        let mut result = runtime.block_on(load::run(&target, &plan, &end, progress))?;
        lengthen(&mut result, seconds);
        let answered = result.answered;
        let message = FromAgent::Result { result: Box::new(result), conduct: Conduct::default() };
        let mut encoded = serde_json::to_vec(&message)?;
        encoded.push(b'\n');
        Ok(Self { line: encoded, live, plan, answered })
    }
}

/// Repeats what grows with the time. Histograms and bins of time do not.
fn lengthen(result: &mut RunResult, seconds: u32) {
    result.elapsed = Duration::from_secs(seconds.into());
    let seconds = seconds as usize;
    result.seconds = result.seconds.iter().copied().cycle().take(seconds).collect();
    result.tenths = result.tenths.iter().copied().cycle().take(seconds.saturating_mul(10)).collect();
}
