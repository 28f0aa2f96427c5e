//! Starts a command and reads its progress as JSON lines.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::Lab;

/// A running command with the JSON lines of its stderr.
pub(crate) struct Begun {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

/// Starts a command.
pub(crate) fn begun(lab: &Lab, arguments: &[&str]) -> Begun {
    begun_in(lab, arguments, &[])
}

/// Starts a command with additional environment variables.
pub(crate) fn begun_in(lab: &Lab, arguments: &[&str], variables: &[(&str, &str)]) -> Begun {
    let mut command = lab.command(&[&["--json"], arguments].concat());
    command.envs(variables.iter().copied());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    Begun { child, lines }
}

impl Begun {
    /// Its progress events, until it ends.
    pub(crate) fn events(&mut self) -> impl Iterator<Item = Value> {
        self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    }

    /// Reads events until one matches, and returns it.
    pub(crate) fn until(&mut self, matches: impl Fn(&Value) -> bool) -> Value {
        self.events().find(matches).unwrap_or_else(|| panic!("the command ended before the expected event"))
    }

    /// Reads events until two of them have come, in any order, and returns them. Events of different threads have no order.
    pub(crate) fn until_both(
        &mut self,
        first: impl Fn(&Value) -> bool,
        second: impl Fn(&Value) -> bool,
    ) -> (Value, Value) {
        let (mut found_first, mut found_second) = (None, None);
        while found_first.is_none() || found_second.is_none() {
            let event = self.until(|event| first(event) || second(event));
            let found = if first(&event) { &mut found_first } else { &mut found_second };
            *found = Some(event);
        }
        found_first.zip(found_second).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits until the command ends. Returns its exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        self.lines.by_ref().for_each(drop);
        self.child.wait().unwrap().code()
    }
}
