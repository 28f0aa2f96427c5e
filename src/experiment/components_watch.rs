//! Reads during a run how much processor time the components of a lab have used.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::cluster::{Access, NodeCgroup};
use crate::shutdown::Shutdown;
use evenkeel_measure::ComponentsReading;

/// The interval between two readings. A dip of the throughput lasts for half a second and more.
const INTERVAL: Duration = Duration::from_millis(500);

/// Reads until `over` is cancelled; none outside of a lab, and for times before `start`, when the run begins.
pub(super) async fn readings(access: &Access, start: Instant, over: &Shutdown) -> Vec<ComponentsReading> {
    let Some(lab) = access.lab() else { return Vec::new() };
    let mut readings = Vec::new();
    let mut ticks = interval_at(start, INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = over.cancelled() => return readings,
        }
        let used = NodeCgroup::all(&lab.name).into_iter().map(|node| node.components.cpu_us).sum::<Option<u64>>();
        let reading = used.map(|us| ComponentsReading { at: start.elapsed(), cpu: Duration::from_micros(us) });
        readings.extend(reading);
    }
}
