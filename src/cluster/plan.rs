//! The plain values that cross from `up` into the sandbox and back, as JSON.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ProxyMode;
use crate::error::Error;
use crate::process::{self, Invocation};
use crate::progress::Event;

use super::component::ComponentSpec;
use super::node::Node;

/// What the sandbox's first process is told: everything it does follows from this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BootPlan {
    /// The node it becomes.
    pub node: Node,
    /// Every node of the lab, this one included.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// The lab's cgroup, below the root of every hierarchy; see [`crate::config::LabName::cgroup`].
    pub cgroup: String,
    /// Directories below the masked ones that must stay visible (state, toolbox).
    pub keep_visible: Vec<PathBuf>,
    /// The PATH of everything inside.
    pub path: String,
    /// The program `ip`.
    pub ip: PathBuf,
    /// Where the logs go: `COMPONENT.log`, and `COMPONENT.command` beside it.
    pub logs: PathBuf,
    /// Where the supervisor writes what it knows of its components.
    pub status: PathBuf,
    /// The certificate authority, and the client certificate and key, by which health endpoints are asked.
    pub identity: Identity,
    /// What runs, phase by phase.
    pub components: Vec<ComponentSpec>,
    /// How long a component may take to become ready.
    pub deadline: Duration,
    /// How kube-proxy balances.
    #[serde(default)]
    pub proxy_mode: ProxyMode,
    /// Whether the sandbox stays for a look when the boot fails.
    pub keep: bool,
}

/// Files to speak TLS with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The certificate authority (PEM).
    pub authority: PathBuf,
    /// The client's certificate (PEM).
    pub certificate: PathBuf,
    /// The client's key (PEM).
    pub key: PathBuf,
}

/// What the sandbox tells `up`, one JSON object a line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The host's process id of the sandbox's first process.
    Entered(i32),
    /// A step of the boot.
    Progress(Event),
    /// The boot failed.
    Failed {
        /// The component, or "sandbox".
        component: String,
        /// What it did, as the rest of a sentence.
        what: String,
    },
    /// Every component is ready.
    Booted,
}

/// How a component is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Started, not yet ready.
    Starting,
    /// Ready.
    Running,
    /// Dead; starts again in a moment.
    Waiting,
    /// Dead; died too often to be tried again.
    GivenUp,
}

/// One component as the supervisor sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Its name: `kubelet`.
    pub name: String,
    /// How it is doing.
    pub state: State,
    /// Its process id inside the sandbox, while it has one.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// When it entered its state: seconds since the epoch.
    pub since: u64,
    /// When its process was started, while it has one: seconds since the epoch.
    #[serde(default)]
    pub started: Option<u64>,
    /// How it last ended: "exit 1", "signal 9".
    pub last_exit: Option<String>,
    /// When it last ended: seconds since the epoch.
    #[serde(default)]
    pub last_exit_at: Option<u64>,
    /// The end of its log when it last ended.
    #[serde(default)]
    pub last_words: Option<String>,
}

impl ComponentSpec {
    /// The command the supervisor spawns.
    #[must_use]
    pub fn invocation(&self, path: &str) -> Invocation {
        Invocation::new(&self.program, &self.args).env("PATH", path).directory("/")
    }
}

/// How many lines of a log are told of a component that ended.
const LAST_LINES: usize = 8;

impl BootPlan {
    /// Reads a plan that `up` wrote.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| Error::file("read", path, source))?;
        serde_json::from_slice(&text).map_err(|source| Error::file("understand", path, source.into()))
    }

    /// A component's log.
    #[must_use]
    pub fn log(&self, component: &str) -> PathBuf {
        self.logs.join(format!("{component}.log"))
    }

    /// The file that holds a component's exact command.
    #[must_use]
    pub fn command(&self, component: &str) -> PathBuf {
        self.logs.join(format!("{component}.command"))
    }

    /// The end of a component's log.
    #[must_use]
    pub fn last_words(&self, component: &str) -> String {
        process::tail_of(&self.log(component), LAST_LINES)
    }

    /// The error for a component that failed: with the end of its log, and where the log is.
    #[must_use]
    pub fn failure(&self, component: &str, what: String) -> Error {
        let (tail, log) = (self.last_words(component), self.log(component));
        Error::Component { component: component.to_owned(), what, tail, log }
    }
}
