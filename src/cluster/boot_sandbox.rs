//! A sandbox while it boots, as `up` sees it: its first process, and the pipes to that process.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::process::{self, Invocation};
use crate::progress::Progress;

use super::cgroup;
use super::layout::Layout;
use super::plan::{BootPlan, Message};

/// A sandbox while it boots.
pub(super) struct BootingSandbox {
    /// The host's process id of its first process.
    pub(super) pid: i32,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl BootingSandbox {
    /// Makes the cgroup and the namespaces of the sandbox whose plan is in `layout`; the first process then waits for
    /// [`BootingSandbox::go`]. This must not be interrupted half-way: a process must be in the lab's cgroup before it can be
    /// undone.
    pub(super) async fn start(layout: &Layout, plan: &BootPlan) -> Result<Self, ClusterError> {
        cgroup::create(&plan.cgroup, &plan.name)?;
        let log = layout.log("sandbox");
        let log_file = fs::File::create(&log).map_err(|source| IoError::file("create", &log, source))?;
        let file = layout.plan();
        let enter = Invocation::new(layout.evenkeel(), ["sandbox".as_ref(), "enter".as_ref(), file.as_os_str()]);
        // This process ends with `up`. The sandbox's first process, which it starts, does not.
        let mut command = tokio::process::Command::from(enter.command());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().map_err(|source| enter.not_started(&source))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(enter.not_started(&io::Error::other("it has no pipes")).into());
        };
        let mut sandbox = Self { pid: 0, stdin, lines: BufReader::new(stdout).lines(), log };
        let status = child.wait().await.map_err(|source| enter.not_started(&source))?;
        if !status.success() {
            return Err(sandbox.failed("sandbox", format!("could not be made ({})", process::outcome(status))));
        }
        match sandbox.receive().await? {
            Some(Message::Entered(pid)) => Ok(Self { pid, ..sandbox }),
            _ => Err(sandbox.failed("sandbox", "did not report its process id".into())),
        }
    }

    /// Lets the first process configure the network and start the components. Its links must exist.
    pub(super) async fn go(&mut self) -> Result<(), IoError> {
        self.stdin.write_all(b"go\n").await.map_err(|source| IoError::new("start the sandbox", source))
    }

    /// Passes on the progress of the boot until the boot is complete.
    pub(super) async fn follow(&mut self, plan: &BootPlan, progress: &Progress) -> Result<(), ClusterError> {
        loop {
            match self.receive().await? {
                Some(Message::Progress(event)) => progress.emit(event),
                Some(Message::Booted) => return Ok(()),
                Some(Message::Failed { component, what }) => return Err(plan.failure(&component, what)),
                Some(Message::Entered(_)) => {}
                None => return Err(self.failed("sandbox", "ended before the cluster was up".into())),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<Message>, IoError> {
        let line = self.lines.next_line().await.map_err(|source| IoError::new("read from the sandbox", source))?;
        line.map(|line| {
            serde_json::from_str(&line).map_err(|source| IoError::new("parse a message of the sandbox", source.into()))
        })
        .transpose()
    }

    fn failed(&self, component: &str, what: String) -> ClusterError {
        let tail = process::tail_of(&self.log, 8);
        ClusterError::Component { component: component.to_owned(), what, tail, log: self.log.clone() }
    }
}
