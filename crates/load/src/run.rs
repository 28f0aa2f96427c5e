//! One run, from its plan to its result.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::balance::ClientBalance;
use super::descriptors::ensure_descriptors;
use super::error::LoadError;
use super::live::{GaugeReader, RunProgress};
use super::part::Part;
use super::plan::LoadPlan;
use super::pod_watch::PodWatches;
use super::pool;
use super::prepared::PreparedRequests;
use super::result::RunResult;
use super::shared::Job;
use super::target::Target;
use super::worker_pool::WorkerPool;

/// The interval between two updates of the progress.
const UPDATE: Duration = Duration::from_millis(500);

/// Runs `plan` against `target` on threads of its own, and calls `live` twice a second. When `stop` is cancelled, the run
/// ends early and its result says so. When the future is dropped, the run ends, too. It needs a tokio runtime with time.
///
/// # Errors
/// [`LoadError`] when the run could not be started or finished. Requests that fail are no error, but part of the result.
pub async fn run(
    target: &Target,
    plan: &LoadPlan,
    stop: &CancellationToken,
    live: impl FnMut(RunProgress),
) -> Result<RunResult, LoadError> {
    run_watched(target, None, plan, &PodWatches::default(), stop, live).await
}

/// As [`run`], but the client chooses one of `addresses` for each request by this `balance`. The target's host and path are
/// used, but not its address. The addresses may change during the run. An address where connections fail has no requests in flight, so it would be chosen often; the pause
/// after each failure prevents that.
///
/// # Errors
/// As [`run`], and [`LoadError::NoAddress`] when `addresses` is empty at the start.
pub async fn run_balanced(
    target: &Target,
    addresses: &Addresses,
    balance: ClientBalance,
    plan: &LoadPlan,
    stop: &CancellationToken,
    live: impl FnMut(RunProgress),
) -> Result<RunResult, LoadError> {
    run_watched(target, Some((addresses, balance)), plan, &PodWatches::default(), stop, live).await
}

/// As [`run`], or with `addresses` as [`run_balanced`], and pods can be watched meanwhile: see [`RunResult::watches`].
///
/// # Errors
/// As [`run_balanced`].
pub async fn run_watched(
    target: &Target,
    addresses: Option<(&Addresses, ClientBalance)>,
    plan: &LoadPlan,
    watches: &PodWatches,
    stop: &CancellationToken,
    live: impl FnMut(RunProgress),
) -> Result<RunResult, LoadError> {
    let only = Addresses::new(&[target.address]);
    let addresses = addresses.map_or((&only, None), |(addresses, balance)| (addresses, Some(balance)));
    run_at(target, addresses, (plan, Part::WHOLE, Instant::now()), watches, stop, live).await
}

/// As [`run`], but sends only a part of the plan, and begins it at `begin`: the run is counted from then and the plan's
/// warm-up on. [`RunResult::merge_parts`] merges the results of all parts.
///
/// # Errors
/// As [`run`].
pub async fn run_part(
    target: &Target,
    plan: &LoadPlan,
    (part, begin): (Part, Instant),
    stop: &CancellationToken,
    live: impl FnMut(RunProgress),
) -> Result<RunResult, LoadError> {
    let only = Addresses::new(&[target.address]);
    tokio::select! {
        () = tokio::time::sleep_until(begin.into()) => {}
        // The result then has no requests.
        () = stop.cancelled() => {}
    }
    run_at(target, (&only, None), (plan, part, begin), &PodWatches::default(), stop, live).await
}

async fn run_at(
    target: &Target,
    (addresses, balance): (&Addresses, Option<ClientBalance>),
    (plan, part, begin): (&LoadPlan, Part, Instant),
    watches: &PodWatches,
    stop: &CancellationToken,
    mut live: impl FnMut(RunProgress),
) -> Result<RunResult, LoadError> {
    let count = addresses.get().len();
    if count == 0 {
        return Err(LoadError::NoAddress { target: target.address });
    }
    let shares = plan.shares(part);
    ensure_descriptors(most_connections(&shares, count, balance.unwrap_or_default()))?;
    let start = begin + plan.warm_up;
    let end = start + plan.duration;
    let requests = PreparedRequests::new(plan, target);
    let tls = target.tls.as_ref().map(|tls| tls.offering(plan.protocol));
    let tls = tls.as_ref();
    let job = Job { addresses, balance, watches, plan, requests: &requests, tls, start, end, part, shares };
    let mut workers = WorkerPool::default();
    let results = (0..job.shares.len()).map(|number| workers.start(&job, number)).collect::<Result<Vec<_>, _>>()?;
    let mut results = try_join_all(results);
    let mut progress = GaugeReader::new(workers.gauges(), plan, start, end);
    let mut ticks = interval(UPDATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = false;
    let results = loop {
        tokio::select! {
            done = &mut results => break done,
            () = stop.cancelled(), if !interrupted => {
                interrupted = true;
                workers.stop();
            }
            _ = ticks.tick() => live(progress.take(Instant::now())),
        }
    };
    let lost = LoadError::WorkerLost { target: target.address };
    let Ok(results) = results else { return Err(lost) };
    let results = results.into_iter().collect::<Result<Vec<_>, _>>();
    let results = results.map_err(|source| LoadError::Poll { target: target.address, source })?;
    RunResult::merge(plan, start, interrupted, results).ok_or(lost)
}

/// How many connections workers with these shares have at most.
fn most_connections(shares: &[u32], addresses: usize, balance: ClientBalance) -> NonZeroU32 {
    let most: usize = shares.iter().map(|share| pool::connections_each(*share, addresses, balance) * addresses).sum();
    NonZeroU32::new(u32::try_from(most).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}
