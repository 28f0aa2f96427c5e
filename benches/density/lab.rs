//! A lab of this bench, run with the real program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::cluster::NodeCgroup;
use evenkeel::config::LabName;
use serde_json::Value;

use super::Result;
use super::processes;
use super::sample::Counters;

const NAME: &str = "bench";
/// The time until the work of a change has ended: the kubelet removes the containers of probes, and caches are written.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) struct Lab {
    program: PathBuf,
    name: LabName,
    is_up: bool,
}

impl Lab {
    /// Boots a lab. Returns the seconds that it took, too.
    pub(crate) fn up(program: &Path, arguments: &[String]) -> Result<(Self, f64)> {
        let mut lab = Self { program: program.to_owned(), name: NAME.parse()?, is_up: false };
        let began = Instant::now();
        let arguments: Vec<&str> = ["up"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        lab.run(&arguments)?;
        lab.is_up = true;
        Ok((lab, began.elapsed().as_secs_f64()))
    }

    pub(crate) fn deploy(&self, pods: u32) -> Result<()> {
        self.run(&["deploy", "--replicas", &pods.to_string()]).map(drop)
    }

    /// Returns the seconds until all pods were ready, and until they were programmed.
    pub(crate) fn scale(&self, pods: u32) -> Result<(f64, f64)> {
        let scaled: Value = serde_json::from_slice(&self.run(&["scale", &pods.to_string(), "--json"])?)?;
        let seconds = |name: &str| scaled[name].as_f64().ok_or_else(|| format!("scale printed no {name}"));
        Ok((seconds("ready_seconds")?, seconds("programmed_seconds")?))
    }

    #[allow(clippy::unused_self, reason = "the lab must be up")]
    pub(crate) fn settle(&self) {
        std::thread::sleep(SETTLE);
    }

    pub(crate) fn counters(&self) -> Result<Counters> {
        let groups = NodeCgroup::all(&self.name);
        let cpu_us = groups.iter().map(NodeCgroup::cpu_us).sum::<Option<u64>>();
        let all = Duration::from_micros(cpu_us.ok_or("the processor time of the lab cannot be read")?);
        Ok(Counters { all, programs: processes::used(&format!("/{}", self.name.cgroup()))? })
    }

    /// Returns the seconds that it took.
    pub(crate) fn down(mut self) -> Result<f64> {
        self.is_up = false;
        let began = Instant::now();
        self.run(&["down"])?;
        Ok(began.elapsed().as_secs_f64())
    }

    /// Runs the program. Returns its stdout; its stderr is that of the bench.
    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.program);
        command.args(["--name", NAME]).args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
        match command.output()? {
            output if output.status.success() => Ok(output.stdout),
            output => Err(format!("evenkeel {} ended with {}", arguments.join(" "), output.status).into()),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.is_up
            && let Err(error) = self.run(&["down"])
        {
            eprintln!("error: {error}");
        }
    }
}
