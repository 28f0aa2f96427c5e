//! What is counted of a server that behaves.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use evenkeel_load::{
    Addresses, ClientBalance, Fault, GrpcMethod, LoadPlan, RateStage, RequestTemplate, RunResult, Schedule, Target,
    ThinkTime,
};
use h2::Reason;
use tokio_util::sync::CancellationToken;

use crate::server::{Behaviour, start};
use crate::{plan, run};

fn faults(run: &RunResult) -> Vec<(Fault, u64)> {
    let mut kinds: Vec<(Fault, u64)> = Vec::new();
    for (at, count) in &run.faults {
        match kinds.iter_mut().find(|(fault, _)| *fault == at.fault) {
            Some((_, sum)) => *sum += count,
            None => kinds.push((at.fault, *count)),
        }
    }
    kinds
}

#[test]
fn connections_streams_and_requests_are_counted() {
    let (address, server) = start(Behaviour { body: 5, ..Behaviour::default() });
    let run = run(address, &plan(3, 20, 500));
    assert!(run.faults.is_empty() && run.answered > 100, "{run:?}");
    assert_eq!(run.sent, run.answered + run.in_flight);
    assert!((run.answered..=run.sent).contains(&(server.requests.load(SeqCst) as u64)));
    assert_eq!((run.opened, run.streams, run.mixed), (3, 60, 0));
    let pods: Vec<_> = run.pods.iter().map(|pod| (pod.name.as_str(), pod.connections)).collect();
    assert_eq!(pods, [("pod-0", 1), ("pod-1", 1), ("pod-2", 1)]);
    assert_eq!(run.pods.iter().map(|pod| pod.requests).sum::<u64>(), run.answered);
    let over_time = |pod: &evenkeel_load::Pod| pod.bins.as_ref().unwrap().iter().sum::<u64>();
    assert!(run.pods.iter().all(|pod| over_time(pod) == pod.requests), "each response is in a bin of its pod");
    assert_eq!((run.latency.count(), run.connect.count()), (run.answered, 3));
}

#[test]
fn connections_with_responses_of_several_pods_are_counted() {
    let (address, _) = start(Behaviour { many_pods: true, ..Behaviour::default() });
    let run = run(address, &plan(2, 5, 300));
    assert_eq!((run.mixed, run.pods.len()), (2, 3));
    assert_eq!(run.pods.iter().map(|pod| pod.connections).sum::<u64>(), 2, "each counts for its first pod");
}

#[test]
fn no_more_streams_than_the_server_allows_are_open() {
    let (address, server) =
        start(Behaviour { max_streams: Some(7), delay: Duration::from_millis(5), ..Behaviour::default() });
    let run = run(address, &plan(1, 50, 500));
    assert!(run.faults.is_empty() && run.answered > 50, "{run:?}");
    assert_eq!((server.most_open.load(SeqCst), run.streams), (7, 7));
}

#[test]
fn a_run_of_n_requests_sends_n() {
    let (address, server) = start(Behaviour::default());
    let mut plan = plan(2, 10, 20_000);
    plan.requests = NonZeroU64::new(777);
    let run = run(address, &plan);
    assert_eq!((run.sent, run.answered, server.requests.load(SeqCst)), (777, 777, 777));
    assert!(run.elapsed < plan.duration);
}

#[test]
fn connections_are_replaced_after_k_responses() {
    for (each, streams) in [(1, 10), (25, 10)] {
        let (address, server) = start(Behaviour::default());
        let mut plan = plan(2, streams, 20_000);
        plan.responses_per_connection = NonZeroU32::new(each);
        plan.requests = NonZeroU64::new(500);
        let run = run(address, &plan);
        assert_eq!((run.answered, run.faults.len()), (500, 0), "{run:?}");
        let connections = 500 / u64::from(each);
        assert!((connections..=connections + 2).contains(&run.opened), "{} connections", run.opened);
        assert!(server.connections.load(SeqCst) as u64 >= connections);
    }
}

#[test]
fn a_server_that_ends_connections_gracefully_loses_no_request() {
    let (address, server) = start(Behaviour { requests_per_connection: Some(40), ..Behaviour::default() });
    let run = run(address, &plan(3, 10, 700));
    assert!(run.faults.is_empty(), "{:?}", run.faults);
    assert!(run.answered > 200 && run.opened > 3 && server.connections.load(SeqCst) > 3, "{run:?}");
}

