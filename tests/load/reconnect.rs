//! New connections: for every request, or after a number of responses.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use evenkeel_load::{Fault, LoadPlan, RequestTemplate, RunResult, Schedule};

use super::server::{Server, from_pod};
use super::{plan, run};

fn anew(plan: LoadPlan, answers: u32) -> LoadPlan {
    LoadPlan { responses_per_connection: NonZeroU32::new(answers), ..plan }
}

fn without_keepalive(plan: LoadPlan) -> LoadPlan {
    LoadPlan { request: RequestTemplate::default().close(), ..anew(plan, 1) }
}

fn no_address(run: &RunResult) -> u64 {
    run.faults.iter().filter(|(at, _)| at.fault == Fault::NoAddress).map(|(_, count)| count).sum()
}

#[test]
fn more_connections_than_there_are_addresses() {
    // If the client closes a connection first, its local port stays in use for a minute. There are 28,000 local ports.
    let server = Server::answering(from_pod("a"));
    let wanted = 45_000;
    let plan = without_keepalive(LoadPlan { requests: NonZeroU64::new(wanted), ..plan(20, 120_000) });
    let run = run(server.address, &plan);
    assert_eq!(no_address(&run), 0, "{:?}", run.faults);
    assert_eq!((run.answered, run.faults.len()), (wanted, 0), "{:?}", run.faults);
    assert_eq!((run.opened, run.connect.count()), (wanted, wanted));
    assert_eq!(server.requests(), wanted);
    assert_eq!(run.pods[0].connections, wanted);
    assert!(time_wait(server.address.port()) < 1000, "{} connections in TIME_WAIT", time_wait(server.address.port()));
}

/// The number of connections to `port` in the state `TIME_WAIT`.
fn time_wait(port: u16) -> usize {
    const TIME_WAIT: &str = "06";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let is_one = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(2);
        fields.next().is_some_and(|peer| peer.ends_with(&format!(":{port:04X}"))) && fields.next() == Some(TIME_WAIT)
    };
    table.lines().filter(is_one).count()
}

#[test]
fn a_connection_is_closed_after_a_number_of_responses() {
    let server = Server::answering(from_pod("a"));
    let plan = anew(LoadPlan { requests: NonZeroU64::new(100), ..plan(1, 20_000) }, 7);
    let run = run(server.address, &plan);
    assert_eq!((run.answered, run.opened, run.faults.len()), (100, 15, 0), "{run:?}");
}

#[test]
fn under_a_rate_connections_are_opened_when_requests_are_due() {
    let server = Server::answering(from_pod("a"));
    let plan = LoadPlan { schedule: Some(Schedule::constant(100.0)), ..plan(5, 1000) };
    let run = run(server.address, &without_keepalive(plan));
    assert!(run.faults.is_empty() && run.answered >= 80, "{run:?}");
    assert_eq!(run.opened, run.sent);
}

#[test]
fn connections_of_the_warm_up_are_not_counted() {
    let server = Server::answering(from_pod("a"));
    let plan = LoadPlan { requests: NonZeroU64::new(200), warm_up: Duration::from_millis(200), ..plan(4, 20_000) };
    let run = run(server.address, &without_keepalive(plan));
    assert_eq!((run.answered, run.opened), (200, 200), "{run:?}");
    assert!(server.requests() > 200);
}

#[test]
fn the_client_closes_a_connection_that_the_server_keeps_open() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say(&from_pod("a"));
        peer.wait();
    });
    let plan = without_keepalive(LoadPlan { requests: NonZeroU64::new(50), ..plan(2, 20_000) });
    let run = run(server.address, &plan);
    assert_eq!((run.answered, run.opened, run.faults.len()), (50, 50, 0), "{run:?}");
}
