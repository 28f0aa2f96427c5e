//! Compares one generator on this machine with agents in pods of the lab, which have one thread each: the same connections, on
//! as many threads, on the same processors.

use std::process::{Command, Stdio};

use super::comparison::{Case, Column, Comparison, Sample};
use super::lab::{self, Lab};
use super::reports::of_own;
use super::{Bench, Result, side_by_side};

const TITLE: &str = "One generator through the external IP, and agents in pods through the cluster IP";
const ONE: &str = "one generator";
/// The numbers of threads.
const THREADS: [&str; 2] = ["1", "2"];
const LOADS: [(&str, &[&str]); 2] = [("connections kept", &[]), ("a new one each", &["--no-keepalive"])];

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let lab = Lab::up(bench, "nftables")?;
    let pods = bench.pods(&[2])[0];
    lab.deploy(pods)?;
    let mut cases = Vec::new();
    let mut flags = Vec::new();
    for (load, of_load) in LOADS {
        for threads in THREADS {
            let group = format!("{load}, {}", some(threads, "thread"));
            for (name, of_case) in [
                (ONE.to_owned(), ["--workers", threads].to_vec()),
                (some(threads, "agent"), ["--workers", "1", "--agents", threads].to_vec()),
            ] {
                cases.push(Case::new(&name, &group));
                flags.push([of_load, &of_case].concat());
            }
        }
    }
    side_by_side::measure(bench, &mut cases, async |at| run(bench, &flags[at])).await?;
    let columns = [Column::Rate, Column::RateTo(ONE), Column::Cpu, Column::CpuTo(ONE), Column::P99];
    Ok(vec![Comparison::new(&format!("{TITLE}, {pods} pods"), &columns, true, cases)])
}

/// "1 agent", "2 agents".
fn some(number: &str, what: &str) -> String {
    format!("{number} {what}{}", if number == "1" { "" } else { "s" })
}

/// Runs the program once. The CPU time is that of the threads that send the load.
fn run(bench: &Bench, flags: &[&str]) -> Result<Sample> {
    let (connections, duration) = (bench.options.connections.to_string(), bench.options.duration.as_millis());
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["--name", lab::NAME, "test", "--json", "-c", &connections, "-d", &format!("{duration}ms")]);
    let output = command.args(flags).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("evenkeel test ended with {}: {said}", output.status).into());
    }
    of_own(&serde_json::from_slice(&output.stdout)?)
}
