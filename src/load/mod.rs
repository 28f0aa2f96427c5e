//! Sends requests to an endpoint and writes down what happened to each.
//!
//! A run is a closed loop, where each of N connections sends its next request when the last one is answered, or an
//! open one, where requests are due by a schedule whatever became of those before. The threads that do it share nothing
//! but a gauge; their records are merged at the end. `worker.rs` has the loop itself.

mod addresses;
mod balance;
mod chunked;
mod connection;
mod descriptors;
mod fault;
mod guard;
mod live;
mod plan;
mod pod_times;
mod pool;
mod record;
mod request;
mod response;
mod result;
mod schedule;
mod shared;
mod socket;
mod supply;
#[cfg_attr(not(target_os = "linux"), path = "timer_elsewhere.rs")]
mod timer;
mod times;
mod usage;
mod worker;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

pub use addresses::Addresses;
pub use descriptors::make_room;
pub use fault::Fault;
pub use guard::guard;
pub use live::Live;
pub use plan::Plan;
pub use pod_times::PodTimes;
pub use record::{FaultAt, Pod, Second};
pub use request::Request;
pub use response::POD_HEADER;
pub use result::{PacedResult, RunResult};
pub use schedule::{Schedule, Stage};
pub use times::Times;
pub use usage::ThreadUsage;

use crate::error::Error;
use crate::io_error::IoError;
use crate::shutdown::Shutdown;
use crate::workload::Endpoint;
use live::Glance;
use record::Record;
use shared::Job;
use worker::{Gauge, Outcome, Stopper, Worker};

/// How often a run is glanced at.
const GLANCE: Duration = Duration::from_millis(500);

/// Runs `plan` against `endpoint`, on threads of its own, and calls `live` twice a second. When `shutdown` comes, the
/// run ends early and says so in its result; dropped, it ends too.
///
/// # Errors
/// [`Error::BadValue`] when so many connections cannot be opened, [`Error::Load`] when the load could not be started.
pub async fn run(
    endpoint: &Endpoint,
    plan: &Plan,
    shutdown: &Shutdown,
    live: impl FnMut(Live),
) -> Result<RunResult, Error> {
    run_at(endpoint, (&Addresses::new(&[endpoint.address]), false), plan, shutdown, live).await
}

/// As [`run`], with the load balanced by the client: each request goes to the one of two random `addresses` to which
/// fewer requests of its thread are under way. The endpoint says what is asked. An address that fails quickly looks
/// idle; the pause after each failure is what keeps requests away from it. The addresses may change while it runs.
///
/// # Errors
/// As [`run`]; [`Error::Load`] without an address, too.
pub async fn run_balanced(
    endpoint: &Endpoint,
    addresses: &Addresses,
    plan: &Plan,
    shutdown: &Shutdown,
    live: impl FnMut(Live),
) -> Result<RunResult, Error> {
    run_at(endpoint, (addresses, true), plan, shutdown, live).await
}

async fn run_at(
    endpoint: &Endpoint,
    (addresses, balanced): (&Addresses, bool),
    plan: &Plan,
    shutdown: &Shutdown,
    mut live: impl FnMut(Live),
) -> Result<RunResult, Error> {
    let failed = |why: String| Error::Load { target: endpoint.address.to_string(), why };
    let count = addresses.get().len();
    if count == 0 {
        return Err(failed("there is no address to send load to".into()));
    }
    let shares = plan.shares();
    make_room(descriptors_for(&shares, count))?;
    let start = Instant::now() + plan.warm_up;
    let end = start + plan.duration;
    let request = plan.request.serialise(endpoint);
    let job = Job { addresses, balanced, plan, request: &request, start, end, shares };
    let mut crew = Crew::default();
    let outcomes = (0..job.shares.len()).map(|number| crew.add(&job, number)).collect::<Result<Vec<_>, _>>()?;
    let mut outcomes = try_join_all(outcomes);
    let mut glance = Glance::new(crew.gauges.clone(), plan, start, end);
    let mut ticks = interval(GLANCE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut interrupted = false;
    let outcomes = loop {
        tokio::select! {
            done = &mut outcomes => break done,
            () = shutdown.cancelled(), if !interrupted => {
                interrupted = true;
                crew.stop();
            }
            _ = ticks.tick() => live(glance.take(Instant::now())),
        }
    };
    let outcomes = outcomes.map_err(|_| failed("a thread of the load ended without a result".into()))?;
    let outcomes = outcomes
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| failed(format!("waiting for the connections failed ({source})")))?;
    RunResult::merge(plan, start, interrupted, outcomes).ok_or_else(|| failed("no thread took part".into()))
}

/// How many connections workers with these shares may hold at most.
fn descriptors_for(shares: &[u32], addresses: usize) -> NonZeroU32 {
    let most: usize = shares.iter().map(|share| pool::connections_each(*share, addresses) * addresses).sum();
    NonZeroU32::new(u32::try_from(most).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

/// The threads of a run; dropped, they stop.
#[derive(Default)]
struct Crew {
    stoppers: Vec<Stopper>,
    gauges: Vec<Arc<Gauge>>,
}

impl Crew {
    /// Starts thread `number` of a job; what it measured comes through the receiver.
    fn add(&mut self, job: &Job<'_>, number: usize) -> Result<oneshot::Receiver<std::io::Result<Outcome>>, Error> {
        let record = Record::new(job.plan.duration, job.plan.schedule.is_some())?;
        let gauge = Arc::new(Gauge::default());
        let (worker, stopper) = Worker::new(job, number, record, Arc::clone(&gauge))
            .map_err(|source| IoError::new("set up epoll for the load", source))?;
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name(format!("load-{number}"))
            // When nobody waits any more, nobody wants the result.
            .spawn(move || drop(sender.send(worker.run())))
            .map_err(|source| IoError::new("start a thread for the load", source))?;
        self.stoppers.push(stopper);
        self.gauges.push(gauge);
        Ok(receiver)
    }

    fn stop(&self) {
        self.stoppers.iter().for_each(Stopper::stop);
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop();
    }
}
