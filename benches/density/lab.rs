//! A lab of this bench, run with the real program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::cluster::NodeCgroup;
use evenkeel::config::LabName;
use serde_json::Value;

use super::Result;
use super::processes;
use super::sample::{Boot, Counters};

const NAME: &str = "bench";
/// The time until the work of a change has ended: the kubelet removes the containers of probes, and caches are written.
const SETTLE: Duration = Duration::from_secs(5);

pub(crate) struct Lab {
    program: PathBuf,
    name: LabName,
    is_up: bool,
}

impl Lab {
    /// Boots a lab.
    pub(crate) fn up(program: &Path, arguments: &[String]) -> Result<(Self, Boot)> {
        let mut lab = Self { program: program.to_owned(), name: NAME.parse()?, is_up: false };
        let began = Instant::now();
        let output = lab.command(&["up", "--json"]).args(arguments).stderr(Stdio::piped()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("evenkeel up ended with {}:\n{said}", output.status).into());
        }
        lab.is_up = true;
        let seconds = began.elapsed().as_secs_f64();
        let boot = Boot { seconds, steps: said.lines().filter_map(done).collect(), programs: lab.counters()?.programs };
        Ok((lab, boot))
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
        match self.command(arguments).stderr(Stdio::inherit()).output()? {
            output if output.status.success() => Ok(output.stdout),
            output => Err(format!("evenkeel {} ended with {}", arguments.join(" "), output.status).into()),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--name", NAME]).args(arguments).stdin(Stdio::null());
        command
    }
}

/// The step that a line of the progress says is done, and its seconds.
fn done(line: &str) -> Option<(String, f64)> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "done").then_some(())?;
    Some((event["step"].as_str()?.to_owned(), event["seconds"].as_f64()?))
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
