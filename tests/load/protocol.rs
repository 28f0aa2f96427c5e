//! Which bytes on a connection count as a response, according to RFC 9112. docs/load.md has the list.

use std::num::NonZeroU64;
use std::time::Duration;

use evenkeel_load::{Fault, LoadPlan, RequestTemplate, RunResult, Schedule};

use super::server::Server;
use super::{plan, run};

const REQUESTS: u64 = 6;

/// What happened to the connections of a run with six requests.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// All are answered, over one connection.
    Kept,
    /// All are answered, each over a connection of its own.
    Closed,
    /// All fail.
    Failed(Fault),
}
use Outcome::{Closed, Failed, Kept};

fn six(method: &str) -> LoadPlan {
    LoadPlan {
        requests: NonZeroU64::new(REQUESTS),
        timeout: Duration::from_millis(500),
        request: RequestTemplate::default().method(method.parse().unwrap()),
        expected: "1xx,2xx,3xx,4xx,5xx,600-999".parse().unwrap(),
        ..plan(1, 60_000)
    }
}

/// The outcome against a server that writes these pieces as the response to each request.
fn outcome(method: &str, pieces: &[&str], closes: bool) -> (Outcome, RunResult) {
    let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    let server = Server::start(move |mut peer| {
        while peer.request() && pieces.iter().all(|piece| peer.say(piece)) {
            if closes {
                return;
            }
        }
    });
    let run = run(server.address, &six(method));
    let fault = run.faults.keys().next().map(|at| at.fault);
    let outcome = match fault {
        Some(fault) => Failed(fault),
        None if run.opened == 1 => Kept,
        None => Closed,
    };
    (outcome, run)
}

#[test]
fn bytes_and_what_they_count_as() {
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X-Header: value\r\n".repeat(1000));
    let interim = "HTTP/1.1 103 X\r\nLink: x\r\n\r\n".repeat(100) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let table: &[(&str, &[&str], Outcome)] = &[
        // Heads.
        ("GET", &[&many], Kept),
        ("GET", &[&interim], Kept),
        ("GET", &["HTTP/1.1 200\nContent-Length: 2\n\nok"], Kept),
        ("GET", &["HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\n", "ok"], Kept),
        ("GET", &["HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"], Failed(Fault::ProtocolError)),
        ("GET", &["HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"], Kept),
        ("GET", &["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], Kept),
        ("GET", &["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "\u{0}\u{1}"], Closed),
        // Lengths.
        ("GET", &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"], Kept),
        ("GET", &["HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"], Kept),
        ("GET", &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"], Failed(Fault::ProtocolError)),
        ("GET", &["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok"], Failed(Fault::ProtocolError)),
        ("GET", &["HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x, close\r\n\r\nok"], Closed),
        // Chunks.
        ("GET", &["HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n002;x=y\r\n", "ok\r\n0\r\nT: x\r\n\r\n"], Kept),
        ("GET", &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n"], Kept),
        (
            "GET",
            &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n"],
            Failed(Fault::ProtocolError),
        ),
        ("GET", &["HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], Closed),
        // Persistence.
        ("GET", &["HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"], Closed),
        ("GET", &["HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok"], Kept),
        // Bodies that must not be there.
        ("GET", &["HTTP/1.1 204 No Content\r\n\r\n"], Kept),
        ("GET", &["HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"], Closed),
        ("GET", &["HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"], Closed),
        ("GET", &["HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", "ok"], Closed),
        ("GET", &["HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"], Kept),
        ("GET", &["HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok"], Closed),
        ("HEAD", &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"], Kept),
        ("HEAD", &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], Closed),
        ("GET", &["HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok"], Failed(Fault::ProtocolError)),
    ];
    for (method, pieces, expected) in table {
        let (found, run) = outcome(method, pieces, false);
        let start: String = pieces[0].chars().take(120).collect();
        assert_eq!(&found, expected, "{method}, {start:?}: {run:?}");
        let (answered, opened) = match expected {
            Kept => (REQUESTS, 1),
            Closed => (REQUESTS, REQUESTS),
            Failed(_) => (0, run.opened),
        };
        assert_eq!((run.answered, run.opened), (answered, opened), "{method}, {start:?}: {run:?}");
    }
}

#[test]
fn bodies_that_end_with_the_connection() {
    for pieces in [
        &["HTTP/1.1 200 OK\r\n\r\n", "hello"][..],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nhello"],
        &["HTTP/1.0 200 OK\r\n\r\n"],
    ] {
        let (found, run) = outcome("GET", pieces, true);
        assert_eq!((found, run.answered, run.opened), (Closed, REQUESTS, REQUESTS), "{pieces:?}: {run:?}");
    }
}

#[test]
fn a_forbidden_body_that_comes_while_the_connection_is_idle_is_no_fault() {
    let server = Server::start(|mut peer| {
        while peer.request() && peer.say("HTTP/1.1 304 Not Modified\r\n\r\n") {
            std::thread::sleep(Duration::from_millis(5));
            peer.say("hello");
        }
    });
    let plan = LoadPlan { schedule: Some(Schedule::constant(20.0)), ..six("GET") };
    let run = run(server.address, &plan);
    assert!(run.faults.is_empty() && run.answered == REQUESTS && run.opened >= REQUESTS, "{run:?}");
}

#[test]
fn statuses_that_are_expected_are_no_faults() {
    let server = |status: &str| Server::answering(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    for (expected, status, is_fault) in [
        ("2xx,304", "304 Not Modified", false),
        ("2xx,304", "200 OK", false),
        ("2xx,304", "404 Not Found", true),
        ("404", "404 Not Found", false),
        ("404", "200 OK", true),
        ("2xx", "304 Not Modified", true),
    ] {
        let plan = LoadPlan { expected: expected.parse().unwrap(), ..six("GET") };
        let run = run(server(status).address, &plan);
        assert_eq!((run.answered, run.latency.count()), (REQUESTS, REQUESTS), "{run:?}");
        let faults: Vec<_> = run.faults.iter().map(|(at, count)| (at.fault.to_string(), *count)).collect();
        let all = vec![(format!("status {}", &status[..3]), REQUESTS)];
        assert_eq!(faults, if is_fault { all } else { Vec::new() }, "{status} where {expected} is expected");
    }
}
