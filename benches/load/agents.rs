//! Compares one generator on this machine with agents in pods of the lab, on the same processors: the same connections, one
//! thread each.

use std::process::{Command, Stdio};

use super::comparison::{Case, Column, Comparison, Sample};
use super::lab::{self, Lab};
use super::reports::of_own;
use super::{Bench, Result, side_by_side};

const TITLE: &str = "One generator through the external IP, and agents in pods through the cluster IP";
const ONE: &str = "one generator";
/// The numbers of agents.
const AGENTS: [u32; 2] = [1, 2];

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let lab = Lab::up(bench, "nftables")?;
    let pods = bench.pods(&[2])[0];
    lab.deploy(pods)?;
    let mut cases = Vec::new();
    let mut flags = Vec::new();
    for (group, kept) in [("connections kept", &[][..]), ("a new one each", &["--no-keepalive"])] {
        cases.push(Case::new(ONE, group));
        flags.push((None, kept));
        for agents in AGENTS {
            cases.push(Case::new(&format!("agents: {agents}"), group));
            flags.push((Some(agents.to_string()), kept));
        }
    }
    side_by_side::measure(bench, &mut cases, async |at| {
        let (agents, kept) = &flags[at];
        run(bench, agents.as_deref(), kept)
    })
    .await?;
    let columns = [Column::Rate, Column::RateTo(ONE), Column::Cpu, Column::CpuTo(ONE), Column::P99];
    Ok(vec![Comparison::new(&format!("{TITLE}, {pods} pods"), &columns, true, cases)])
}

/// Runs the program once. The CPU time is that of the threads that send the load.
fn run(bench: &Bench, agents: Option<&str>, flags: &[&str]) -> Result<Sample> {
    let (connections, duration) = (bench.options.connections.to_string(), bench.options.duration.as_millis());
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["--name", lab::NAME, "test", "--json", "--workers", "1", "-c", &connections]);
    command.args(["-d", &format!("{duration}ms")]).args(agents.map(|agents| ["--agents", agents]).iter().flatten());
    let output = command.args(flags).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("evenkeel test ended with {}", output.status).into());
    }
    of_own(&serde_json::from_slice(&output.stdout)?)
}
