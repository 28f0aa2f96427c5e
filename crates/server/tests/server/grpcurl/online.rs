//! gRPC by a client of others: grpcurl, which finds the methods by reflection. It is built from the Go module proxy.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

use crate::go_program::go_program;
use crate::running::Running;

static GRPCURL: LazyLock<PathBuf> =
    LazyLock::new(|| go_program("github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3", "-s -w"));

fn grpcurl(server: &Running, flags: &[&str], what: &[&str]) -> Output {
    let mut command = Command::new(&*GRPCURL);
    command.args(["-plaintext", "-max-time", "30"]).args(flags).arg(server.address.to_string()).args(what);
    command.output().unwrap()
}

/// What grpcurl prints when it succeeds, without spaces.
#[track_caller]
fn printed(server: &Running, flags: &[&str], what: &[&str]) -> String {
    let output = grpcurl(server, flags, what);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().split_whitespace().collect()
}

#[test]
fn the_server_describes_itself() {
    let server = Running::start(&[]);
    assert_eq!(
        printed(&server, &[], &["list"]),
        "evenkeel.v1.Echogrpc.health.v1.Healthgrpc.reflection.v1.ServerReflectiongrpc.reflection.v1alpha.ServerReflection"
    );
    for symbol in [
        "evenkeel.v1.Echo",
        "evenkeel.v1.Echo.EchoStream",
        "evenkeel.v1.EchoStreamRequest",
        "grpc.health.v1.Health",
        "grpc.health.v1.HealthCheckResponse.ServingStatus",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflectionRequest",
    ] {
        assert!(printed(&server, &[], &["describe", symbol]).starts_with(symbol), "{symbol}");
    }
    let unknown = grpcurl(&server, &[], &["describe", "evenkeel.v1.Ech"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("Symbol not found"), "{unknown:?}");
}

#[test]
fn messages_are_sent_back() {
    let server = Running::start(&[]);
    let call = |message: &str, method: &str| printed(&server, &["-d", message], &[method]);
    let message = r#"{"text":"hello","data":"AAE="}"#;
    assert_eq!(call(message, "evenkeel.v1.Echo/Echo"), message);
    let wish = r#"{"text":"hello","count":3,"interval_ms":1}"#;
    assert_eq!(call(wish, "evenkeel.v1.Echo/EchoStream"), r#"{"text":"hello"}"#.repeat(3));
    let messages = r#"{"text":"a"}{"text":"b"}"#;
    assert_eq!(call(messages, "evenkeel.v1.Echo/EchoEach"), messages);
    assert_eq!(call("{}", "grpc.health.v1.Health/Check"), r#"{"status":"SERVING"}"#);
    let unknown = grpcurl(&server, &["-d", r#"{"service":"x"}"#], &["grpc.health.v1.Health/Check"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("Code: NotFound"), "{unknown:?}");
}
