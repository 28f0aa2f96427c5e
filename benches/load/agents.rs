//! Compares one generator on this machine with agents in pods of the lab, which have one thread each: the same connections, on
//! as many threads, on the same processors.

use std::process::{Command, Stdio};

use evenkeel_measure::some;

use super::comparison::{Case, Column, Comparison, Sample};
use super::lab::{self, Lab};
use super::reports::of_own;
use super::{Bench, Result, side_by_side};

const TITLE: &str = "One generator through the external IP, and agents in pods through the cluster IP";
const ONE: &str = "one generator";
/// The numbers of threads.
const THREADS: [u32; 2] = [1, 2];
const LOADS: [(&str, Option<&str>); 2] = [("connections kept", None), ("a new one each", Some("--no-keepalive"))];

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let lab = Lab::up(bench, "nftables")?;
    let pods = bench.pods(&[2])[0];
    lab.deploy(pods)?;
    let mut cases = Vec::new();
    let mut flags = Vec::new();
    for (load, flag) in LOADS {
        for threads in THREADS {
            let group = format!("{load}, {}", some(threads, "thread"));
            let generator = (ONE.to_owned(), vec![format!("--workers={threads}")]);
            let agents = (some(threads, "agent"), vec!["--workers=1".to_owned(), format!("--agents={threads}")]);
            for (name, of_case) in [generator, agents] {
                cases.push(Case::new(&name, &group));
                flags.push(of_case.into_iter().chain(flag.map(str::to_owned)).collect::<Vec<_>>());
            }
        }
    }
    side_by_side::measure(bench, &mut cases, async |at| run(bench, &flags[at])).await?;
    let columns = [Column::Rate, Column::RateTo(ONE), Column::Cpu, Column::CpuTo(ONE), Column::P99];
    Ok(vec![Comparison::new(&format!("{TITLE}, {pods} pods"), &columns, true, cases)])
}

/// Runs the program once. The CPU time is that of the threads that send the load.
fn run(bench: &Bench, flags: &[String]) -> Result<Sample> {
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
