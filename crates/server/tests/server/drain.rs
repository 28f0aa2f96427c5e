//! From SIGTERM to the end: who is answered, what is closed when, and what is counted.

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::http::{Connection, Response};
use crate::process::wait_until;
use crate::running::Running;

/// So long that only a second signal ends it: nothing then depends on time.
const FOR_EVER: (&str, &str) = ("DRAIN_SECONDS", "3600");
/// A request that is not whole.
const HALF: &str = "GET / HTTP/1.1\r\nhost:";
/// What it lacks.
const REST: &str = " x\r\n\r\n";

#[test]
fn draining_loses_nothing_under_keep_alive_load() {
    let server = Running::start(&[FOR_EVER]);
    let (answered, answers) = mpsc::channel();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (address, answered) = (server.address, answered.clone());
            thread::spawn(move || keep_asking(|| Connection::open(address), &answered))
        })
        .collect();
    for _ in 0..400 {
        answers.recv().unwrap();
    }
    server.signal(Signal::SIGTERM);
    let counts: Vec<(u64, u64)> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    for (_, last) in &counts {
        assert_eq!(*last, LAST_ANSWERS, "every connection that was closed had its answer, and a new one was accepted");
    }

    let mut probe = server.connect();
    assert_eq!(probe.get("/readyz").status, 503);
    assert!(probe.is_closed());
    let health = server.connect().get("/healthz");
    assert_eq!((health.status, health.header("connection")), (200, Some("close")));
    assert_eq!(server.connect().get("/startupz").status, 200);
    assert!(server.connect().get("/metrics").body.contains("\nevenkeel_draining 1\n"));

    server.signal(Signal::SIGTERM);
    let (status, log) = server.ended();
    assert_eq!(status, Some(0));
    let messages: Vec<&str> = log.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["started", "draining", "stopping at once", "stopped"]);
    assert_eq!(log[1]["signal"], "SIGTERM");
    let asked: u64 = counts.iter().map(|(asked, _)| asked).sum();
    assert_eq!(log[3]["requests"], asked, "the server answered what the clients received");
}

/// Answers with `connection: close` that a client waits for before it is content.
const LAST_ANSWERS: u64 = 20;

/// Asks on one connection until it is closed by an answer, then on a new one; counts answers, and those that closed.
fn keep_asking(open: impl Fn() -> Connection, answered: &mpsc::Sender<()>) -> (u64, u64) {
    let mut connection = open();
    let (mut asked, mut last) = (0, 0);
    while last < LAST_ANSWERS {
        let Response { status, .. } = {
            let response = connection.get("/");
            if response.header("connection") == Some("close") {
                assert!(connection.is_closed());
                connection = open();
                last += 1;
            }
            response
        };
        assert_eq!(status, 200);
        asked += 1;
        // The listener counts no longer than it has to.
        let _ = answered.send(());
    }
    (asked, last)
}

#[test]
fn idle_connections_stay_open_and_their_next_answer_is_their_last() {
    let server = Running::start(&[FOR_EVER]);
    let mut used = server.connect();
    used.get("/");
    let mut silent = server.connect();
    settled(&server);
    server.signal(Signal::SIGTERM);
    wait_until("the server drains", || server.connect().get("/readyz").status == 503);
    for connection in [&mut used, &mut silent] {
        let response = connection.get("/");
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert!(connection.is_closed());
    }
}

#[test]
fn half_a_request_is_waited_for_during_the_drain() {
    let server = Running::start(&[FOR_EVER]);
    let mut half = server.connect();
    half.send(HALF);
    settled(&server);
    server.signal(Signal::SIGTERM);
    wait_until("the server drains", || server.connect().get("/readyz").status == 503);
    half.send(REST);
    let response = half.receive("GET");
    assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    assert!(half.is_closed());
}

#[test]
fn the_drain_goes_on_while_requests_come() {
    let server = Running::start(&[("DRAIN_SECONDS", "0.6"), ("FINISH_SECONDS", "3600")]);
    server.signal(Signal::SIGTERM);
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(server.connect().get("/").status, 200);
        asked += 1;
    }
    let (status, log) = server.ended();
    let last = log.last().unwrap();
    assert_eq!((status, &last["requests"], &last["cut"]), (Some(0), &asked.into(), &0.into()), "{log:?}");
    assert!(log.iter().any(|line| line["message"] == "draining on"), "{log:?}");
}

