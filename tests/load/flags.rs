//! The flags of `evenkeel test` that describe the load.

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
fn invalid_flags_are_refused_before_any_load() {
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
        &["--expect", "fine"],
        &["--expect", "304-200"],
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
fn expected_statuses_are_successes_and_the_report_names_them() {
    let server = Server::answering("HTTP/1.1 304 Not Modified\r\nx-evenkeel-pod: a\r\n\r\n".into());
    let run = measured(&server, &["--requests", "50", "--expect", "2xx,304", "--assert", "failed==0"]);
    assert_eq!((&run["expected_statuses"], &run["requests"]["answered"]), (&"2xx,304".into(), &50.into()));
    assert_eq!((&run["requests"]["non_2xx"], &run["faults"]), (&0.into(), &Value::Array(Vec::new())));
    let run = measured(&server, &["--requests", "50"]);
    assert_eq!((&run["expected_statuses"], &run["requests"]["non_2xx"]), (&"2xx".into(), &50.into()));
    assert_eq!(run["faults"][0]["kind"], "status 304");

    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let (html, markdown) = (path("r.html"), path("r.md"));
    let output = test(&server, &["--requests", "50", "--expect", "404", "--html", &html, "--md", &markdown]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("0 responses with an expected status (404), 50 with another one"), "{stdout}");
    assert!(stdout.contains("50 status 304"), "{stdout}");
    for path in [html, markdown] {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("Expected statuses") && text.contains("status 304"), "{path}: {text}");
    }
}

#[test]
fn headers_may_have_characters_beyond_ascii() {
    let server = Server::answering(from_pod("a"));
    let run = measured(&server, &["--requests", "5", "-H", "X-Name: é"]);
    assert_eq!(run["requests"]["answered"], 5);
    let (_, stderr) = texts(&test(&server, &["-H", "X-Näme: e"]));
    assert!(stderr.contains("expected a name of ASCII letters"), "{stderr}");
}

#[test]
fn a_missed_rate_is_reported() {
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
