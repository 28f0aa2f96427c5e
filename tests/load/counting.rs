//! The counts of a run agree with each other and with the server's count.

use std::num::NonZeroU32;
use std::time::Duration;

use evenkeel::experiment::run_data::run_data;
use evenkeel::shutdown::Shutdown;
use evenkeel_load::{self as load, RunResult};
use evenkeel_measure::Measurement;

use super::server::{Server, from_pod};
use super::{endpoint, plan, run};

fn three_pods() -> Server {
    Server::start(|peer| {
        let answer = from_pod(&format!("pod-{}", peer.number % 3));
        peer.answer_all(&answer);
    })
}

#[track_caller]
fn is_consistent(run: &RunResult) {
    assert_eq!(run.pods.iter().map(|pod| pod.requests).sum::<u64>(), run.answered, "per pod");
    assert_eq!(run.seconds.iter().map(|second| second.requests).sum::<u64>(), run.answered, "per second");
    assert_eq!(run.latency.count(), run.answered, "latencies");
    let failed: u64 = run.faults.iter().filter(|(at, _)| !at.fault.is_response()).map(|(_, count)| count).sum();
    assert!(run.answered + run.in_flight + failed >= run.sent, "no request is lost: {run:?}");
}

#[test]
fn the_server_counts_the_same() {
    let server = three_pods();
    let run = run(server.address, &plan(6, 700));
    is_consistent(&run);
    assert!(run.answered > 0 && run.faults.is_empty(), "{run:?}");
    assert_eq!(run.sent, run.answered + run.in_flight);
    // The server may or may not have read the requests that were in flight at the end.
    assert!((run.answered..=run.sent).contains(&server.requests()), "{} of {run:?}", server.requests());
    let pods: Vec<_> = run.pods.iter().map(|pod| (pod.name.as_str(), pod.connections)).collect();
    assert_eq!(pods, [("pod-0", 2), ("pod-1", 2), ("pod-2", 2)]);
    assert_eq!(Measurement::new(&run_data(&run), Some(3)).bytes, run.answered * from_pod("pod-0").len() as u64);
}

#[test]
fn several_threads_count_together() {
    let server = three_pods();
    let mut plan = plan(9, 500);
    plan.threads = NonZeroU32::new(3).unwrap();
    let run = run(server.address, &plan);
    is_consistent(&run);
    assert_eq!(run.sent, run.answered + run.in_flight);
    assert_eq!(run.pods.iter().map(|pod| pod.connections).collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(run.connect.count(), 9);
}

#[test]
fn requests_of_the_warm_up_are_not_counted_but_its_connections_are() {
    let server = three_pods();
    let mut plan = plan(3, 300);
    plan.warm_up = Duration::from_millis(300);
    let run = run(server.address, &plan);
    is_consistent(&run);
    assert!(server.requests() > run.sent, "the server saw the warm-up, too");
    assert_eq!(run.pods.iter().map(|pod| pod.connections).sum::<u64>(), 3);
}

#[test]
fn a_stopped_run_returns_its_results_so_far() {
    let server = three_pods();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shutdown = Shutdown::new();
    let run = runtime.block_on(async {
        let (endpoint, plan) = (endpoint(server.address), plan(3, 60_000));
        let run = load::run(&endpoint, &plan, &shutdown, |live| {
            if live.requests > 0 {
                shutdown.cancel();
            }
        });
        tokio::time::timeout(Duration::from_secs(30), run).await.expect("it stops").unwrap()
    });
    is_consistent(&run);
    assert!(run.interrupted && run.answered > 0 && run.elapsed < Duration::from_secs(30), "{run:?}");
}

#[test]
fn a_dropped_run_stops_sending() {
    let server = three_pods();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (endpoint, plan, shutdown) = (endpoint(server.address), plan(3, 60_000), Shutdown::new());
        let run = load::run(&endpoint, &plan, &shutdown, |_| {});
        tokio::time::timeout(Duration::from_millis(300), run).await.expect_err("the run takes a minute");
    });
    let quiet = (0..100).any(|_| {
        let before = server.requests();
        std::thread::sleep(Duration::from_millis(100));
        server.requests() == before
    });
    assert!(quiet, "requests still arrive after the run was dropped");
}
