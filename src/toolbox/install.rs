//! Installs missing programs: first the distribution's packages, then what is built with Go.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::distribution::{self, Manager};
use super::find::{Found, find, on_path};
use super::module::{self, Module};
use super::program::{Package, Program, ProgramSource};
use super::{build, describe_missing, go};
use crate::io_error::IoError;
use crate::process::Invocation;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::toolbox::{InstallRemedy, Installation, ToolboxError};

/// What will be installed, and how. It is checked before anything is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallPlan {
    packages: Option<Packages>,
    modules: Vec<Module>,
    go: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packages {
    manager: Manager,
    program: PathBuf,
    names: Vec<&'static str>,
}

impl fmt::Display for InstallPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Packages { manager, names, .. }) = &self.packages {
            write!(formatter, "install {} with {}", names.join(", "), manager.name())?;
        }
        if !self.modules.is_empty() {
            let titles: Vec<&str> = self.modules.iter().map(|module| module.title()).collect();
            let and = if self.packages.is_some() { "; " } else { "" };
            write!(formatter, "{and}build {} with Go (a few minutes, once)", titles.join(", "))?;
        }
        Ok(())
    }
}

/// Plans the installation of everything that is missing in `found`.
///
/// # Errors
/// [`ToolboxError::InstallFailed`] when it is impossible on this machine: not root, no Go, unknown distribution.
pub fn plan(found: &[Found]) -> Result<InstallPlan, ToolboxError> {
    let missing: Vec<Program> = found.iter().filter(|found| found.is_missing()).map(|found| found.program).collect();
    let modules = modules(&missing);
    let mut packages = packages(&missing);
    if modules.iter().any(|module| module.needs_c()) {
        packages.extend(build_needs());
    }
    let go = if modules.is_empty() { PathBuf::new() } else { go::find().map_err(|why| no_go(&modules, &why))? };
    let packages = if packages.is_empty() { None } else { Some(packages_here(&packages)?) };
    Ok(InstallPlan { packages, modules, go })
}

/// The modules that build the missing programs, the quickest first.
fn modules(missing: &[Program]) -> Vec<Module> {
    let needed = |module: &Module| missing.iter().any(|program| program.source() == ProgramSource::Built(*module));
    Module::ALL.iter().copied().filter(needed).collect()
}

