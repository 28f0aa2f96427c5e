//! Memory of `evenkeel test` on loopback: at growing numbers of requests against a bare server, and with many streams against
//! Evenkeel's.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::comparison::{Case, Column, Comparison};
use super::generator::ECHO;
use super::lab::eventually;
use super::reports::of_own;
use super::workload::Certificate;
use super::{Bench, Result, images};

const REQUESTS: [u64; 3] = [100_000, 1_000_000, 5_000_000];
/// Connections, streams of each, and requests in all. The difference of both is what the streams take.
const STREAMS: [(u32, u32, u64); 2] = [(1, 1, 10_000), (100, 100, 1_000_000)];
/// The flags of each protocol with streams.
const PROTOCOLS: [(&str, &str, &[&str]); 3] = [
    ("HTTP/2", "http", &["--http2"]),
    ("HTTP/2 over TLS", "https", &["--http2", "--insecure"]),
    ("gRPC", "http", &["--grpc", ECHO, "--message", r#"{"text":"world"}"#]),
];

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let columns = [Column::Rate, Column::P99, Column::Memory];
    let growing = growing(bench).await?;
    let streams = streams(bench).await?;
    let (growing_title, streams_title) =
        ("Peak resident memory of the load generator", "Peak resident memory of the load generator, one worker");
    Ok(vec![
        Comparison::new(growing_title, &columns, true, growing),
        Comparison::new(streams_title, &columns, true, streams),
    ])
}

/// At growing numbers of requests.
async fn growing(bench: &Bench) -> Result<Vec<Case>> {
    let server = Server::start(Command::new(images::bare_binary()?).env("LOOPBACK", "1")).await?;
    let connections = bench.options.connections.to_string();
    let mut cases = Vec::new();
    for requests in REQUESTS {
        let step = bench.progress.step(format!("{requests} requests on loopback"));
        let case = Case::new("evenkeel test", format!("{}k requests", requests / 1_000));
        let arguments = ["-c", &connections, "--requests", &requests.to_string(), "--target", &server.url("http")];
        cases.push(once(case, &arguments).await?);
        step.done();
    }
    Ok(cases)
}

/// With many streams, over each protocol that has them.
async fn streams(bench: &Bench) -> Result<Vec<Case>> {
    let directory = tempfile::tempdir()?;
    let own = Certificate::new()?;
    let [certificate, key] = ["tls.crt", "tls.key"].map(|file| directory.path().join(file));
    fs::write(&certificate, own.certificate)?;
    fs::write(&key, own.key)?;
    let mut command = Command::new(images::server_binary()?);
    command.env("HOST", "127.0.0.1").env("TLS_CERT_FILE", certificate).env("TLS_KEY_FILE", key);
    let server = Server::start(command.stdout(Stdio::null())).await?;
    let mut cases = Vec::new();
    for (connections, streams, requests) in STREAMS {
        for (name, scheme, flags) in PROTOCOLS {
            let step = bench.progress.step(format!("{name}: {connections} × {streams} streams on loopback"));
            let case = Case::new(name, format!("{connections} × {streams} streams"));
            let numbers = [connections.to_string(), streams.to_string(), requests.to_string()];
            let url = server.url(scheme);
            let arguments = ["-c", &numbers[0], "--streams", &numbers[1], "--requests", &numbers[2], "--target", &url];
            cases.push(once(case, &[&arguments, flags].concat()).await?);
            step.done();
        }
    }
    Ok(cases)
}

/// Runs the program once with these arguments. Returns the case with its result and its peak resident memory.
async fn once(mut case: Case, arguments: &[&str]) -> Result<Case> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["test", "--json", "--warmup", "0", "--workers", "1"]).args(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    while child.try_wait()?.is_none() {
        peak = peak.max(kilobytes(&fs::read_to_string(&status).unwrap_or_default(), "VmHWM:"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let output = child.wait_with_output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    case.samples.push(of_own(&report)?);
    case.memory = peak.map(|kilobytes| kilobytes * 1024);
    Ok(case)
}

/// The value of a line in `/proc/PID/status`, in kilobytes: `VmHWM:` is the peak of the resident memory, `VmRSS:` its size now.
pub(crate) fn kilobytes(status: &str, line: &str) -> Option<u64> {
    let value = status.lines().find_map(|found| found.strip_prefix(line))?;
    value.trim().split(' ').next()?.parse().ok()
}

/// A server on loopback, which is killed when the value is dropped.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts a server on a free port, which it reads from the environment, and waits until it accepts connections.
    async fn start(command: &mut Command) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let server = Self { process: command.env("PORT", port.to_string()).spawn()?, port };
        eventually("the server", async || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())).await?;
        Ok(server)
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