#[test]
fn streams_that_the_server_resets_are_counted_by_kind() {
    let reset = |reason| Behaviour { resets: Some((3, reason)), ..Behaviour::default() };
    for (reason, fault) in [(Reason::REFUSED_STREAM, Fault::NotProcessed), (Reason::INTERNAL_ERROR, Fault::StreamReset)]
    {
        let (address, server) = start(reset(reason));
        let mut plan = plan(1, 10, 20_000);
        plan.requests = NonZeroU64::new(1000);
        let run = run(address, &plan);
        assert_eq!((faults(&run), run.answered), (vec![(fault, 100)], 900));
        assert_eq!(server.requests.load(SeqCst), 1000, "none is sent again");
        assert_eq!(run.opened, 1, "the connection is kept");
    }
}

#[test]
fn bodies_in_both_directions_are_complete() {
    let (address, server) = start(Behaviour { window: Some(1000), body: 300_000, ..Behaviour::default() });
    let mut plan = plan(2, 4, 20_000);
    plan.requests = NonZeroU64::new(40);
    plan.request = RequestTemplate::default().method("POST".parse().unwrap()).body(vec![7; 50_000]);
    let run = run(address, &plan);
    assert_eq!((run.answered, run.faults.len()), (40, 0), "{run:?}");
    assert_eq!(server.body_bytes.load(SeqCst), 40 * 50_000);
    assert!(run.seconds.iter().map(|second| second.bytes).sum::<u64>() > 40 * 300_000);
}

#[test]
fn requests_of_a_schedule_count_from_when_they_were_due() {
    // One request at a time, each of which takes 20 ms, but one every 10 ms is due.
    let (address, _) = start(Behaviour { delay: Duration::from_millis(20), ..Behaviour::default() });
    let mut plan = plan(1, 1, 1000);
    plan.schedule = Some(Schedule::constant(100.0));
    let one = run(address, &plan);
    let paced = one.paced.as_ref().unwrap();
    assert!(one.answered <= 50 && paced.unsent >= 40, "{one:?}");
    assert!(one.latency.max() > 300_000 && paced.uncorrected.quantile(0.5) < 100_000, "{one:?}");
    // With ten streams the same connection is fast enough.
    let many = run(address, &LoadPlan { schedule: plan.schedule.clone(), ..crate::plan(1, 10, 1000) });
    assert!(many.answered > 80 && many.opened == 1 && many.streams > 1, "{many:?}");
}

#[test]
fn each_stream_pauses_after_each_response() {
    let (address, server) = start(Behaviour::default());
    let pause = Duration::from_millis(50);
    let mut plan = plan(2, 10, 1000);
    plan.think_time = Some(ThinkTime { shortest: pause, longest: pause });
    let one = run(address, &plan);
    assert!(one.faults.is_empty() && (200..=400).contains(&one.answered), "{one:?}");
    assert!(one.latency.quantile(0.5) < 20_000, "{one:?}");
    assert!(server.requests.load(SeqCst) <= 400 + 20);
    // The same where the client chooses the address of each request.
    let balanced = balanced(&[address], &[address], &plan);
    assert!(balanced.faults.is_empty() && (200..=400).contains(&balanced.answered), "{balanced:?}");
    // And where each connection has only some requests.
    plan.responses_per_connection = NonZeroU32::new(5);
    let anew = run(address, &plan);
    assert!(anew.faults.is_empty() && (100..=400).contains(&anew.answered) && anew.opened > 10, "{anew:?}");
}

#[test]
fn the_measured_latency_is_the_delay_of_the_server() {
    let (address, _) = start(Behaviour { delay: Duration::from_millis(50), ..Behaviour::default() });
    let closed = run(address, &plan(2, 10, 1000));
    let paced = run(address, &LoadPlan { schedule: Some(Schedule::constant(200.0)), ..plan(2, 20, 1000) });
    for run in [closed, paced] {
        assert!(run.faults.is_empty() && run.answered > 150, "{run:?}");
        // A busy machine can only increase the latencies.
        let (least, median) = (run.latency.quantile(0.0), run.latency.quantile(0.5));
        assert!(least >= 50_000 && (50_000..75_000).contains(&median), "{least} and {median} µs: {run:?}");
    }
}

#[test]
fn a_stall_shows_in_the_latency_as_long_as_it_was() {
    // The server answers nothing from the 200th request on, for 500 ms. Of a second's 1000 requests, half become due in that
    // time and wait for the rest of it: a quarter of all more than 250 ms, and 1% more than 490 ms. Only 20 streams are in
    // flight when it begins, so measured from when they were sent, nearly all requests are fast.
    let (address, _) = start(Behaviour { stall: Some((200, Duration::from_millis(500))), ..Behaviour::default() });
    let run = run(address, &LoadPlan { schedule: Some(Schedule::constant(1000.0)), ..plan(2, 10, 1000) });
    assert!(run.faults.is_empty() && run.answered > 900, "{run:?}");
    let (p75, p99) = (run.latency.quantile(0.75), run.latency.quantile(0.99));
    assert!(p75 > 240_000 && p99 > 480_000, "p75 {p75}, p99 {p99}");
    assert!(run.paced.unwrap().uncorrected.quantile(0.75) < p75 / 2);
}

