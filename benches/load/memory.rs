//! Memory of `evenkeel test` at growing numbers of requests, against a bare server on loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::comparison::{Case, Column, Comparison, Sample};
use super::lab::eventually;
use super::{Bench, Result, images};

const REQUESTS: [u64; 3] = [100_000, 1_000_000, 5_000_000];

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let server = Command::new(images::bare_binary()?).env("PORT", port.to_string()).env("LOOPBACK", "1").spawn()?;
    let _server = Ended(server);
    eventually("the bare server", async || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())).await?;
    let mut cases = Vec::new();
    for requests in REQUESTS {
        let step = bench.progress.step(format!("{requests} requests on loopback"));
        let mut case = Case::new("evenkeel test", format!("{}k requests", requests / 1_000));
        let (sample, memory) = once(bench, port, requests).await?;
        case.samples.push(sample);
        case.memory = Some(memory);
        step.done();
        cases.push(case);
    }
    let columns = [Column::Rate, Column::P99, Column::Memory];
    Ok(vec![Comparison::new("Peak resident memory of the load generator", &columns, true, cases)])
}

/// Runs the program once. Returns its result and its peak resident memory in bytes.
async fn once(bench: &Bench, port: u16, requests: u64) -> Result<(Sample, u64)> {
    let connections = bench.options.connections.to_string();
    let (target, requests) = (format!("http://127.0.0.1:{port}/"), requests.to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["test", "--json", "--warmup", "0", "-c", &connections]);
    command.args(["--requests", &requests, "--target", &target]);
    let began = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_bytes = 0;
    while child.try_wait()?.is_none() {
        peak_bytes = peak_bytes.max(peak(&fs::read_to_string(&status).unwrap_or_default()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let output = child.wait_with_output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let run = &report["runs"][0];
    let missing = || format!("a number is missing in the report after {:?}: {run}", began.elapsed());
    let sample = Sample {
        requests_per_second: run["requests_per_second"]["average"].as_f64().ok_or_else(missing)?,
        cpu_per_million: 0.0,
        p99_ms: run["latency_us"]["p99"].as_f64().ok_or_else(missing)? / 1000.0,
        failed: run["errors"].as_u64().ok_or_else(missing)?,
    };
    Ok((sample, peak_bytes))
}

/// The peak resident memory (`VmHWM`) of a process, in bytes.
fn peak(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// A server that is killed when the value is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
