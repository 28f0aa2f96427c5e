//! What the results of many agents cost: bytes for each agent and second, and the time and the memory to read and merge them.
//!
//! A real run against a server on the loopback address, whose responses come from as many pods as asked, gives one result. It
//! is lengthened to the time that is asked, and read and merged once for each agent, as `evenkeel test --agents` does.
//!
//! ```sh
//! cargo bench -p evenkeel-agent --bench merge                                              # 1, 10, 100 and 1,000 agents
//! cargo bench -p evenkeel-agent --bench merge -- 1000
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

mod agent;
mod server;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use evenkeel_agent::FromAgent;
use evenkeel_load::RunResult;

use agent::Recorded;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Pods that answer.
const PODS: u32 = 100;
/// How long the run is, in seconds: an hour.
const SECONDS: u32 = 3600;
/// Numbers of agents, unless others are given.
const AGENTS: [u32; 4] = [1, 10, 100, 1000];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    // Cargo passes --bench to every bench.
    let numbers = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let asked: Vec<u32> = numbers.map(|number| number.parse()).collect::<std::result::Result<_, _>>()?;
    let recorded = Recorded::of_run(PODS, SECONDS)?;
    println!("Reading and merging the results of a run of {SECONDS} s with {PODS} pods\n");
    println!("agents       s   ms each   MB more at the peak");
    for &agents in if asked.is_empty() { AGENTS.as_slice() } else { &asked } {
        let before = peak_memory()?;
        let began = Instant::now();
        let merged = merge(&recorded, agents)?;
        let took = began.elapsed();
        if merged.answered != recorded.answered * u64::from(agents) {
            return Err(format!(
                "{} responses after merging, expected {agents} × {}",
                merged.answered, recorded.answered
            )
            .into());
        }
        let grown = peak_memory()?.saturating_sub(before);
        let (took, each) = (took.as_secs_f64(), took.as_secs_f64() * 1000.0 / f64::from(agents));
        println!("{agents:>6}{took:>8.2}{each:>10.2}{:>22.0}", megabytes(grown));
    }
    #[allow(clippy::cast_precision_loss, reason = "one digit is shown")]
    let (result, live) = (recorded.line.len() as f64, recorded.live as f64);
    println!("\nresult: {:.1} kB; live figures: {live:.0} bytes a second", result / 1e3);
    println!("for each agent and second: {:.0} bytes", live + result / f64::from(SECONDS));
    println!("live figures: {:.3}% of the processor time of the load", recorded.live_share * 100.0);
    Ok(())
}

/// Reads and merges the result of each agent.
fn merge(recorded: &Recorded, agents: u32) -> Result<RunResult> {
    let mut merged = None;
    for _ in 0..agents {
        let FromAgent::Result { result, .. } = serde_json::from_slice(&recorded.line)? else {
            return Err("the line is no result".into());
        };
        merged = RunResult::merge_parts(&recorded.plan, merged.into_iter().chain([*result]));
    }
    merged.ok_or_else(|| "no agent".into())
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel does not say it")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

#[allow(clippy::cast_precision_loss, reason = "whole megabytes are shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
