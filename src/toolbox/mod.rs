//! The programs that a cluster needs: found on PATH or in the cache, checked, installed on
//! request, and taken over from another machine.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::io_error::IoError;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};

mod archive;
mod build;
mod distribution;
mod error;
mod find;
mod go;
mod install;
pub mod kernel;
mod module;
mod module_directory;
mod program;
mod release;
mod remembered_versions;
mod version;

pub use archive::{ArchivedFile, ArchivedModule, ImportedToolbox, ToolboxManifest, export, import};
pub use error::{InstallRemedy, Installation, ToolboxError};

pub use find::{Found, PassedOver, find, find_one, is_executable};
pub use install::{InstallPlan, install, installation, plan};
pub use module::{Module, Pins};
pub use program::{Package, Program, ProgramSource};

use release::Release;

/// All programs, found and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolbox {
    programs: BTreeMap<Program, PathBuf>,
    pinned_kubernetes: bool,
}

/// The minor version of Kubernetes that is pinned: 1.36.
#[must_use]
pub fn pinned_kubernetes() -> String {
    Release::pinned().to_string()
}

impl Toolbox {
    /// The path of a program. A `Toolbox` exists only when no required program is missing; the path of a missing optional
    /// program is its bare name.
    #[must_use]
    pub fn path(&self, program: Program) -> &Path {
        self.programs.get(&program).map_or(Path::new(program.name()), PathBuf::as_path)
    }

    /// Whether the components are of the pinned minor version of Kubernetes, and not of the next one.
    #[must_use]
    pub fn has_pinned_kubernetes(&self) -> bool {
        self.pinned_kubernetes
    }

    /// All programs that were found, by name.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.programs.iter().map(|(program, path)| (program.name(), path.as_path()))
    }
}

/// Asks whether a plan may be carried out. It may block, because it runs on its own thread.
pub type Prompt = Box<dyn FnOnce(&InstallPlan) -> bool + Send>;

/// Whether missing programs may be installed.
pub enum InstallPolicy {
    /// No: a missing program is an error that names the command to install it.
    Never,
    /// Only if the user agrees at a terminal; without a terminal, no.
    Ask(Prompt),
    /// Yes.
    Always,
}

/// Makes a toolbox of the programs that were found.
///
/// # Errors
/// [`ToolboxError::MissingPrograms`] when a required program is missing.
pub fn resolve(found: Vec<Found>) -> Result<Toolbox, ToolboxError> {
    let missing: Vec<String> = found.iter().filter(|found| found.is_missing()).map(describe_missing).collect();
    if missing.is_empty() {
        let components = found.iter().filter(|found| found.program.is_kubernetes_component());
        let pinned_kubernetes = components
            .filter_map(|found| found.version.as_deref().and_then(version::release))
            .all(|release| release == Release::pinned());
        let programs = found.into_iter().filter_map(|found| Some((found.program, found.path?))).collect();
        Ok(Toolbox { programs, pinned_kubernetes })
    } else {
        Err(ToolboxError::MissingPrograms { missing, installation: Installation::Toolbox })
    }
}

fn describe_missing(found: &Found) -> String {
    match found.passed_over.first() {
        Some(PassedOver { path, why }) => format!("{} ({} {why})", found.program, path.display()),
        None => found.program.to_string(),
    }
}

/// Finds all programs, installs the missing ones if `policy` allows it, and returns the toolbox.
///
/// # Errors
/// [`ToolboxError::MissingPrograms`] when a required program is missing and may not be installed, [`ToolboxError::InstallFailed`] when
/// the installation fails, [`ToolboxError::Interrupted`].
pub async fn ensure(
    cache: &Path,
    policy: InstallPolicy,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Toolbox, ToolboxError> {
    let found = shutdown::unless(shutdown, find(cache)).await?;
    if !found.iter().any(Found::is_missing) {
        return resolve(found);
    }
    let agreed = match policy {
        InstallPolicy::Never => false,
        InstallPolicy::Always => true,
        InstallPolicy::Ask(_) if !std::io::stdin().is_terminal() => false,
        InstallPolicy::Ask(prompt) => {
            let plan = plan(&found)?;
            shutdown::unless(shutdown, on_thread(move || prompt(&plan))).await??
        }
    };
    if !agreed {
        return resolve(found);
    }
    install(cache, progress, shutdown).await?;
    resolve(find(cache).await)
}

/// Runs blocking work that may never end, such as a prompt or a lock, on a thread that is not joined.
async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, IoError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("evenkeel-wait".to_owned())
        .spawn(move || sender.send(work()))
        .map_err(|source| IoError::new("start a thread", source))?;
    receiver.await.map_err(|_| IoError::new("wait for a thread", std::io::Error::other("it ended early")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(program: Program, path: Option<&str>) -> Found {
        Found { program, path: path.map(PathBuf::from), version: None, problem: None, passed_over: Vec::new() }
    }

    #[test]
    fn only_optional_programs_may_be_missing() {
        let all = |without: Program| {
            Program::ALL.iter().map(|&p| found(p, (p != without).then_some("/usr/bin/program"))).collect::<Vec<_>>()
        };
        let toolbox = resolve(all(Program::Kubectl)).unwrap();
        assert_eq!(toolbox.path(Program::Kubectl), Path::new("kubectl"));
        assert_eq!(toolbox.path(Program::Runc), Path::new("/usr/bin/program"));

        let error = resolve(all(Program::Runc)).unwrap_err();
        assert!(error.to_string().ends_with("not installed: runc"), "{error}");
        assert!(matches!(error, ToolboxError::MissingPrograms { installation: Installation::Toolbox, .. }));
    }

    #[test]
    fn a_program_of_a_wrong_version_is_named() {
        let mut kubelet = found(Program::Kubelet, None);
        let why = "is version 1.35.0, but 1.36 is needed".to_owned();
        kubelet.passed_over.push(PassedOver { path: "/usr/bin/kubelet".into(), why });
        let error = resolve(vec![kubelet]).unwrap_err().to_string();
        assert!(error.contains("kubelet (/usr/bin/kubelet is version 1.35.0, but 1.36 is needed)"), "{error}");
    }
}
