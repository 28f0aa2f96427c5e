//! The validated arguments that every verb has, and access to the lab.

use std::io::{BufRead, Write};

use kube::Client;

use super::{Global, root};
use crate::cli::error::Error;
use crate::cluster::{self, Access, Cluster, ClusterError, LabLock};
use crate::config::{LabName, Paths};
use crate::progress::Progress;
use crate::shutdown::Shutdown;
use crate::toolbox::{self, InstallPolicy, Toolbox};
use evenkeel_measure::some;

/// The lab that a verb works with, and how it reports.
pub struct CommandContext {
    /// The lab's name.
    pub name: LabName,
    /// Its directories.
    pub paths: Paths,
    /// Whether the result is printed as JSON.
    pub json: bool,
    /// Where progress is reported.
    pub progress: Progress,
    /// Cancelled by Ctrl-C.
    pub shutdown: Shutdown,
}

/// A lab that is up, and a client for it.
pub struct RunningLab {
    /// The cluster.
    pub cluster: Cluster,
    /// Its administrator's client.
    pub client: Client,
}

impl RunningLab {
    /// Access to it, with the programs that read the kernels of its nodes, if there are any.
    #[must_use]
    pub fn access(&self, toolbox: Option<&Toolbox>) -> Access {
        Access::to_lab(self.cluster.clone(), self.client.clone(), toolbox.cloned())
    }
}

impl CommandContext {
    /// Validates the global arguments.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a directory that is not UTF-8, [`Error::StateIsFile`].
    pub fn new(global: &Global, progress: Progress, shutdown: Shutdown) -> Result<Self, Error> {
        let name = global.name.clone();
        let paths = Paths::new(&name, global.state_dir.as_deref(), global.cache_dir.as_deref());
        let directories = [("--state-dir", &global.state_dir), ("--cache-dir", &global.cache_dir)];
        for (what, directory) in directories {
            if let Some(directory) = directory.as_deref().filter(|directory| directory.to_str().is_none()) {
                // The components' configuration is JSON and TOML, which can only contain UTF-8.
                let why = "the path must be valid UTF-8, because configuration files contain it".to_owned();
                return Err(Error::BadValue { what, given: directory.display().to_string(), why });
            }
        }
        paths.refuse_file()?;
        Ok(Self { name, paths, json: global.json, progress, shutdown })
    }

    /// The lab that is up.
    ///
    /// # Errors
    /// [`ClusterError::NoLab`], [`ClusterError::NotBooted`], [`ClusterError::Kubeconfig`].
    pub async fn lab(&self) -> Result<RunningLab, Error> {
        let cluster = self.cluster()?;
        if !cluster::is_booted(&cluster) {
            return Err(ClusterError::NotBooted.into());
        }
        let client = cluster::client(&cluster).await?;
        Ok(RunningLab { cluster, client })
    }

    /// Returns if the user is root; otherwise runs this command again with sudo ([`root::require`]). Until here, a verb
    /// changes nothing.
    ///
    /// # Errors
    /// [`Error::NeedsRoot`].
    pub fn require_root(&self, verb: &'static str) -> Result<(), Error> {
        root::require(verb, &self.progress)
    }

    /// Takes the lock of the lab, which only one verb at a time can hold, and waits for it.
    ///
    /// # Errors
    /// [`Error::NeedsRoot`], [`Error::Interrupted`], [`Error::Io`].
    pub async fn lock(&self, verb: &'static str) -> Result<LabLock, Error> {
        self.require_root(verb)?;
        Ok(LabLock::wait(&self.name, verb, &self.progress, &self.shutdown).await?)
    }

    /// Takes the lock, and then finds the lab, which may have been booted or removed during the wait.
    ///
    /// # Errors
    /// As [`CommandContext::lab`] and [`CommandContext::lock`].
    pub async fn lab_to_change(&self, verb: &'static str) -> Result<(RunningLab, LabLock), Error> {
        self.cluster()?;
        let lock = self.lock(verb).await?;
        let lab = self.lab().await?;
        let restored = cluster::end_all_slow_containers(&lab.cluster)?;
        if restored > 0 {
            let pods = some(restored as u64, "pod");
            self.progress.note(format!("{pods} had been left slow by an interrupted test, and run as before again"));
        }
        for node in cluster::end_all_node_faults(&lab.cluster)? {
            self.progress.note(format!("{node} had been left faulty by an interrupted test, and runs as before again"));
        }
        for node in crate::workload::event::undo_cordons(&lab.cluster, &lab.client).await? {
            self.progress.note(format!("{node} had been left cordoned by an interrupted test, and is uncordoned"));
        }
        Ok((lab, lock))
    }

    /// The running cluster.
    ///
    /// # Errors
    /// [`ClusterError::NoLab`].
    pub fn cluster(&self) -> Result<Cluster, ClusterError> {
        cluster::find(&self.name, &self.paths)
    }

    /// The toolbox. If programs are missing, they are installed with `install`; otherwise the user is asked, unless
    /// with JSON.
    ///
    /// # Errors
    /// [`ToolboxError::MissingPrograms`](crate::toolbox::ToolboxError::MissingPrograms),
    /// [`ToolboxError::InstallFailed`](crate::toolbox::ToolboxError::InstallFailed).
    pub async fn toolbox(&self, install: bool) -> Result<Toolbox, Error> {
        let policy = match (install, self.json) {
            (true, _) => InstallPolicy::Always,
            (false, true) => InstallPolicy::Never,
            (false, false) => InstallPolicy::Ask(Box::new(agreed)),
        };
        Ok(toolbox::ensure(&self.paths.cache, policy, &self.progress, &self.shutdown).await?)
    }

    /// The program's name with the flag that selects this lab.
    #[must_use]
    pub fn evenkeel(&self) -> String {
        program(self.name.as_str())
    }
}

/// The program's name with the flag that selects the lab `name`.
#[must_use]
pub fn program(name: &str) -> String {
    if name == "lab" { "evenkeel".into() } else { format!("evenkeel --name {name}") }
}

/// Shows the plan and asks.
fn agreed(plan: &toolbox::InstallPlan) -> bool {
    ask(&plan.to_string())
}

/// Shows `what` would happen and asks; every answer except yes means no.
pub(super) fn ask(what: &str) -> bool {
    let mut stderr = std::io::stderr().lock();
    let asked = write!(stderr, "{what}\nContinue? [y/N] ").and_then(|()| stderr.flush());
    let mut answer = String::new();
    asked.is_ok()
        && std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}
