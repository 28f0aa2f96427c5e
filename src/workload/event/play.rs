//! Plays events at their times.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::act::{Affected, EventContext, perform};
use super::cordon::Cordons;
use super::{AffectedNode, EventRecord, Planned, SlowedPod};
use crate::shutdown::Shutdown;
use crate::workload::WorkloadError;

/// When the first event begins, unless it has a time: late enough to measure the usual throughput before.
const FIRST: Duration = Duration::from_secs(2);
/// The time between the end of an event and the next one, unless that has a time, so that their effects can be distinguished.
const GAP: Duration = Duration::from_secs(1);

/// Plays `events` in a run that begins at `start`, until `over` is cancelled. Events that have not begun by then are dropped;
/// events that have begun are completed. An event without a time follows the previous event, which makes chains of events;
/// the chains are played concurrently. If the run is interrupted, the nodes that it cordoned are uncordoned: if there are any,
/// and the run does not end with its events, this returns only at the end of the run.
pub async fn play(
    events: &[Planned],
    start: Instant,
    context: &EventContext<'_>,
    over: &Shutdown,
    ends_with_events: bool,
) -> Vec<EventRecord> {
    let chains = chains(events).into_iter().enumerate();
    let cordons = Cordons::default();
    let played = chains.map(|(number, (at, chain))| one_chain(number, at, chain, start, (context, &cordons), over));
    let played = join_all(played).await;
    if !ends_with_events && cordons.are_there() {
        over.cancelled().await;
    }
    cordons.end(context).await;
    played.into_iter().flatten().collect()
}

/// The chains, each with the time when it begins.
fn chains(events: &[Planned]) -> Vec<(Duration, &[Planned])> {
    let mut chains = Vec::new();
    let mut begin = 0;
    for end in 1..=events.len() {
        if events.get(end).is_none_or(|next| next.at.is_some()) {
            chains.push((events[begin].at.unwrap_or(FIRST), &events[begin..end]));
            begin = end;
        }
    }
    chains
}

async fn one_chain(
    number: usize,
    at: Duration,
    chain: &[Planned],
    start: Instant,
    (context, cordons): (&EventContext<'_>, &Cordons),
    over: &Shutdown,
) -> Vec<EventRecord> {
    let mut records = Vec::new();
    tokio::select! {
        biased;
        () = over.cancelled() => return records,
        () = sleep_until(start + at) => {}
    }
    for (step, event) in chain.iter().enumerate() {
        if step > 0 {
            tokio::select! {
                () = over.cancelled() => {}
                () = sleep(GAP) => {}
            }
        }
        if over.is_cancelled() {
            break;
        }
        let began = start.elapsed();
        let done = Box::pin(perform(context, cordons, &event.action, number + step)).await;
        let (affected, trouble) = match done {
            Ok(affected) => (affected, None),
            Err(error) => (Affected::default(), Some(said(&error))),
        };
        let failed = trouble.is_some();
        let was_out_of_service = affected.slowed.as_ref().is_some_and(SlowedPod::was_out_of_service)
            || affected.node.as_ref().is_some_and(AffectedNode::was_out_of_service);
        records.push(EventRecord {
            began,
            over: start.elapsed(),
            what: event.action.to_string(),
            changes_pods: event.action.changes_pods() || was_out_of_service,
            trouble,
            slowed: affected.slowed,
            node: affected.node,
        });
        // The next events of the chain expect that this one succeeded.
        if failed {
            break;
        }
    }
    records
}

fn said(error: &WorkloadError) -> String {
    match error {
        WorkloadError::Interrupted(_) => "it was interrupted".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::event::Action;

    #[test]
    fn an_event_without_a_time_follows_the_one_before() {
        let event = |at: Option<u64>| Planned { at: at.map(Duration::from_secs), action: Action::Restart };
        let shape = |events: &[Planned]| {
            chains(events).iter().map(|(at, chain)| (at.as_secs(), chain.len())).collect::<Vec<_>>()
        };
        assert_eq!(shape(&[]), []);
        assert_eq!(shape(&[event(None), event(None)]), [(2, 2)]);
        assert_eq!(shape(&[event(Some(5)), event(None), event(Some(1)), event(Some(9))]), [(5, 2), (1, 1), (9, 1)]);
    }
}