#[test]
fn a_schedule_opens_no_more_streams_than_planned() {
    let (address, server) = start(Behaviour { delay: Duration::from_millis(4), ..Behaviour::default() });
    let mut plan = plan(2, 4, 800);
    // More than the eight streams can take, and in bursts.
    plan.schedule = Some(Schedule::of_stages(
        &[(100, 500.0), (100, 5_000.0), (100, 0.0), (500, 1_900.0)]
            .map(|(milliseconds, rate)| RateStage::constant(Duration::from_millis(milliseconds), rate)),
    ));
    let run = run(address, &plan);
    assert!(run.faults.is_empty() && run.answered > 200, "{run:?}");
    assert_eq!((run.streams, run.opened), (8, 2));
    assert!(server.most_open.load(SeqCst) <= 8);
}

#[test]
fn the_client_balances_between_addresses_that_change() {
    let servers: Vec<_> =
        (0..3).map(|_| start(Behaviour { delay: Duration::from_millis(1), ..Behaviour::default() })).collect();
    let addresses: Vec<_> = servers.iter().map(|(address, _)| *address).collect();
    let plan = plan(4, 5, 900);
    let run = balanced(&addresses[..2], &addresses[1..], &plan);
    assert!(run.faults.is_empty() && run.answered > 100, "{run:?}");
    let served: Vec<usize> = servers.iter().map(|(_, server)| server.requests.load(SeqCst)).collect();
    let all: usize = served.iter().sum();
    assert!(served.iter().all(|served| served * 10 > all), "each of them is used: {served:?}");
    assert!(served[1] > served[0] && served[1] > served[2], "only the second one is used all the time: {served:?}");
    let open: usize = servers.iter().map(|(_, server)| server.most_open.load(SeqCst)).max().unwrap();
    assert!(open <= 20, "four connections with five streams each are in flight at most: {open}");
}

/// Runs between the addresses `before`, and from the middle of the run on between those `after`.
fn balanced(before: &[SocketAddr], after: &[SocketAddr], plan: &LoadPlan) -> RunResult {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let addresses = Addresses::new(before);
    let target = Target { address: before[0], host: "a".into(), path: "/".into(), tls: None };
    let stop = CancellationToken::new();
    runtime.block_on(async {
        let run =
            evenkeel_load::run_balanced(&target, &addresses, ClientBalance::PowerOfTwoChoices, plan, &stop, |_| {});
        let change = async {
            tokio::time::sleep(plan.duration / 2).await;
            addresses.set(after);
        };
        futures::join!(run, change).0.unwrap()
    })
}

#[test]
fn statuses_of_grpc_other_than_ok_are_failures_with_their_names() {
    let statuses = &[Some("0"), Some("0"), Some("5"), Some("14"), None];
    let (address, server) = start(Behaviour { grpc: Some(statuses), ..Behaviour::default() });
    let mut plan = plan(1, 1, 20_000);
    plan.requests = NonZeroU64::new(100);
    let method: GrpcMethod = "a.Service/Method".parse().unwrap();
    plan.request = RequestTemplate::default().body(b"message".into()).grpc(&method, Duration::from_secs(1));
    let run = run(address, &plan);
    let kinds: Vec<_> = faults(&run).into_iter().map(|(fault, count)| (fault.to_string(), count)).collect();
    let named = |name: &str| (format!("grpc-status {name}"), 20);
    assert_eq!(kinds, [named("UNKNOWN"), named("NOT_FOUND"), named("UNAVAILABLE")]);
    assert_eq!((run.answered, run.latency.count()), (100, 100), "each of them is a response");
    assert_eq!(server.body_bytes.load(SeqCst), 100 * (5 + 7), "messages have a prefix");
}

#[test]
fn the_warm_up_is_not_counted() {
    let (address, server) = start(Behaviour { delay: Duration::from_millis(1), ..Behaviour::default() });
    let mut plan = plan(2, 5, 300);
    plan.warm_up = Duration::from_millis(300);
    let run = run(address, &plan);
    assert!(run.answered > 0 && run.sent < server.requests.load(SeqCst) as u64, "{run:?}");
    assert_eq!((run.opened, run.streams), (2, 10));
}

#[test]
fn requests_that_take_too_long_are_counted_as_timed_out() {
    let (address, _) = start(Behaviour { delay: Duration::from_secs(60), ..Behaviour::default() });
    let mut plan = plan(1, 3, 600);
    plan.timeout = Duration::from_millis(100);
    let run = run(address, &plan);
    assert!(matches!(faults(&run)[..], [(Fault::TimedOut, count)] if count >= 3), "{run:?}");
}
