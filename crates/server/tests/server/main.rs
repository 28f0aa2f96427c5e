//! The binaries of the server and of the pause program, started as a pod starts them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

mod descriptors;
mod drain;
#[path = "../../../../tests/registry/go_program.rs"]
mod go_program;
mod grpc;
mod grpc_streams;
mod grpcurl {
    mod online;
}
mod http;
mod http2;
mod memory;
mod process;
mod running;
mod tls;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::running::Running;
use nix::sys::signal::Signal;
use serde_json::Value;

#[test]
fn responses_name_the_pod_and_count_requests() {
    let server = Running::start(&[("POD_NAME", "server-6d5f9c7b8d-x2vlp"), ("NODE_NAME", "lab-0")]);
    let mut connection = server.connect();
    for number in 1..=3 {
        let response = connection.get("/");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("x-evenkeel-pod"), Some("server-6d5f9c7b8d-x2vlp"));
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("connection"), None, "the connection is kept");
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(body["pod"], "server-6d5f9c7b8d-x2vlp");
        assert_eq!(body["node"], "lab-0");
        assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(body["request"], number);
        assert!(response.bytes < 200, "a response of {} bytes; expected fewer than 200", response.bytes);
    }
    server.connect().get("/");
    let metrics = connection.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let value = |name: &str| {
        let line = metrics.body.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(value("evenkeel_requests_total"), 4, "probes and metrics are not counted");
    assert!(value("evenkeel_connections_total") >= 2);
    assert!(value("evenkeel_connections_open") >= 1);
    assert_eq!(value("evenkeel_draining"), 0);
    let info = "evenkeel_build_info{version=\"0.1.0\",pod=\"server-6d5f9c7b8d-x2vlp\",node=\"lab-0\"} 1";
    assert!(metrics.body.lines().any(|line| line == info.replace("0.1.0", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn every_route_responds() {
    let server = Running::start(&[]);
    let mut connection = server.connect();
    for path in ["/startupz", "/readyz", "/healthz", "/metrics", "/version", "/", "/?with=query"] {
        assert_eq!(connection.get(path).status, 200, "{path}");
    }
    let version: Value = serde_json::from_str(&connection.get("/version").body).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(connection.get("/nothing").status, 404);
    assert_eq!(connection.request("POST", "/").status, 405);
    let head = connection.request("HEAD", "/");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("x-evenkeel-pod"), connection.get("/").header("x-evenkeel-pod"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Running::start(&[]);
    let mut connection = server.connect();
    connection.send(&"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20));
    for number in 1..=20 {
        let body: Value = serde_json::from_str(&connection.receive("GET").body).unwrap();
        assert_eq!(body["request"], number);
    }
}

#[test]
fn an_invalid_setting_is_one_line_and_exit_2() {
    let wrong = [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("DRAIN_SECONDS", "soon"),
        ("FINISH_SECONDS", "never"),
        ("LOG_LEVEL", "loud"),
        ("POD_NAME", "a b"),
    ];
    for (name, value) in wrong {
        let output = Command::new(env!("CARGO_BIN_EXE_evenkeel-server")).env(name, value).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}={value}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(name) && said.contains(value), "{said}");
        assert!(output.stdout.is_empty(), "the server did not start");
    }
}

#[test]
fn a_port_in_use_is_one_line_and_exit_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel-server")).env("PORT", &port).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.lines().count() == 1 && said.contains(&port), "{said}");
}

#[test]
fn log_level_off_is_silent() {
    let server = Running::start(&[("LOG_LEVEL", "off"), ("DRAIN_SECONDS", "0")]);
    server.signal(Signal::SIGINT);
    assert_eq!(server.ended(), (Some(0), Vec::new()));
}

#[test]
fn pause_waits_for_sigterm_or_sigint() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let child = Command::new(env!("CARGO_BIN_EXE_evenkeel-pause")).stderr(Stdio::piped()).spawn().unwrap();
        let mut child = process::Owned(child);
        process::wait_until("pause sleeps", || process::sleeps(child.0.id()));
        process::send(child.0.id(), Signal::SIGCHLD);
        assert_eq!(child.0.try_wait().unwrap(), None, "SIGCHLD must not end the pause program");
        process::send(child.0.id(), signal);
        assert_eq!(child.0.wait().unwrap().code(), Some(0));
        let mut said = String::new();
        child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    }
}

#[test]
fn a_broken_request_does_not_affect_other_clients() {
    let server = Running::start(&[]);
    let mut leaver = server.connect();
    leaver.stream().write_all(b"GET / HTTP/1.1\r\nho").unwrap();
    drop(leaver);
    let mut rude = server.connect();
    rude.send("this is not HTTP\r\n\r\n");
    assert_eq!(rude.receive("GET").status, 400);
    assert_eq!(server.connect().get("/").status, 200);
}
