//! The flags of the load, as a person gives them.

use std::process::Output;

use serde_json::Value;

use super::cli::{evenkeel, texts};
use super::server::{Server, from_pod};

fn test(server: &Server, arguments: &[&str]) -> Output {
    evenkeel(&[arguments, &["--warmup", "0", "--target", &server.url()]].concat()).output().unwrap()
}

/// The one run of a report.
fn measured(server: &Server, arguments: &[&str]) -> Value {
    let output = test(server, &[&["--json"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["runs"][0].take()
}

#[test]
fn what_cannot_be_is_refused_before_any_load() {
    let server = Server::answering(from_pod("a"));
    for bad in [
        &["--rate", "0"][..],
        &["--rate", "-5"],
        &["--rate", "fast"],
        &["--stages", "10s"],
        &["--stages", "1s:5", "--rate", "5"],
        &["--stages", "1s:5", "-d", "5"],
        &["--requests", "0"],
        &["--requests", "-1"],
        &["--reconnect-every", "0"],
        &["--reconnect-every", "5", "--no-keepalive"],
        &["--method", "GET /x"],
        &["--method", "CONNECT"],
        &["--path", "x"],
        &["--path", "/a\r\nX: y"],
        &["-H", "no colon"],
        &["-H", "X: a\r\nY: b"],
        &["-H", "Content-Length: 3"],
        &["--body", "@/does/not/exist"],
        &["-c", "100000000"],
    ] {
        let output = test(&server, bad);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains("error: "), "{bad:?}: {stdout}{stderr}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_rate_is_reported_with_both_latencies() {
    let server = Server::answering(from_pod("a"));
    let run = measured(&server, &["--rate", "200", "-d", "1s", "-c", "4"]);
    assert_eq!(run["rate"]["target"], 200.0);
    let (sent, unsent) = (run["requests"]["sent"].as_u64().unwrap(), run["rate"]["unsent"].as_u64().unwrap());
    assert_eq!(sent + unsent, 200);
    assert_eq!(run["latency_us"]["count"], run["uncorrected_latency_us"]["count"]);
    assert_eq!(run["rate"]["late_us"]["count"], run["latency_us"]["count"]);
    assert!(run["generator_context_switches"]["voluntary"].as_u64().unwrap() > 0, "{run}");
}

#[test]
fn a_missed_rate_is_said_plainly() {
    let server = Server::start(|mut peer| {
        while peer.request() {
            std::thread::sleep(std::time::Duration::from_millis(10));
            if !peer.say(&from_pod("a")) {
                return;
            }
        }
    });
    let output = test(&server, &["--rate", "5000", "-d", "500ms", "-c", "2"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("asked 5,000 req/s, reached "), "{stdout}");
    assert!(stdout.contains(" requests were due and never sent"), "{stdout}");
    assert!(stdout.contains("latency counts from when each request was due"), "{stdout}");
}

#[test]
fn requests_and_new_connections_are_counted() {
    let server = Server::answering(from_pod("a"));
    let run = measured(&server, &["--requests", "300", "--no-keepalive", "-c", "3", "--path", "/x", "-m", "DELETE"]);
    assert_eq!(run["requests"]["answered"], 300);
    assert_eq!(run["connections_opened"], 300);
    assert_eq!(run["planned_requests"], 300);
    assert_eq!(server.requests(), 300);
    let output = test(&server, &["--requests", "40", "--reconnect-every", "10", "-c", "1"]);
    let stdout = texts(&output).0;
    assert!(
        stdout.contains("1 connection, 40 requests, http://") && stdout.contains("4 connections opened"),
        "{stdout}"
    );
}
