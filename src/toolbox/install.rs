//! Brings what is missing: the distribution's packages first, then what Go builds.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::distribution::{self, Manager};
use super::find::{Found, find, on_path};
use super::module::{self, Module};
use super::program::{Package, Program, Source};
use super::{build, complaint};
use crate::error::Error;
use crate::io_error::IoError;
use crate::process::Invocation;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};

/// What will be brought, and by what: made, and found possible, before anything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
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

impl fmt::Display for Plan {
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

/// What it takes to bring all that is missing in `found`.
///
/// # Errors
/// [`Error::InstallFailed`] when it cannot be done here: no root, no Go, an unknown distribution.
pub fn plan(found: &[Found]) -> Result<Plan, Error> {
    let missing: Vec<Program> = found.iter().filter(|found| found.is_missing()).map(|found| found.program).collect();
    let modules = modules(&missing);
    let mut packages = packages(&missing);
    if modules.iter().any(|module| module.needs_c()) {
        packages.extend(build_needs());
    }
    let go = match build::go() {
        Some(go) => go,
        None if modules.is_empty() => PathBuf::new(),
        None => return Err(no_go(&modules)),
    };
    let packages = if packages.is_empty() { None } else { Some(packages_here(&packages)?) };
    Ok(Plan { packages, modules, go })
}

/// The modules that build what is missing, quickest first.
fn modules(missing: &[Program]) -> Vec<Module> {
    let needed = |module: &Module| missing.iter().any(|program| program.source() == Source::Built(*module));
    Module::ALL.iter().copied().filter(needed).collect()
}

/// The packages that hold what is missing.
fn packages(missing: &[Program]) -> Vec<Package> {
    let package = |program: &Program| match program.source() {
        Source::Packaged(package) => Some(package),
        Source::Built(_) => None,
    };
    let mut packages: Vec<Package> = missing.iter().filter_map(package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// What runc is built with and is not here.
fn build_needs() -> Vec<Package> {
    let mut needs = Vec::new();
    if !["gcc", "cc", "clang"].iter().any(|compiler| on_path(compiler, &[]).is_some()) {
        needs.push(Package::Compiler);
    }
    match on_path("pkg-config", &[]) {
        None => needs.extend([Package::PkgConfig, Package::Libseccomp]),
        Some(path) => {
            if Invocation::new(path, ["--exists", "libseccomp"]).run().is_err() {
                needs.push(Package::Libseccomp);
            }
        }
    }
    needs
}

fn no_go(modules: &[Module]) -> Error {
    let titles: Vec<&str> = modules.iter().map(|module| module.title()).collect();
    Error::InstallFailed {
        what: titles.join(", "),
        why: "that takes Go, and Go is not on this machine".to_owned(),
        hint: "install Go 1.21 or newer (https://go.dev/dl), then try again".to_owned(),
    }
}

/// How this machine brings packages, if it can.
fn packages_here(packages: &[Package]) -> Result<Packages, Error> {
    let (manager, program) = Manager::of_this_machine().map_err(|why| {
        let names = Manager::Apt.packages(packages).join(", ");
        Error::InstallFailed {
            what: names.clone(),
            why,
            hint: format!("bring them by hand, then try again; Debian's names for them: {names}"),
        }
    })?;
    let names = manager.packages(packages);
    if !Uid::effective().is_root() {
        return Err(Error::InstallFailed {
            what: names.join(", "),
            why: "only root may install packages".to_owned(),
            hint: format!("run this again as root, or: sudo {}", manager.by_hand(&names)),
        });
    }
    Ok(Packages { manager, program, names })
}

/// The command that brings one program to this machine.
#[must_use]
pub fn remedy(program: Program) -> String {
    match (program.source(), Manager::of_this_machine()) {
        (Source::Built(_), _) => super::REMEDY.to_owned(),
        (Source::Packaged(package), Ok((manager, _))) => manager.by_hand(&manager.packages(&[package])),
        (Source::Packaged(_), Err(_)) => format!("this distribution's package of {program}"),
    }
}

/// Brings what is missing on this machine: packages by the distribution's manager, the rest built into `cache`.
///
/// # Errors
/// [`Error::InstallFailed`] with the reason, [`Error::Interrupted`]; nothing is left half-installed.
pub async fn install(cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<(), Error> {
    let found = shutdown::unless(shutdown, find(cache)).await?;
    carry_out(&plan(&found)?, cache, progress, shutdown).await?;
    let missing: Vec<String> = find(cache).await.iter().filter(|found| found.is_missing()).map(complaint).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::InstallFailed {
        what: missing.join(", "),
        why: "everything was installed, and still this will not do".to_owned(),
        hint: "bring a right version by hand, put it on PATH, and try again".to_owned(),
    })
}

async fn carry_out(plan: &Plan, cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<(), Error> {
    let root = module::root(cache);
    fs::create_dir_all(&root).map_err(|source| IoError::file("make", &root, source))?;
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
    fn only_what_is_missing_is_brought() {
        assert_eq!(modules(&[Program::Kubelet, Program::Etcd, Program::Runc]), [Module::Runc, Module::Kubernetes]);
        assert_eq!(packages(&[Program::Kubelet, Program::Runc]), []);
        let missing = [Program::Umount, Program::Ip6tables, Program::Iptables, Program::Mount];
        assert_eq!(packages(&missing), [Package::Iptables, Package::Mount]);
        assert_eq!(modules(&missing), []);
    }

    #[test]
    fn a_plan_says_what_it_will_do() {
        let packages =
            Packages { manager: Manager::Apt, program: "apt-get".into(), names: vec!["conntrack", "nftables"] };
        let mut plan = Plan { packages: Some(packages), modules: vec![Module::Runc], go: PathBuf::new() };
        assert_eq!(
            plan.to_string(),
            "install conntrack, nftables with apt-get; build runc with Go (a few minutes, once)"
        );
        plan.packages = None;
        assert_eq!(plan.to_string(), "build runc with Go (a few minutes, once)");
    }

    #[tokio::test]
    async fn a_cache_that_cannot_be_made_is_named_before_anything_is_brought() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = file.path().join("cache");
        let plan = Plan { packages: None, modules: vec![Module::Cni], go: "/bin/false".into() };
        let error = carry_out(&plan, &cache, &Progress::silent(), &Shutdown::new()).await.unwrap_err();
        assert!(error.to_string().contains(&*cache.to_string_lossy()), "{error}");
    }
}
