//! The values that `up` and the sandbox send each other, as JSON.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cluster::ClusterError;
use crate::config::{LabShape, ProxyMode};
use crate::io_error::IoError;
use crate::process::{self, Invocation};
use crate::progress::ProgressEvent;

use super::component::ComponentSpec;
use super::network_plan::NetworkStep;

/// The plan for a sandbox's first process. Everything that the process does follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BootPlan {
    /// The sandbox's name, which is its hostname, too: that of its node, or that of the router.
    pub name: String,
    /// What is configured in its network namespace.
    pub(super) network: Vec<NetworkStep>,
    /// The lab's cgroup, below the root of every hierarchy; see [`crate::config::LabName::cgroup`].
    pub cgroup: String,
    /// Directories below the masked ones that must stay visible (state, toolbox).
    pub keep_visible: Vec<PathBuf>,
    /// The lab's state directory.
    #[serde(default)]
    pub state: PathBuf,
    /// The PATH of every process inside.
    pub path: String,
    /// The program `ip`.
    pub ip: PathBuf,
    /// The directory of the logs: `COMPONENT.log`, and `COMPONENT.command` next to it.
    pub logs: PathBuf,
    /// The file to which the supervisor writes the status of its components.
    pub status: PathBuf,
    /// The certificate authority, client certificate and key for requests to health endpoints.
    pub identity: TlsIdentity,
    /// The process `up`, which runs in the machine's own namespaces.
    #[serde(default)]
    pub caller: u32,
    /// The URL of the API server.
    #[serde(default)]
    pub api_server: String,
    /// What runs, phase by phase.
    pub components: Vec<ComponentSpec>,
    /// How long a component may take to become ready.
    pub deadline: Duration,
    /// How kube-proxy balances.
    #[serde(default)]
    pub proxy_mode: ProxyMode,
    /// What the lab is made of.
    #[serde(default)]
    pub shape: LabShape,
    /// A file that exists when the node has its images. The kubelet starts only then: a pod that needs an image which is not there
    /// yet would wait for the kubelet's next attempt. `None` if no pod can be waiting for the node.
    #[serde(default)]
    pub images_copied: Option<PathBuf>,
    /// The reference of the pause image.
    #[serde(default)]
    pub pause: String,
    /// Whether the sandbox is kept for inspection when the boot fails.
    pub keep: bool,
}

/// The files of a TLS client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TlsIdentity {
    /// The certificate authority (PEM).
    pub authority: PathBuf,
    /// The client's certificate (PEM).
    pub certificate: PathBuf,
    /// The client's key (PEM).
    pub key: PathBuf,
}

/// A message from the sandbox to `up`: one JSON object on each line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The host's process id of the sandbox's first process.
    Entered(i32),
    /// A step of the boot.
    Progress(ProgressEvent),
    /// The boot failed.
    Failed {
        /// The component, or "sandbox".
        component: String,
        /// What happened, as the rest of a sentence that begins with the component.
        what: String,
    },
    /// Every component is ready.
    Booted,
}

/// The state of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentState {
    /// Started, not yet ready.
    Starting,
    /// Ready.
    Running,
    /// Ended; will be started again.
    Waiting,
    /// Ended too often; will not be started again.
    GivenUp,
}

/// One component as the supervisor sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Its name: `kubelet`.
    pub name: String,
    /// Its state.
    pub state: ComponentState,
    /// Its process id inside the sandbox, while it has one.
    pub pid: Option<i32>,
    /// How many times it was started again.
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

/// Reads a value that `up` wrote as JSON.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, IoError> {
    let text = fs::read(path).map_err(|source| IoError::file("read", path, source))?;
    serde_json::from_slice(&text).map_err(|source| IoError::file("parse", path, source.into()))
}

/// How many of the last lines of a component's log are kept when it ends.
const LAST_LINES: usize = 8;

impl BootPlan {
    /// Reads a plan that `up` wrote.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when it cannot be read.
    pub fn read(path: &Path) -> Result<Self, IoError> {
        read_json(path)
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
    pub fn failure(&self, component: &str, what: String) -> ClusterError {
        let (tail, log) = (self.last_words(component), self.log(component));
        ClusterError::Component { component: component.to_owned(), what, tail, log }
    }
}