/// The packages that contain the missing programs.
fn packages(missing: &[Program]) -> Vec<Package> {
    let package = |program: &Program| match program.source() {
        ProgramSource::Packaged(package) => Some(package),
        ProgramSource::Built(_) | ProgramSource::GoPackage(_) => None,
    };
    let mut packages: Vec<Package> = missing.iter().filter_map(package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Missing packages that are needed to build runc.
fn build_needs() -> Vec<Package> {
    let mut needs = Vec::new();
    if !["gcc", "cc", "clang"].iter().any(|compiler| on_path(compiler).is_some()) {
        needs.push(Package::Compiler);
    }
    match on_path("pkg-config") {
        None => needs.extend([Package::PkgConfig, Package::Libseccomp]),
        Some(path) => {
            if Invocation::new(path, ["--exists", "libseccomp"]).run().is_err() {
                needs.push(Package::Libseccomp);
            }
        }
    }
    needs
}

fn no_go(modules: &[Module], why: &str) -> ToolboxError {
    let titles: Vec<&str> = modules.iter().map(|module| module.title()).collect();
    ToolboxError::InstallFailed {
        what: titles.join(", "),
        why: format!("building it needs Go, {why}"),
        remedy: InstallRemedy::Go,
    }
}

/// How packages are installed on this machine.
fn packages_here(packages: &[Package]) -> Result<Packages, ToolboxError> {
    let (manager, program) = Manager::of_this_machine().map_err(|why| {
        let debian = Manager::Apt.packages(packages);
        ToolboxError::InstallFailed {
            what: debian.join(", "),
            why,
            remedy: InstallRemedy::Packages { debian: debian.iter().map(ToString::to_string).collect() },
        }
    })?;
    let names = manager.packages(packages);
    if !Uid::effective().is_root() {
        return Err(ToolboxError::InstallFailed {
            what: names.join(", "),
            why: "only root may install packages".to_owned(),
            remedy: InstallRemedy::AsRoot { command: manager.user_command(&names) },
        });
    }
    Ok(Packages { manager, program, names })
}

/// The way in which one program is installed on this machine.
#[must_use]
pub fn installation(program: Program) -> Installation {
    match (program.source(), Manager::of_this_machine()) {
        (ProgramSource::Built(_), _) => Installation::Toolbox,
        (ProgramSource::GoPackage(package), _) => Installation::Command(format!("go install {package}")),
        (ProgramSource::Packaged(package), Ok((manager, _))) => {
            Installation::Command(manager.user_command(&manager.packages(&[package])))
        }
        (ProgramSource::Packaged(_), Err(_)) => Installation::Package(program),
    }
}

/// Installs the missing programs: packages with the distribution's package manager, the rest built into `cache`.
///
/// # Errors
/// [`ToolboxError::InstallFailed`] with the reason, [`ToolboxError::Interrupted`]. No partial installation is left.
pub async fn install(cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<(), ToolboxError> {
    let found = shutdown::unless(shutdown, find(cache)).await?;
    carry_out(&plan(&found)?, cache, progress, shutdown).await?;
    let missing: Vec<String> =
        find(cache).await.iter().filter(|found| found.is_missing()).map(describe_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ToolboxError::InstallFailed {
        what: missing.join(", "),
        why: "the installation succeeded, but the program still cannot be used".to_owned(),
        remedy: InstallRemedy::SuitableVersion,
    })
}

async fn carry_out(
    plan: &InstallPlan,
    cache: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<(), ToolboxError> {
    let root = module::root(cache);
    fs::create_dir_all(&root).map_err(|source| IoError::file("create", &root, source))?;
    if let Some(packages) = &plan.packages {
        let step = progress.step(format!("install packages with {}", packages.manager.name()));
        distribution::install((packages.manager, &packages.program), &packages.names, &step, shutdown).await?;
        step.done_with(packages.names.join(", "));
    }
    for module in &plan.modules {
        build::build(&module.pins(), &plan.go, cache, progress, shutdown).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_installed() {
        assert_eq!(modules(&[Program::Kubelet, Program::Etcd, Program::Runc]), [Module::Runc, Module::Kubernetes]);
        assert_eq!(packages(&[Program::Kubelet, Program::Runc]), []);
        let missing = [Program::Umount, Program::Ip6tables, Program::Iptables, Program::Mount];
        assert_eq!(packages(&missing), [Package::Iptables, Package::Mount]);
        assert_eq!(modules(&missing), []);
    }

    #[test]
    fn a_plan_lists_what_will_be_installed() {
        let packages =
            Packages { manager: Manager::Apt, program: "apt-get".into(), names: vec!["conntrack", "nftables"] };
        let mut plan = InstallPlan { packages: Some(packages), modules: vec![Module::Runc], go: PathBuf::new() };
        assert_eq!(
            plan.to_string(),
            "install conntrack, nftables with apt-get; build runc with Go (a few minutes, once)"
        );
        plan.packages = None;
        assert_eq!(plan.to_string(), "build runc with Go (a few minutes, once)");
    }

    #[tokio::test]
    async fn a_cache_that_cannot_be_created_is_named_before_anything_is_installed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = file.path().join("cache");
        let plan = InstallPlan { packages: None, modules: vec![Module::Cni], go: "false".into() };
        let error = carry_out(&plan, &cache, &Progress::silent(), &Shutdown::new()).await.unwrap_err();
        assert!(error.to_string().contains(&*cache.to_string_lossy()), "{error}");
    }
}
