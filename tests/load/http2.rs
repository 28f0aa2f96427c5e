//! `evenkeel test --http2` from the command line. What the load generator counts is tested in crates/load/tests/http2.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::cli::{evenkeel, texts};
use super::server::{Peer, Server, from_pod};

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A server that answers each request over HTTP/2 with status 200. The pod of the response depends on the connection, or on
/// the request.
fn server(by_request: bool) -> Server {
    let requests = Arc::new(AtomicU64::new(0));
    Server::start(move |mut peer| {
        let requests = Arc::clone(&requests);
        let number = peer.number;
        let pod = move || if by_request { requests.fetch_add(1, Ordering::SeqCst) } else { number } % 2;
        let _ = serve(&mut peer, &[], pod);
    })
}

/// A server of gRPC that ends each call with this status.
fn grpc_server(status: &'static str) -> Server {
    Server::start(move |mut peer| {
        let header = [&[0, 11][..], b"grpc-status", &[u8::try_from(status.len()).unwrap()], status.as_bytes()].concat();
        let _ = serve(&mut peer, &header, || 0);
    })
}

fn serve(peer: &mut Peer, more: &[u8], pod: impl Fn() -> u64) -> std::io::Result<()> {
    peer.stream.read_exact(&mut [0; 24])?;
    peer.stream.write_all(&frame(4, 0, 0, &[]))?;
    loop {
        let mut head = [0; 9];
        peer.stream.read_exact(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        peer.stream.read_exact(&mut payload)?;
        if head[3] == 1 {
            let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
            let name = format!("pod-{}", pod());
            let header = [&[0x88, 0, 14][..], b"x-evenkeel-pod", &[5], name.as_bytes(), more].concat();
            peer.stream.write_all(&frame(1, 5, stream, &header))?;
        }
    }
}

fn test(server: &Server, arguments: &[&str]) -> std::process::Output {
    evenkeel(&[arguments, &["--warmup", "0", "--target", &server.url()]].concat()).output().unwrap()
}

#[test]
fn connections_streams_and_requests_are_told_apart() {
    let server = server(false);
    let output = test(&server, &["--http2", "-c", "2", "--streams", "5", "--requests", "400"]);
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stdout.starts_with("2 connections with 5 streams over HTTP/2, 400 requests, http://127.0.0.1:"),
        "{stdout}"
    );
    let flat = stdout.replace('\n', " ");
    assert!(flat.contains("2 connections, 10 streams: all requests of a connection went to one pod."), "{stdout}");
}

#[test]
fn requests_that_a_proxy_divides_are_told() {
    let server = server(true);
    let output = test(&server, &["--http2", "-c", "1", "--streams", "4", "--requests", "100", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &report["runs"][0];
    assert_eq!(run["http2"], serde_json::json!({ "streams_per_connection": 4, "streams": 4 }));
    assert_eq!((&run["requests"]["answered"], &run["errors"]), (&100.into(), &0.into()));
    assert_eq!((&run["spread"]["mixed_connections"], &run["spread"]["streams"]), (&1.into(), &4.into()));
    assert_eq!((&run["tls_handshakes"], run["spread"]["pods"].as_array().unwrap().len()), (&Value::Null, 2));
}

#[test]
fn bad_flags_are_refused_before_any_load() {
    let server = server(false);
    for bad in [
        &["--streams", "5"][..],
        &["--http2", "--streams", "0"],
        &["--http2", "--streams", "-1"],
        &["--http2", "--streams", "many"],
        &["--grpc", "NoMethod"],
        &["--grpc", "a b/C"],
        &["--grpc", "a.B/C", "--path", "/x"],
        &["--grpc", "a.B/C", "--method", "GET"],
        &["--grpc", "a.B/C", "--expect", "2xx"],
        &["--grpc", "a.B/C", "--message", "{}", "--body", "x"],
        &["--grpc", "a.B/C", "--message", "@/does/not/exist"],
        &["--grpc", "a.B/C", "--proto", "/does/not/exist.proto"],
        &["--grpc", "a.B/C", "--proto-path", "/"],
        &["--message", "{}"],
        &["--proto", "a.proto"],
        &["--insecure"],
        &["--cacert", "/does/not/exist"],
        &["--cacert", "/dev/null"],
        &["--cert", "/dev/null"],
        &["--key", "/dev/null"],
        &["--cert", "/dev/null", "--key", "/dev/null"],
        &["--no-tls-resumption"],
    ] {
        let output = test(&server, bad);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {stderr}");
        assert!(stdout.is_empty() && stderr.contains("error: "), "{bad:?}: {stdout}{stderr}");
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn calls_of_grpc_fail_with_the_name_of_their_status() {
    let call = ["--grpc", "a.Service/Method", "--body", "", "--streams", "3", "--requests", "50", "--json"];
    let run = |server: &Server| {
        let output = test(server, &call);
        assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["runs"][0].take()
    };
    let ok = run(&grpc_server("0"));
    assert_eq!((&ok["requests"]["answered"], ok["faults"].as_array().unwrap().len()), (&50.into(), 0));
    let failed = run(&grpc_server("5"));
    assert_eq!(
        (&failed["faults"][0]["kind"], &failed["faults"][0]["count"]),
        (&"grpc-status NOT_FOUND".into(), &50.into())
    );
    assert_eq!((&failed["errors"], &failed["requests"]["non_2xx"]), (&0.into(), &50.into()));
}

#[test]
fn a_server_without_http_2_is_named_with_a_hint() {
    let server = Server::start(|peer| peer.answer_anything(&from_pod("a")));
    let output = test(&server, &["--http2", "-c", "2", "-d", "300ms"]);
    let stderr = texts(&output).1;
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("failed: not HTTP/2") && stderr.contains("leave out --http2"), "{stderr}");
}
