//! From SIGTERM to the end of the process: which requests are answered, when connections are closed, what is counted.

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

/// A drain that only a second signal ends, so that the test does not depend on timing.
const FOR_EVER: (&str, &str) = ("DRAIN_SECONDS", "3600");
/// The first half of a request.
const HALF: &str = "GET / HTTP/1.1\r\nhost:";
/// Its second half.
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
        assert_eq!(*last, LAST_ANSWERS, "every closed connection had got its response, and a new one was accepted");
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
    assert_eq!(log[3]["requests"], asked, "the server's count and the clients' count are equal");
}

/// How many responses with `connection: close` each client waits for.
const LAST_ANSWERS: u64 = 20;

/// Sends requests on one connection until a response closes it, then on a new connection. Returns the number of responses,
/// and of those that closed their connection.
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
        // The test stops receiving after 400 responses.
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
fn the_drain_continues_while_requests_arrive() {
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
fn a_drain_ends_although_requests_still_arrive() {
    let server = Running::start(&[("DRAIN_SECONDS", "0.5"), ("FINISH_SECONDS", "2")]);
    server.signal(Signal::SIGTERM);
    let request = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let ask = || TcpStream::connect(server.address)?.write_all(request.as_bytes());
    wait_until("the server stops listening", || (0..100).any(|_| ask().is_err()));
    let (status, log) = server.ended();
    let drained_on = log.iter().filter(|line| line["message"] == "draining on").count();
    assert_eq!((status, drained_on), (Some(0), 2), "half of the finish time, in steps of half a second: {log:?}");
}

#[test]
fn after_the_drain_idle_connections_close_and_half_a_request_is_waited_for() {
    let server = Running::start(&[("DRAIN_SECONDS", "0.1"), ("FINISH_SECONDS", "3600")]);
    let mut idle = server.connect();
    idle.get("/");
    let mut silent = server.connect();
    // One as the first request of its connection, one as the second.
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
fn an_incomplete_request_is_cut_at_the_limit_and_counted() {
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
        assert_eq!(last_line(server)["cut"], 2, "an idle connection does not count as cut");
    }
}

#[test]
fn a_request_after_the_end_is_counted_and_neither_reset_nor_served() {
    let server = Running::start(&[("DRAIN_SECONDS", "0")]);
    let mut client = server.connect();
    client.get("/");
    server.signal(Signal::SIGTERM);
    assert!(client.is_closed());
    // As if the client had sent this before it received the FIN. The calls fail if the server sends a reset.
    for part in [HALF, REST] {
        client.send(part);
        assert!(client.is_closed());
    }
    drop(client);
    let last = last_line(server);
    assert_eq!((&last["requests"], &last["late"], &last["cut"]), (&1.into(), &1.into(), &0.into()));
}

/// Waits until the server has read what was sent before: it has, when it responds on a connection that was opened later.
fn settled(server: &Running) {
    assert_eq!(server.connect().get("/healthz").status, 200);
}

/// Waits until the server has stopped with exit code 0. Returns the last line of the log.
fn last_line(server: Running) -> Value {
    let (status, log) = server.ended();
    let last = log.last().unwrap().clone();
    assert_eq!((status, &last["message"]), (Some(0), &"stopped".into()));
    last
}
