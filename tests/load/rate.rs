//! Runs with a rate (open loop): requests are sent when they are due, and their latency is measured from that time.

use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use evenkeel::experiment::run_data::run_data;
use evenkeel_load::{LoadPlan, RateStage, RunResult, Schedule};
use evenkeel_measure::{Measurement, Rate};

use super::server::{Server, from_pod};
use super::{plan, run};

fn paced(connections: u32, milliseconds: u64, rate: f64) -> LoadPlan {
    LoadPlan { schedule: Some(Schedule::constant(rate)), ..plan(connections, milliseconds) }
}

/// The rate as it was measured.
fn rate(run: &RunResult) -> Rate {
    Measurement::new(&run_data(run), None).rate.unwrap()
}

/// A server that takes this many milliseconds for each request.
fn slow(milliseconds: u64) -> Server {
    Server::start(move |mut peer| {
        while peer.request() {
            sleep(Duration::from_millis(milliseconds));
            if !peer.say(&from_pod("a")) {
                return;
            }
        }
    })
}

#[test]
fn every_request_that_is_due_is_sent_once() {
    let server = Server::answering(from_pod("a"));
    let run = run(server.address, &paced(10, 1000, 500.0));
    assert!(run.faults.is_empty(), "{run:?}");
    // The last of a second's 500 is due 2 ms before its end.
    let unsent = rate(&run).unsent;
    assert_eq!(run.sent + unsent, 500, "{run:?}");
    assert!(unsent <= 50, "{run:?}");
    assert_eq!(run.sent, run.answered + run.in_flight);
    assert!((run.answered..=run.sent).contains(&server.requests()));
    assert_eq!(run.opened, 10, "all connections are opened, even if fewer are needed");
}

#[test]
fn the_measured_latency_is_the_delay_of_the_server() {
    let run = run(slow(20).address, &paced(60, 1500, 1000.0));
    let measured = Measurement::new(&run_data(&run), None);
    // 20 requests are in flight at a time, so there is always a free connection: both latencies are the delay.
    let sent = measured.uncorrected_latency_us.unwrap();
    for median in [measured.latency_us.p50, sent.p50] {
        assert!((20_000..35_000).contains(&median), "{median} µs: {run:?}");
    }
    assert_eq!(measured.latency_us.count, sent.count);
}

#[test]
fn in_a_closed_loop_the_measured_latency_is_the_delay_of_the_server_too() {
    let run = run(slow(50).address, &plan(10, 1000));
    let median = Measurement::new(&run_data(&run), None).latency_us.p50;
    assert!(run.latency.quantile(0.0) >= 50_000 && (50_000..75_000).contains(&median), "{median} µs: {run:?}");
}

#[test]
fn waiting_for_a_free_connection_is_part_of_the_latency() {
    // With one connection and 20 ms for each request, 50 requests are answered in a second. At a rate of 100, each request
    // waits 10 ms longer than the one before. So the latency of request n is about 20 + n × 10 ms, and the median is 270 ms.
    let run = run(slow(20).address, &paced(1, 1000, 100.0));
    let measured = Measurement::new(&run_data(&run), None);
    let sent = measured.uncorrected_latency_us.unwrap();
    assert!((20_000..35_000).contains(&sent.p50), "from when it was sent: {} µs", sent.p50);
    let due = measured.latency_us.p50;
    assert!((200_000..400_000).contains(&due), "from when it was due: {due} µs");
    let rate = measured.rate.unwrap();
    assert!(rate.missed && (40..=75).contains(&rate.unsent), "{rate:?}");
    assert_eq!(measured.requests.sent + rate.unsent, 100);
    assert!((rate.target - 100.0).abs() < 1e-9 && rate.achieved < 55.0, "{rate:?}");
}

/// A server that answers at once, except during a time of `stall` that begins with its 200th request.
fn stalling(stall: Duration) -> Server {
    let until: Arc<Mutex<(u64, Option<Instant>)>> = Arc::default();
    Server::start(move |mut peer| {
        while peer.request() {
            let mut state = until.lock().unwrap();
            state.0 += 1;
            if state.0 == 200 {
                state.1 = Some(Instant::now() + stall);
            }
            let wait = state.1.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
            drop(state);
            sleep(wait);
            if !peer.say(&from_pod("a")) {
                return;
            }
        }
    })
}

