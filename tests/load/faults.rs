//! Servers that misbehave: each fault is counted by its kind, and the run ends.

use std::io::Read;
use std::time::Duration;

use evenkeel_load::{Fault, RunResult, Schedule};

use super::server::{Server, from_pod, nobody};
use super::{plan, run};

/// The faults of a run by kind.
fn kinds(run: &RunResult) -> Vec<Fault> {
    let mut kinds: Vec<_> = run.faults.keys().map(|at| at.fault).collect();
    kinds.dedup();
    kinds
}

fn count(run: &RunResult) -> u64 {
    run.faults.values().sum()
}

/// Runs against a server and asserts that all faults are of this kind.
#[track_caller]
fn only(fault: Fault, server: &Server) -> RunResult {
    let mut plan = plan(2, 400);
    plan.timeout = Duration::from_millis(100);
    let run = run(server.address, &plan);
    assert_eq!(kinds(&run), [fault], "{run:?}");
    assert!(count(&run) >= 2, "each connection has the fault: {run:?}");
    run
}

#[test]
fn refused() {
    let run = run(nobody(), &plan(2, 400));
    assert_eq!(kinds(&run), [Fault::Refused]);
    assert_eq!((run.sent, run.answered, run.in_flight), (0, 0, 0));
    // The delays are 10, 20, 40, 80 and 160 ms.
    assert!((2..=20).contains(&count(&run)), "{} tries", count(&run));
}

#[test]
fn reset() {
    // Closing with the request unread resets the connection.
    let server = Server::start(|peer| drop(peer.stream.peek(&mut [0])));
    assert_eq!(only(Fault::Reset, &server).answered, 0);
}

#[test]
fn closed_without_an_answer() {
    let server = Server::start(|mut peer| {
        peer.request();
    });
    let run = only(Fault::Closed, &server);
    assert!((count(&run)..=run.sent).contains(&server.requests()), "{} of {run:?}", server.requests());
}

#[test]
fn closed_in_the_middle_of_an_answer() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    only(Fault::Closed, &server);
}

#[test]
fn bytes_that_are_not_http() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("SSH-2.0-OpenSSH_10.0\r\n");
        peer.wait();
    });
    only(Fault::ProtocolError, &server);
}

#[test]
fn a_second_response_to_one_request() {
    let server = Server::answering(from_pod("a").repeat(2));
    only(Fault::ProtocolError, &server);
}

#[test]
fn no_response_in_time() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.wait();
    });
    only(Fault::TimedOut, &server);
}

#[test]
fn half_a_response_in_time() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\ncontent-le");
        peer.wait();
    });
    only(Fault::TimedOut, &server);
}

#[test]
fn an_endless_body() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while peer.say(&chunk) {}
    });
    only(Fault::TimedOut, &server);
}

#[test]
fn a_body_that_trickles() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
        while peer.say("x") {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    only(Fault::TimedOut, &server);
}

#[test]
fn a_response_without_a_request() {
    // With a rate, connections are opened before their first request.
    let server = Server::start(|mut peer| {
        peer.say(&from_pod("a"));
        peer.wait();
    });
    let mut plan = plan(2, 400);
    plan.schedule = Some(Schedule::constant(1.0));
    let run = run(server.address, &plan);
    // The one request that is due may be sent before the unexpected response is read.
    assert!(run.answered <= 1 && count(&run) >= 2, "{run:?}");
    assert_eq!(kinds(&run), [Fault::ProtocolError]);
}

#[test]
fn closed_before_any_request() {
    let server = Server::start(drop);
    let mut plan = plan(2, 400);
    plan.schedule = Some(Schedule::constant(1.0));
    let run = run(server.address, &plan);
    assert!(run.answered == 0 && (2..=40).contains(&count(&run)), "connections are retried with a delay: {run:?}");
    assert!(kinds(&run).iter().all(|fault| matches!(fault, Fault::Closed | Fault::Reset)), "{run:?}");
}

#[test]
fn an_endless_head() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\n");
        while peer.say("x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n") {}
    });
    only(Fault::ProtocolError, &server);
}

#[test]
fn an_unexpected_status_is_a_response_and_a_fault() {
    let server = Server::answering("HTTP/1.1 503 Unavailable\r\nx-evenkeel-pod: a\r\ncontent-length: 0\r\n\r\n".into());
    let run = only(Fault::Status(503), &server);
    assert_eq!(count(&run), run.answered);
    assert!(run.faults.keys().all(|at| at.pod.as_deref() == Some("a")), "{run:?}");
}

#[test]
fn the_pod_of_a_fault_is_known_after_its_first_answer() {
    let server = Server::start(|mut peer| {
        if peer.request() && peer.say(&from_pod("a")) {
            peer.request();
        }
    });
    let run = only(Fault::Closed, &server);
    assert!(run.faults.keys().all(|at| at.pod.as_deref() == Some("a")), "{run:?}");
    assert_eq!(run.pods[0].connections, run.answered);
}

/// Runs against a server and asserts that there is no fault.
#[track_caller]
fn clean(server: &Server) -> RunResult {
    let run = run(server.address, &plan(2, 400));
    assert!(run.faults.is_empty() && run.answered >= 2, "{run:?}");
    run
}

#[test]
fn connection_close_is_no_fault() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\nConnection: close\r\nx-evenkeel-pod: a\r\ncontent-length: 2\r\n\r\nok");
        // The server waits: the client must close the connection.
        peer.wait();
    });
    let run = clean(&server);
    assert_eq!(run.pods[0].connections, run.answered);
    assert!(run.connect.count() >= run.answered);
}

#[test]
fn a_body_that_ends_with_the_connection_is_no_fault() {
    let server = Server::start(|mut peer| {
        peer.request();
        peer.say("HTTP/1.1 200 OK\r\n\r\nhello");
    });
    clean(&server);
}

#[test]
fn chunks_in_pieces_are_no_fault() {
    let server = Server::start(|mut peer| {
        let pieces = ["HTTP/1.1 200 OK\r\ntransfer-enc", "oding: chunked\r\n\r\n5\r", "\nhel", "lo\r\n0\r\n", "\r\n"];
        while peer.request() && pieces.iter().all(|piece| peer.say(piece)) {}
    });
    let run = clean(&server);
    assert!(run.connect.count() == 2, "the connections are kept: {run:?}");
}

#[test]
fn big_answers_are_read_whole_on_the_same_connection() {
    let body = 8 << 20;
    let server = Server::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n{}", "x".repeat(body)));
    let run = clean(&server);
    assert_eq!(run.connect.count(), 2, "the connections are kept");
    assert!(run.seconds.iter().map(|second| second.bytes).sum::<u64>() > run.answered * body as u64);
}

#[test]
fn a_server_that_closes_when_idle_loses_nothing() {
    let server = Server::start(|mut peer| {
        peer.request();
        // The response and the end of the connection arrive together.
        peer.say(&from_pod("a"));
        let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        let _ = peer.stream.read(&mut [0; 1024]);
    });
    // If the client reads the end before its next request, there is no fault. If it has already sent the request, the
    // request fails and is counted.
    let run = run(server.address, &plan(2, 400));
    assert!(kinds(&run).iter().all(|fault| matches!(fault, Fault::Closed | Fault::Reset)), "{run:?}");
    assert!(run.answered >= 2, "{run:?}");
}
