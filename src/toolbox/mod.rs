//! The programs a cluster needs: found on PATH or in the cache, verified, installed on request.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::io_error::IoError;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};

mod build;
mod distribution;
mod find;
mod install;
pub mod kernel;
mod memory;
mod module;
mod program;
mod version;

pub use find::{Found, PassedOver, find, find_one};
pub use install::{Plan, install, plan, remedy};
pub use module::{Module, Pins};
pub use program::{Package, Program, Source};

/// The command that brings what is missing.
const REMEDY: &str = "evenkeel up --install-tools";

/// Every program, found and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolbox {
    programs: BTreeMap<Program, PathBuf>,
}

impl Toolbox {
    /// The path of a program. A `Toolbox` is only made when nothing is missing; of a program that a lab does without
    /// and that is not here, it is the bare name.
    #[must_use]
    pub fn path(&self, program: Program) -> &Path {
        self.programs.get(&program).map_or(Path::new(program.name()), PathBuf::as_path)
    }

    /// Every program that is here, by name.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.programs.iter().map(|(program, path)| (program.name(), path.as_path()))
    }
}

/// Asks whether a plan shall be carried out; it may block, for it runs on a thread of its own.
pub type Prompt = Box<dyn FnOnce(&Plan) -> bool + Send>;

/// Whether missing programs may be installed.
pub enum InstallPolicy {
    /// No: what is missing is an error with the command that brings it.
    Never,
    /// If whoever sits at the terminal says yes; without a terminal, no.
    Ask(Prompt),
    /// Yes.
    Always,
}

/// A toolbox of what was found.
///
/// # Errors
/// [`Error::MissingPrograms`] when something is missing that a lab needs.
pub fn resolve(found: Vec<Found>) -> Result<Toolbox, Error> {
    let missing: Vec<String> = found.iter().filter(|found| found.is_missing()).map(complaint).collect();
    if missing.is_empty() {
        let programs = found.into_iter().filter_map(|found| Some((found.program, found.path?))).collect();
        Ok(Toolbox { programs })
    } else {
        Err(Error::MissingPrograms { missing, remedy: REMEDY.to_owned() })
    }
}

fn complaint(found: &Found) -> String {
    match found.passed_over.first() {
        Some(PassedOver { path, why }) => format!("{} ({} {why})", found.program, path.display()),
        None => found.program.to_string(),
    }
}

/// Finds every program, brings what is missing where `policy` allows it, and hands over the toolbox.
///
/// # Errors
/// [`Error::MissingPrograms`] when something is missing and may not be brought, [`Error::InstallFailed`] when it could
/// not be, [`Error::Interrupted`].
pub async fn ensure(
    cache: &Path,
    policy: InstallPolicy,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Toolbox, Error> {
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

/// Runs what blocks, and may never end, on a thread that nobody waits for: a prompt at a terminal, a lock.
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
    fn a_toolbox_lacks_nothing_but_what_a_lab_does_without() {
        let all = |without: Program| {
            Program::ALL.iter().map(|&p| found(p, (p != without).then_some("/usr/bin/program"))).collect::<Vec<_>>()
        };
        let toolbox = resolve(all(Program::Kubectl)).unwrap();
        assert_eq!(toolbox.path(Program::Kubectl), Path::new("kubectl"));
        assert_eq!(toolbox.path(Program::Runc), Path::new("/usr/bin/program"));

        let error = resolve(all(Program::Runc)).unwrap_err();
        assert!(error.to_string().ends_with("not here: runc"), "{error}");
        assert_eq!((error.hint().as_str(), error.exit_code()), ("bring them with: evenkeel up --install-tools", 1));
    }

    #[test]
    fn a_missing_program_of_a_wrong_version_says_so() {
        let mut kubelet = found(Program::Kubelet, None);
        let why = "is version 1.35.0, but 1.36 is needed".to_owned();
        kubelet.passed_over.push(PassedOver { path: "/usr/bin/kubelet".into(), why });
        let error = resolve(vec![kubelet]).unwrap_err().to_string();
        assert!(error.contains("kubelet (/usr/bin/kubelet is version 1.35.0, but 1.36 is needed)"), "{error}");
    }
}
