//! `evenkeel test --grpc` against a server of others: that of grpcurl's own tests, which is made with grpc-go. It is built
//! from the Go module proxy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::cli::{evenkeel, texts};
use crate::go_program::go_program;
use crate::server::{Server, from_pod, nobody};

/// The server, built once.
static PROGRAM: LazyLock<std::path::PathBuf> =
    LazyLock::new(|| go_program("github.com/fullstorydev/grpcurl/internal/testing/cmd/testserver", "v1.9.3", "-s -w"));

/// A part of the file that defines the service.
const PROTO: &str = r#"
    syntax = "proto3";
    package testing;
    import "parts/parameters.proto";
    service TestService {
      rpc EmptyCall(Empty) returns (Empty);
      rpc UnaryCall(SimpleRequest) returns (Empty);
      rpc StreamingOutputCall(StreamingOutputCallRequest) returns (stream Empty);
      rpc FullDuplexCall(stream StreamingOutputCallRequest) returns (stream Empty);
      rpc NotThere(Empty) returns (Empty);
    }
    message Empty {}
    message SimpleRequest { int32 response_size = 2; }
    message StreamingOutputCallRequest { repeated ResponseParameters response_parameters = 2; }
"#;
const PARAMETERS: &str =
    r#"syntax = "proto3"; package testing; message ResponseParameters { int32 size = 1; int32 interval_us = 2; }"#;

/// The server while it runs. It is killed when the value is dropped.
struct Greeter {
    child: Child,
    address: SocketAddr,
}

impl Greeter {
    fn start(flags: &[&str]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut command = Command::new(&*PROGRAM);
        command.args(["-q", "-p", &free.port().to_string()]).args(flags).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Self { child: command.spawn().unwrap(), address: (Ipv4Addr::LOCALHOST, free.port()).into() };
        let begun = Instant::now();
        while TcpStream::connect(started.address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the server listens");
            sleep(Duration::from_millis(20));
        }
        started
    }

    fn test(&self, method: &str, flags: &[&str]) -> Output {
        let url = format!("http://{}/", self.address);
        let common = ["--warmup", "0", "-c", "2", "--json", "--target", &url, "--grpc", method];
        evenkeel(&[&common, flags].concat()).output().unwrap()
    }

    /// The run of a test that succeeds.
    #[track_caller]
    fn run(&self, method: &str, flags: &[&str]) -> Value {
        let output = self.test(method, flags);
        assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["runs"][0].take()
    }

