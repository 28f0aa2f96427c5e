//! `evenkeel test` from the command line: exit codes, tables, JSON, interruption.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::server::{Server, from_pod, nobody};

pub(crate) fn evenkeel(args: &[&str]) -> Command {
    // Under `nohup`, or in the background of a shell, the tests inherit ignored signals.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP,INT,TERM", env!("CARGO_BIN_EXE_evenkeel")]);
    // A lab may be up on this machine, but not one with this name.
    command.arg("test").args(args).env("EVENKEEL_NAME", "not-there").stdin(Stdio::null());
    command
}

pub(crate) fn texts(output: &Output) -> (String, String) {
    (String::from_utf8(output.stdout.clone()).unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn invalid_arguments_are_refused_before_any_load() {
    let server = Server::answering(from_pod("a"));
    let url = server.url();
    let target = ["--target", url.as_str()];
    for bad in [
        &["-c", "0"][..],
        &["-c", "-1"],
        &["-c", "x"],
        &["-c", "4000000000"],
        &["-d", "0"],
        &["-d", "1w"],
        &["-t", "0"],
        &["--workers", "0"],
        &["--warmup", "-1s"],
        &["--replicas", "2"],
    ] {
        let output = evenkeel(&[&target, bad].concat()).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains("error: "), "{bad:?}: {stdout}{stderr}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn numbers_of_pods_are_checked_before_the_lab_is_looked_up() {
    for bad in ["", "2,x", "0", "2,,5", "-1", "9999"] {
        let output = evenkeel(&["--replicas", bad]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {}", texts(&output).1);
    }
    let output = evenkeel(&["--replicas", "2,5"]).output().unwrap();
    let stderr = texts(&output).1;
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no lab is up") && stderr.contains("evenkeel up"), "{stderr}");
}

#[test]
fn a_foreign_target_is_refused() {
    for foreign in ["http://192.0.2.1/", "http://[2001:db8::1]/"] {
        let output = evenkeel(&["-d", "1s", "--target", foreign]).output().unwrap();
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stdout.is_empty() && stderr.contains("no load was sent"), "{stderr}");
        assert!(stderr.contains("--allow-foreign-target"), "{stderr}");
    }
}

#[test]
fn a_server_that_listens_only_on_ipv6_is_found_by_the_name_localhost() {
    // Without IPv6 on this machine there is nothing to test.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let port = listener.local_addr().unwrap().port();
    let server = Server::start_on(listener, |peer| peer.answer_all(&from_pod("a")));
    let target = format!("http://localhost:{port}/");
    let output = evenkeel(&["--requests", "20", "--warmup", "0", "--target", &target]).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    assert_eq!(server.requests(), 20, "{stdout}");
}

#[test]
fn another_scheme_is_refused_with_a_reason() {
    let output = evenkeel(&["--target", "ftp://127.0.0.1/"]).output().unwrap();
    let stderr = texts(&output).1;
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("expected an http:// or https:// URL"), "{stderr}");
}

#[test]
fn tables_go_to_stdout_without_escapes() {
    let server = Server::start(|peer| {
        let answer = from_pod(if peer.number % 2 == 0 { "server-a" } else { "server-b" });
        peer.answer_all(&answer);
    });
    let output = evenkeel(&["-c", "4", "-d", "1s", "--warmup", "0", "--target", &server.url()]).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for part in [
        "│ Latency │",
        "│ Req/Sec",
        "│ Bytes/Sec",
        "requests in 1s",
        "│ server-a",
        "│ server-b",
        "4 keep-alive connections landed",
    ] {
        assert!(stdout.contains(part), "{part} is missing:\n{stdout}");
    }
    assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "no escapes when piped");
}

#[test]
fn json_agrees_with_the_server() {
    let server = Server::answering(from_pod("a"));
    let arguments = ["--json", "-c", "2", "-d", "500ms", "--warmup", "0s", "--target", &server.url()];
    let output = evenkeel(&arguments).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema_version"], 2);
    let requests = &report["runs"][0]["requests"];
    let (answered, sent) = (requests["answered"].as_u64().unwrap(), requests["sent"].as_u64().unwrap());
    assert!(answered > 0 && (answered..=sent).contains(&server.requests()), "{} of {requests}", server.requests());
}

#[test]
fn a_run_without_a_response_is_a_failure_after_the_tables() {
    let target = format!("http://{}/", nobody());
    let output = evenkeel(&["-c", "2", "-d", "300ms", "--warmup", "0", "--target", &target]).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("refused, second 0") && stderr.contains("answered no request"), "{stdout}{stderr}");
}

#[test]
fn an_interrupted_run_prints_its_results() {
    let server = Server::answering(from_pod("a"));
    let mut command = evenkeel(&["-c", "2", "-d", "1m", "--warmup", "0", "--target", &server.url()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while server.requests() < 100 {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stdout.contains("interrupted after") && stdout.contains("s of 60 s"), "{stdout}");
}
