//! Client-side balancing between several addresses.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::thread::sleep;
use std::time::Duration;

use evenkeel::shutdown::Shutdown;
use evenkeel_load::{self as load, Addresses, ClientBalance, LoadPlan, RunResult, Schedule};

use super::server::{Server, from_pod, nobody};
use super::{endpoint, plan};

fn run(addresses: &[SocketAddr], plan: &LoadPlan) -> RunResult {
    run_with_changes(addresses, &[], plan)
}

/// Runs the plan. Each change waits this many milliseconds and then replaces the list of addresses.
fn run_with_changes(addresses: &[SocketAddr], changes: &[(u64, &[SocketAddr])], plan: &LoadPlan) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (endpoint, shutdown) = (endpoint(addresses[0]), Shutdown::new());
        let addresses = Addresses::new(addresses);
        let run = load::run_balanced(&endpoint, &addresses, ClientBalance::PowerOfTwoChoices, plan, &shutdown, |_| {});
        let change = async {
            for (milliseconds, list) in changes {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
                addresses.set(list);
            }
        };
        let run = tokio::time::timeout(plan.duration + Duration::from_secs(20), run);
        futures::join!(run, change).0.unwrap().unwrap()
    })
}

/// A server that answers after this many milliseconds, as the pod `name`.
fn pod(name: &str, milliseconds: u64) -> Server {
    let answer = from_pod(name);
    Server::start(move |mut peer| {
        while peer.request() {
            sleep(Duration::from_millis(milliseconds));
            if !peer.say(&answer) {
                return;
            }
        }
    })
}

fn requests(run: &RunResult) -> Vec<u64> {
    run.pods.iter().map(|pod| pod.requests).collect()
}

#[test]
fn equal_servers_get_equal_shares() {
    let pods = ["a", "b", "c", "d"].map(|name| pod(name, 2));
    let addresses = pods.each_ref().map(|pod| pod.address);
    let plan = LoadPlan { requests: NonZeroU64::new(2000), ..plan(8, 60_000) };
    let run = run(&addresses, &plan);
    assert_eq!((run.answered, run.faults.len()), (2000, 0), "{run:?}");
    assert!(requests(&run).iter().all(|share| share.abs_diff(500) < 150), "{:?}", requests(&run));
    assert_eq!(pods.iter().map(Server::requests).sum::<u64>(), 2000);
}

#[test]
fn a_slow_server_gets_less() {
    let pods = [pod("a", 2), pod("b", 2), pod("c", 40)];
    let addresses = pods.each_ref().map(|pod| pod.address);
    let run = run(&addresses, &LoadPlan { requests: NonZeroU64::new(1500), ..plan(9, 60_000) });
    let [a, b, c] = requests(&run)[..] else { panic!("{run:?}") };
    assert_eq!(a + b + c, 1500);
    assert!(3 * c < a && 3 * c < b, "{:?}", requests(&run));
}

#[test]
fn under_a_rate_and_over_threads() {
    let pods = ["a", "b", "c"].map(|name| pod(name, 1));
    let addresses = pods.each_ref().map(|pod| pod.address);
    let plan =
        LoadPlan { schedule: Some(Schedule::constant(600.0)), threads: NonZeroU32::new(2).unwrap(), ..plan(6, 1000) };
    let run = run(&addresses, &plan);
    assert_eq!(run.sent + run.paced.as_ref().unwrap().unsent, 600, "{run:?}");
    assert!(run.faults.is_empty() && requests(&run).iter().all(|share| *share > 100), "{run:?}");
}

#[test]
fn an_address_without_a_server_does_not_stop_the_others() {
    let there = pod("a", 1);
    let run = run(&[there.address, nobody()], &plan(4, 1000));
    assert!(run.answered > 200, "{run:?}");
    assert_eq!(requests(&run), [run.answered]);
    assert!(!run.faults.is_empty(), "{run:?}");
}

#[test]
fn no_more_requests_are_in_flight_than_connections_were_requested() {
    let pods = [pod("a", 100), pod("b", 100)];
    let addresses = pods.each_ref().map(|pod| pod.address);
    let run = run(&addresses, &plan(3, 1050));
    // 3 requests at a time, 100 ms each, for 1,050 ms.
    assert!((20..=33).contains(&run.sent), "{run:?}");
}

/// A server that answers at once.
fn quick(name: &str) -> Server {
    Server::answering(from_pod(name))
}

#[test]
fn an_added_address_gets_requests_and_a_removed_one_gets_no_more() {
    let [a, b, c] = ["a", "b", "c"].map(|name| pod(name, 1));
    let (first, all, last) = ([a.address, b.address], [a.address, b.address, c.address], [b.address, c.address]);
    let changes: [(u64, &[SocketAddr]); 2] = [(400, &all), (400, &last)];
    let plan = LoadPlan { threads: NonZeroU32::new(2).unwrap(), ..plan(6, 1600) };
    let run = run_with_changes(&first, &changes, &plan);
    assert!(run.faults.is_empty(), "{run:?}");
    assert_eq!(run.sent, run.answered + run.in_flight, "{run:?}");
    let [of_a, of_b, of_c] = requests(&run)[..] else { panic!("{run:?}") };
    // Of the 1600 ms, a is in the list for 800, b for 1600 and c for 1200 ms. Of two addresses each gets half.
    assert!(of_b > of_c && of_c > of_a && of_a > 100, "{:?}", requests(&run));
    assert!(a.requests() <= of_a + 6, "{} and {of_a}", a.requests());
}

#[test]
fn from_one_address_to_many_and_back() {
    let pods = ["a", "b", "c", "d", "e", "f"].map(quick);
    let all = pods.each_ref().map(|pod| pod.address);
    let changes: [(u64, &[SocketAddr]); 3] = [(300, &all), (300, &all[5..]), (300, &all[..1])];
    let run = run_with_changes(&all[..1], &changes, &plan(12, 1200));
    assert!(run.faults.is_empty(), "{run:?}");
    assert_eq!(run.sent, run.answered + run.in_flight, "{run:?}");
    assert_eq!(run.pods.len(), 6);
    // One address gets as many requests at a time as six addresses together, so it needs as many connections.
    let last = run.pods.iter().find(|pod| pod.name == "f").unwrap();
    assert!(last.connections >= 12, "{run:?}");
}

#[test]
fn without_an_address_requests_wait_until_there_is_one() {
    let (a, b) = (quick("a"), quick("b"));
    let gone: [(u64, &[SocketAddr]); 2] = [(300, &[]), (500, &[b.address])];
    let run = run_with_changes(&[a.address], &gone, &plan(4, 1200));
    assert!(run.faults.is_empty(), "{run:?}");
    assert_eq!(run.sent, run.answered + run.in_flight, "{run:?}");
    assert!(requests(&run).iter().all(|share| *share > 100), "{:?}", requests(&run));
    assert!(run.latency.max() < 450_000, "no request was in flight while there was no address: {run:?}");
}