    /// The exit code of a test that fails before any load, and what it says.
    #[track_caller]
    fn refused(&self, method: &str, flags: &[&str]) -> (Option<i32>, String) {
        let output = self.test(method, flags);
        let (stdout, stderr) = texts(&output);
        assert!(stdout.is_empty(), "{stdout}");
        (output.status.code(), stderr)
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn methods_are_found_by_reflection_and_messages_are_json() {
    let server = Greeter::start(&[]);
    let run =
        server.run("testing.TestService/UnaryCall", &["--requests", "200", "--message", r#"{"responseSize": 5}"#]);
    assert_eq!((&run["requests"]["answered"], &run["requests"]["non_2xx"]), (&200.into(), &0.into()));
    assert_eq!((&run["messages"], &run["expected_statuses"]), (&Value::Null, &"OK".into()));

    let refused = |method, flags: &[&str], says: &str| {
        let (code, stderr) = server.refused(method, flags);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    };
    refused("testing.TestService/Nope", &[], "its methods are EmptyCall, UnaryCall, StreamingOutputCall");
    refused("testing.Nope/EmptyCall", &[], "the services are grpc.reflection.v1.ServerReflection");
    refused("testing.TestService/FullDuplexCall", &[], "takes a stream of messages");
    refused("testing.TestService/StreamingInputCall", &[], "takes a stream of messages");
    refused("testing.TestService/UnaryCall", &["--message", r#"{"responseSize": "x"}"#], "responseSize");
    refused("testing.TestService/UnaryCall", &["--message", r#"{"size": 1}"#], "'size'");
}

#[test]
fn streams_are_called_once_each_and_their_messages_are_counted() {
    let server = Greeter::start(&[]);
    let message = r#"{"response_parameters": [{"size": 3}, {"size": 100}, {"interval_us": 30000}]}"#;
    let run = server.run("testing.TestService/StreamingOutputCall", &["--requests", "20", "--message", message]);
    assert_eq!((&run["requests"]["answered"], &run["messages"]["received"]), (&20.into(), &60.into()));
    let first = &run["messages"]["first_us"];
    assert_eq!(first["count"], 20);
    // The last message of a stream is 30 ms later than the first one.
    let of_all = |us: &Value| us["p50"].as_u64().unwrap();
    assert!(of_all(&run["latency_us"]) >= of_all(first) + 20_000, "{run}");
    assert!(run["bytes"].as_u64().unwrap() > 20 * 100, "{run}");
    let timeline: u64 =
        run["messages"]["timeline"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(timeline, 60);
}

#[test]
fn a_stream_that_outlasts_the_run_is_in_flight_and_its_messages_count() {
    let server = Greeter::start(&[]);
    let part = r#"{"interval_us": 20000}"#;
    let message = format!(r#"{{"response_parameters": [{}]}}"#, vec![part; 500].join(","));
    let run = server.run("testing.TestService/StreamingOutputCall", &["-d", "1s", "--message", &message]);
    assert_eq!((&run["requests"]["answered"], &run["requests"]["in_flight"]), (&0.into(), &2.into()));
    assert!(run["messages"]["received"].as_u64().unwrap() > 10 && run["bytes"].as_u64().unwrap() > 0, "{run}");
}

#[test]
fn calls_of_a_file_have_their_own_messages_and_metadata() {
    let server = Greeter::start(&[]);
    let file = |lines: &[&str]| {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), lines.join("\n")).unwrap();
        file
    };
    let with = |file: &NamedTempFile, method, flags: &[&str]| {
        server.run(method, &[&["--requests-file", file.path().to_str().unwrap()], flags].concat())
    };
    // One and two messages in turn.
    let parts = file(&[
        r#"{"message": {"response_parameters": [{"size": 1}]}}"#,
        r#"{"message": {"response_parameters": [{"size": 1}, {"size": 2}]}}"#,
    ]);
    let run = with(&parts, "testing.TestService/StreamingOutputCall", &["--requests", "20"]);
    assert_eq!((&run["requests"]["answered"], &run["messages"]["received"]), (&20.into(), &30.into()));
    let fails = file(&[r#"{"message": {}}"#, "{}", r#"{"metadata": {"fail-early": "5"}}"#]);
    let run = with(&fails, "testing.TestService/EmptyCall", &["--requests", "30"]);
    let fault = &run["faults"][0];
    assert_eq!((&fault["kind"], &fault["count"]), (&"grpc-status NOT_FOUND".into(), &10.into()), "{run}");

    let refused = |file: &NamedTempFile, flags: &[&str], says: &str| {
        let flags = [&["--requests-file", file.path().to_str().unwrap()], flags].concat();
        let (code, stderr) = server.refused("testing.TestService/UnaryCall", &flags);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    };
    let wrong = file(&[r#"{"message": {"responseSize": 1}}"#, "", r#"{"message": {"size": 1}}"#]);
    refused(&wrong, &[], "SimpleRequest: line 3: ");
    refused(&file(&[r#"{"message": {}}"#, r#"{"mesage": {}}"#]), &[], "line 2: unknown field ");
    refused(&file(&[r#"{"path": "/"}"#]), &[], "with --grpc, expected lines with the fields message or metadata");
    refused(&file(&[r#"{"metadata": {"token-bin": "not base64!"}}"#]), &[], "base64");
    refused(&parts, &["--message", "{}"], "cannot be used with");
    let output = evenkeel(&["--requests-file", parts.path().to_str().unwrap(), "--target", "http://127.0.0.1:1/"])
        .output()
        .unwrap();
    let stderr = texts(&output).1;
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("its lines are calls of gRPC"), "{stderr}");
}

#[test]
fn methods_are_found_by_reflection_over_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let server = Greeter::start(&["-cert", certificate, "-key", key]);
    let test = |flags: &[&str]| {
        let url = format!("https://localhost:{}/", server.address.port());
        let call =
            ["--grpc", "testing.TestService/UnaryCall", "--message", r#"{"responseSize": 5}"#, "--requests", "50"];
        let output = evenkeel(&[&call[..], &["--warmup", "0", "-c", "2", "--json", "--target", &url], flags].concat())
            .output()
            .unwrap();
        let (stdout, stderr) = texts(&output);
        (output.status.code(), stdout, stderr)
    };
    let (code, stdout, stderr) = test(&["--cacert", certificate]);
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let run = &report["runs"][0];
    assert_eq!((&run["requests"]["answered"], &run["requests"]["non_2xx"]), (&50.into(), &0.into()), "{run}");
    // The server is not asked for its methods over a connection that could not be used for the load.
    let (code, stdout, stderr) = test(&[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("asking for its methods failed: ") && stderr.contains("certificate"), "{stderr}");
}

#[test]
fn a_deadline_counts_once_by_its_name() {
    let server = Greeter::start(&[]);
    let message = r#"{"response_parameters": [{"size": 1}, {"interval_us": 500000}]}"#;
    let flags = ["--requests", "6", "--timeout", "100ms", "--message", message];
    let run = server.run("testing.TestService/StreamingOutputCall", &flags);
    let faults: u64 = run["faults"].as_array().unwrap().iter().map(|fault| fault["count"].as_u64().unwrap()).sum();
    assert_eq!((faults, &run["messages"]["first_us"]["count"]), (6, &6.into()), "{run}");
    for fault in run["faults"].as_array().unwrap() {
        assert!(["timed out", "grpc-status DEADLINE_EXCEEDED"].contains(&fault["kind"].as_str().unwrap()), "{fault}");
    }
}

#[test]
fn metadata_is_sent_and_failures_have_names() {
    let server = Greeter::start(&[]);
    // The server fails as this header says: at the begin, with trailers only, and at the end, after its message.
    for header in ["fail-early: 5", "fail-late: 14"] {
        let run = server.run("testing.TestService/EmptyCall", &["--requests", "10", "-H", header]);
        let name = if header.ends_with('5') { "grpc-status NOT_FOUND" } else { "grpc-status UNAVAILABLE" };
        assert_eq!((&run["faults"][0]["kind"], &run["faults"][0]["count"]), (&name.into(), &10.into()));
        assert_eq!((&run["errors"], &run["requests"]["non_2xx"]), (&0.into(), &10.into()));
    }
    let (code, stderr) = server.refused("testing.TestService/EmptyCall", &["-H", "token-bin: not base64!"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("base64"), "{stderr}");
    server.run("testing.TestService/EmptyCall", &["--requests", "10", "-H", "token-bin: AAEC/w=="]);
}

#[test]
fn without_reflection_the_files_are_needed() {
    let server = Greeter::start(&["-noreflect"]);
    let (code, stderr) = server.refused("testing.TestService/UnaryCall", &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("has no gRPC reflection") && stderr.contains("--proto FILE"), "{stderr}");

    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("parts")).unwrap();
    fs::write(folder.path().join("test.proto"), PROTO).unwrap();
    fs::write(folder.path().join("parts/parameters.proto"), PARAMETERS).unwrap();
    let file = folder.path().join("test.proto").display().to_string();
    let proto = ["--proto", &file];
    let with = |flags: &[&'static str]| [&proto[..], &["--requests", "10"], flags].concat();
    let message = r#"{"response_parameters": [{}, {}]}"#;
    let run = server.run("testing.TestService/StreamingOutputCall", &with(&["--message", message]));
    assert_eq!((&run["requests"]["answered"], &run["messages"]["received"]), (&10.into(), &20.into()));
    // The server does not have every method of the files.
    let run = server.run("testing.TestService/NotThere", &with(&[]));
    assert_eq!(run["faults"][0]["kind"], "grpc-status UNIMPLEMENTED");
    // Encoded already: {"response_parameters": [{}, {}]}. Whether the method streams shows in the responses.
    let body = folder.path().join("body");
    fs::write(&body, [0x12, 0, 0x12, 0]).unwrap();
    let body = format!("@{}", body.display());
    let run = server.run("testing.TestService/StreamingOutputCall", &["--requests", "10", "--body", &body]);
    assert_eq!(run["messages"]["received"], 20);
    let run = server.run("testing.TestService/EmptyCall", &["--requests", "10", "--body", ""]);
    assert_eq!(run["messages"], Value::Null);

    let (code, stderr) = server.refused("testing.TestService/Nope", &proto);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("its methods are EmptyCall, UnaryCall"), "{stderr}");
}

#[test]
fn a_server_that_is_not_there_or_speaks_no_grpc_is_named() {
    let nobody = nobody();
    let output = evenkeel(&["--target", &format!("http://{nobody}/"), "--grpc", "a.B/C", "-d", "1s"]).output().unwrap();
    let stderr = texts(&output).1;
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("asking for its methods failed: refused"), "{stderr}");

    let server = Server::answering(from_pod("a"));
    let output = evenkeel(&["--target", &server.url(), "--grpc", "a.B/C", "-d", "1s"]).output().unwrap();
    let stderr = texts(&output).1;
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("could not be asked for its methods"), "{stderr}");
}
