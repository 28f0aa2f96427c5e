//! Pauses between a response and the next request of a connection.

use std::time::Duration;

use evenkeel_load::{LoadPlan, ThinkTime};

use super::server::{Server, from_pod};
use super::{plan, run};

const MS: Duration = Duration::from_millis(1);

fn pausing(connections: u32, shortest: u32, longest: u32) -> LoadPlan {
    let think_time = Some(ThinkTime { shortest: shortest * MS, longest: longest * MS });
    LoadPlan { think_time, ..plan(connections, 1000) }
}

#[test]
fn each_connection_pauses_after_each_response() {
    let server = Server::answering(from_pod("a"));
    let run = run(server.address, &pausing(10, 50, 50));
    // Each of ten connections sends at most one request in 50 ms. A busy machine can only send fewer.
    assert!((100..=200).contains(&run.answered) && run.faults.is_empty(), "{run:?}");
    assert_eq!((run.opened, run.elapsed), (10, Duration::from_secs(1)));
    assert!(run.latency.quantile(0.5) < 20_000, "the pause is not part of the latency: {run:?}");
}

#[test]
fn pauses_are_between_the_shortest_and_the_longest() {
    let server = Server::answering(from_pod("a"));
    let run = run(server.address, &pausing(10, 0, 100));
    assert!((100..=260).contains(&run.answered), "one in 50 ms on average: {run:?}");
}

#[test]
fn a_pause_does_not_delay_the_end() {
    let server = Server::answering(from_pod("a"));
    let mut plan = pausing(3, 60_000, 60_000);
    let run = run(server.address, &plan);
    assert_eq!((run.answered, run.elapsed), (3, Duration::from_secs(1)), "{run:?}");
    let cpu: Duration = run.threads.iter().map(|thread| thread.cpu).sum();
    assert!(cpu < 200 * MS, "it waits without work: {cpu:?}");
    plan.requests = std::num::NonZeroU64::new(3);
    assert!(super::run(server.address, &plan).elapsed < Duration::from_secs(1), "and the last response ends it");
}

#[test]
fn a_connection_that_the_server_closes_in_a_pause_is_opened_after_it() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say(&from_pod("a"));
    });
    let run = run(server.address, &pausing(5, 100, 100));
    assert!(run.faults.is_empty() && (20..=50).contains(&run.answered), "{run:?}");
}

#[test]
fn new_connections_pause_too() {
    let server = Server::answering(from_pod("a"));
    let plan = LoadPlan { responses_per_connection: Some(std::num::NonZeroU32::MIN), ..pausing(5, 100, 100) };
    let run = run(server.address, &plan);
    assert!(run.faults.is_empty() && (20..=50).contains(&run.answered), "{run:?}");
}