#[test]
fn a_drain_ends_though_requests_come() {
    let server = Running::start(&[("DRAIN_SECONDS", "0.5"), ("FINISH_SECONDS", "2")]);
    server.signal(Signal::SIGTERM);
    let request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let ask = || TcpStream::connect(server.address)?.write_all(request.as_bytes());
    wait_until("it listens no more", || (0..100).any(|_| ask().is_err()));
    let (status, log) = server.ended();
    let drained_on = log.iter().filter(|line| line["message"] == "draining on").count();
    assert_eq!((status, drained_on), (Some(0), 2), "half of the time to finish, half a second each: {log:?}");
}

#[test]
fn after_the_drain_idle_connections_close_and_half_a_request_is_waited_for() {
    let server = Running::start(&[("DRAIN_SECONDS", "0.1"), ("FINISH_SECONDS", "3600")]);
    let mut idle = server.connect();
    idle.get("/");
    let mut silent = server.connect();
    // On a connection of its own, and on one that has been used.
    let (mut half, mut second) = (server.connect(), server.connect());
    second.get("/");
    half.send(HALF);
    second.send(HALF);
    settled(&server);
    server.signal(Signal::SIGTERM);
    assert!(idle.is_closed() && silent.is_closed());
    for connection in [&mut half, &mut second] {
        connection.send(REST);
        let response = connection.receive("GET");
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
        assert!(connection.is_closed());
    }
    drop((idle, silent, half, second));
    let last = last_line(server);
    assert_eq!((&last["requests"], &last["cut"], &last["late"]), (&4.into(), &0.into(), &0.into()));
}

#[test]
fn what_never_becomes_whole_is_cut_at_the_limit_and_counted() {
    for finish in ["0", "0.5"] {
        let server = Running::start(&[("DRAIN_SECONDS", "0.1"), ("FINISH_SECONDS", finish)]);
        let mut idle = server.connect();
        idle.get("/");
        let mut halves: Vec<_> = (0..3).map(|_| server.connect()).collect();
        for half in &mut halves {
            half.send(HALF);
        }
        settled(&server);
        server.signal(Signal::SIGTERM);
        assert!(idle.is_closed());
        drop(idle);
        assert_eq!(last_line(server)["cut"], 3);
    }
}

#[test]
fn a_second_signal_cuts_what_is_in_flight_and_counts_it() {
    for signals in [[Signal::SIGTERM, Signal::SIGTERM], [Signal::SIGINT, Signal::SIGTERM]] {
        let server = Running::start(&[FOR_EVER, ("FINISH_SECONDS", "3600")]);
        let mut idle = server.connect();
        idle.get("/");
        let mut halves = [server.connect(), server.connect()];
        for half in &mut halves {
            half.send(HALF);
        }
        settled(&server);
        server.signal(signals[0]);
        wait_until("the server drains", || server.connect().get("/readyz").status == 503);
        server.signal(signals[1]);
        assert!(idle.is_closed());
        assert_eq!(last_line(server)["cut"], 2, "an idle connection misses nothing");
    }
}

#[test]
fn what_comes_after_the_end_is_no_reset_is_not_served_and_is_counted() {
    let server = Running::start(&[("DRAIN_SECONDS", "0")]);
    let mut client = server.connect();
    client.get("/");
    server.signal(Signal::SIGTERM);
    assert!(client.is_closed());
    // A client that had sent this before it heard of the end; it would fail here if the answer were a reset.
    for part in [HALF, REST] {
        client.send(part);
        assert!(client.is_closed());
    }
    drop(client);
    let last = last_line(server);
    assert_eq!((&last["requests"], &last["late"], &last["cut"]), (&1.into(), &1.into(), &0.into()));
}

/// Waits until what was sent before has been read: an answer on a connection that was made later shows it.
fn settled(server: &Running) {
    assert_eq!(server.connect().get("/healthz").status, 200);
}

/// Waits for the end, which must be a good one; returns the last line of the log.
fn last_line(server: Running) -> Value {
    let (status, log) = server.ended();
    let last = log.last().unwrap().clone();
    assert_eq!((status, &last["message"]), (Some(0), &"stopped".into()));
    last
}
