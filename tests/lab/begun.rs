//! A verb under way, watched by the JSON lines it writes.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::Lab;

/// A verb under way, and what it says as JSON lines.
pub(crate) struct Begun {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

/// Begins a verb.
pub(crate) fn begun(lab: &Lab, arguments: &[&str]) -> Begun {
    begun_in(lab, arguments, &[])
}

/// Begins a verb with other variables.
pub(crate) fn begun_in(lab: &Lab, arguments: &[&str], variables: &[(&str, &str)]) -> Begun {
    let mut command = lab.command(&[&["--json"], arguments].concat());
    command.envs(variables.iter().copied());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    Begun { child, lines }
}

impl Begun {
    /// What it says, until its end.
    pub(crate) fn events(&mut self) -> impl Iterator<Item = Value> {
        self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    }

    /// Reads until an event that `is_it`.
    pub(crate) fn until(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        self.events().find(is_it).unwrap_or_else(|| panic!("it ended before"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for its end; returns its exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap().code()
    }
}
