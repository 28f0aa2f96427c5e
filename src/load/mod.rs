//! Sends requests to an endpoint and writes down what happened to each.
//!
//! A run is a closed loop: N keep-alive connections, each with one request on its way. The threads that do it share
//! nothing but a gauge; their records are merged at the end. See [`worker`] for the loop itself.

mod chunked;
mod connection;
mod descriptors;
mod fault;
mod guard;
mod live;
mod plan;
mod record;
mod request;
mod response;
mod result;
mod times;
mod worker;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

pub use descriptors::make_room;
pub use fault::Fault;
pub use guard::guard;
pub use live::Live;
pub use plan::Plan;
pub use record::{FaultAt, Pod, Second};
pub use response::POD_HEADER;
pub use result::RunResult;
pub use times::Times;

use crate::error::Error;
use crate::shutdown::Shutdown;
use crate::workload::Endpoint;
use connection::Shared;
use live::Glance;
use record::Record;
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
    mut live: impl FnMut(Live),
) -> Result<RunResult, Error> {
    make_room(plan.connections)?;
    let start = Instant::now() + plan.warm_up;
    let end = start + plan.duration;
    let mut crew = Crew::default();
    let mut outcomes = Vec::new();
    for share in plan.shares() {
        outcomes.push(crew.add(endpoint, plan, share, (start, end))?);
    }
    let mut outcomes = try_join_all(outcomes);
    let mut glance = Glance::new(crew.gauges.clone(), start, end);
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
    let failed = |why: String| Error::Load { target: endpoint.address.to_string(), why };
    let outcomes = outcomes.map_err(|_| failed("a thread of the load ended without a result".into()))?;
    let outcomes = outcomes
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| failed(format!("waiting for the connections failed ({source})")))?;
    RunResult::merge(plan, start, interrupted, outcomes).ok_or_else(|| failed("no thread took part".into()))
}

/// The threads of a run; dropped, they stop.
#[derive(Default)]
struct Crew {
    stoppers: Vec<Stopper>,
    gauges: Vec<Arc<Gauge>>,
}

impl Crew {
    /// Starts a thread with `share` connections; what it measured comes through the receiver.
    fn add(
        &mut self,
        endpoint: &Endpoint,
        plan: &Plan,
        share: u32,
        window: (Instant, Instant),
    ) -> Result<oneshot::Receiver<std::io::Result<Outcome>>, Error> {
        let record = Record::new(plan.duration)?;
        let request = request::serialise(endpoint);
        let gauge = Arc::new(Gauge::default());
        let (worker, stopper) = Worker::new(share, Arc::clone(&gauge), |registry| {
            Shared::new(registry, endpoint.address, request, plan.timeout, window, record)
        })
        .map_err(|source| Error::io("set up epoll for the load", source))?;
        let (sender, receiver) = oneshot::channel();
        thread::Builder::new()
            .name(format!("load-{}", self.stoppers.len()))
            // When nobody waits any more, nobody wants the result.
            .spawn(move || drop(sender.send(worker.run())))
            .map_err(|source| Error::io("start a thread for the load", source))?;
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