#[test]
fn a_stall_shows_in_the_latency_as_long_as_it_was() {
    // The server stalls for half of the run. Half of the requests become due during the stall and wait for the rest of it:
    // between 0 and 500 ms, uniformly. So 25% of all requests wait more than 250 ms, and 1% more than 490 ms. If latency is
    // measured from the time of sending, only the requests in flight when the stall began are slow: 10 of 1000.
    let run = run(stalling(Duration::from_millis(500)).address, &paced(10, 1000, 1000.0));
    let measured = Measurement::new(&run_data(&run), None);
    let (due, sent) = (&measured.latency_us, measured.uncorrected_latency_us.as_ref().unwrap());
    assert!(due.count > 900, "{run:?}");
    // A busy machine can only increase these latencies.
    assert!(due.p75 > 240_000, "p75 {}", due.p75);
    assert!(due.p99 > 480_000, "p99 {}", due.p99);
    assert!(sent.p75 < due.p75 / 2, "from when they were sent: {sent:?}");
}

#[test]
fn stages_have_their_own_rates() {
    let stage = |milliseconds, rate| RateStage::constant(Duration::from_millis(milliseconds), rate);
    let schedule = Schedule::of_stages(&[stage(1000, 50.0), stage(1000, 200.0), stage(500, 0.0)]);
    let server = Server::answering(from_pod("a"));
    let plan = LoadPlan { schedule: Some(schedule), ..plan(4, 2500) };
    let run = run(server.address, &plan);
    let seconds: Vec<u64> = run.seconds.iter().map(|second| second.requests).collect();
    assert_eq!(run.answered, 250, "{run:?}");
    assert!(seconds[0].abs_diff(50) <= 20 && seconds[1].abs_diff(200) <= 40, "{seconds:?}");
    assert!((rate(&run).target - 100.0).abs() < 1.0, "{:?}", rate(&run));
}

#[test]
fn a_ramp_sends_as_many_requests_as_its_mean_rate_and_threads_share_it() {
    let ramp = |milliseconds, from, to| RateStage { length: Duration::from_millis(milliseconds), from, to };
    let schedule = Schedule::of_stages(&[ramp(1000, 0.0, 200.0), ramp(1000, 200.0, 0.0)]);
    let server = Server::answering(from_pod("a"));
    let threads = std::num::NonZeroU32::new(2).unwrap();
    let warm_up = Duration::from_millis(100);
    let run = run(server.address, &LoadPlan { schedule: Some(schedule), threads, warm_up, ..plan(4, 2500) });
    assert_eq!((run.answered, server.requests()), (200, 200), "{run:?}");
    // In tenths of a second, the first and the last have 1 of 200, those in the middle 19.
    let middle: u32 = run.tenths.iter().skip(5).take(10).sum();
    assert!((130..=170).contains(&middle), "three quarters are due in the middle half: {:?}", run.tenths);
}

#[test]
fn a_warm_up_has_the_same_rate_and_is_not_counted() {
    let server = Server::answering(from_pod("a"));
    let run = run(server.address, &LoadPlan { warm_up: Duration::from_millis(500), ..paced(4, 500, 200.0) });
    assert_eq!(run.sent + rate(&run).unsent, 100, "{run:?}");
    assert!((150..=200).contains(&server.requests()), "{} in all", server.requests());
}

#[test]
fn threads_share_the_rate() {
    let server = Server::answering(from_pod("a"));
    let plan = LoadPlan { threads: std::num::NonZeroU32::new(3).unwrap(), ..paced(9, 1000, 300.0) };
    let run = run(server.address, &plan);
    assert_eq!(run.sent + rate(&run).unsent, 300, "{run:?}");
    assert!(run.answered > 250 && run.threads.len() == 3, "{run:?}");
}

#[test]
fn requests_that_cannot_be_sent_are_only_counted() {
    let server = slow(1);
    let run = run(server.address, &paced(1, 500, 1e9));
    let unsent = rate(&run).unsent;
    assert_eq!(run.sent + unsent, 500_000_000, "{run:?}");
    assert!(rate(&run).missed);
}

#[test]
fn a_server_may_close_an_idle_connection() {
    // Each connection is closed 5 ms after its first response. At 20 requests a second it is idle at that time.
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say(&from_pod("a"));
        sleep(Duration::from_millis(5));
    });
    let run = run(server.address, &paced(2, 1000, 20.0));
    assert!(run.faults.is_empty() && run.answered >= 15, "{run:?}");
    assert!(run.opened >= run.answered, "a new one each time: {run:?}");
}
