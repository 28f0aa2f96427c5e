//! Checks whether the kernel supports what a cluster needs, in temporary namespaces that leave nothing behind.

mod inotify;
mod pod_room;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use serde::Serialize;

use super::program::Program;
use super::{Found, Toolbox};
use crate::toolbox::ToolboxError;

pub use pod_room::{LimitKind, PodLimit, PodRoom};

/// The mount point of the cgroup hierarchies.
const CGROUPS: &str = "/sys/fs/cgroup";
/// The controllers that the kubelet and runc use; the last three exist only in version 1.
const CONTROLLERS: [&str; 7] = ["cpu", "cpuset", "memory", "pids", "cpuacct", "devices", "freezer"];

/// The checks, in this order.
const NEEDS: [&str; 8] = ["namespaces", "overlayfs", "veth links", "bridges", "nftables", CGROUP, INOTIFY, PODS];
const CGROUP: &str = "cgroups";
const INOTIFY: &str = "inotify";
const PODS: &str = "pods";

/// A check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// The feature: "overlayfs".
    pub what: &'static str,
    /// Its result.
    #[serde(flatten)]
    pub result: ProbeResult,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum ProbeResult {
    /// It works, with details where there are any.
    Works(String),
    /// It does not work, with the reason.
    Fails(String),
    /// It could not be checked, with the reason.
    Untried(String),
    /// It was not checked, because only root can.
    NeedsRoot,
}

impl From<Result<String, String>> for ProbeResult {
    fn from(result: Result<String, String>) -> Self {
        result.map_or_else(Self::Fails, Self::Works)
    }
}

/// The programs that create links and rules in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    ip: Option<PathBuf>,
    nft: Option<PathBuf>,
}

impl From<&[Found]> for Tools {
    fn from(found: &[Found]) -> Self {
        let path = |program| found.iter().find(|found| found.program == program).and_then(|found| found.path.clone());
        Self { ip: path(Program::Ip), nft: path(Program::Nft) }
    }
}

impl From<&Toolbox> for Tools {
    fn from(toolbox: &Toolbox) -> Self {
        let path = |program| Some(toolbox.path(program).to_owned());
        Self { ip: path(Program::Ip), nft: path(Program::Nft) }
    }
}

/// Checks everything that a cluster needs of the kernel; without root, only what every user can check.
#[must_use]
pub fn probe(tools: &Tools) -> Vec<Probe> {
    if !Uid::effective().is_root() {
        return NEEDS.map(|what| Probe { what, result: without_root(what) }).to_vec();
    }
    let [spaces, overlays, veths, bridging, nftables, controllers, watches, pods] = NEEDS;
    let [namespaces, overlay, veth, bridge, rules] = trial::tried(tools);
    vec![
        Probe { what: spaces, result: namespaces },
        Probe { what: overlays, result: overlay },
        Probe { what: veths, result: veth },
        Probe { what: bridging, result: bridge },
        Probe { what: nftables, result: rules },
        Probe { what: controllers, result: cgroups(Path::new(CGROUPS)).into() },
        Probe { what: watches, result: inotify::tried() },
        Probe { what: pods, result: pod_room::tried() },
    ]
}

/// Checks everything that a cluster needs of the kernel; a failed check is an error.
///
/// # Errors
/// As [`check`].
pub fn require(toolbox: &Toolbox) -> Result<(), ToolboxError> {
    check(&probe(&Tools::from(toolbox)))
}

/// An error if a check failed.
///
/// # Errors
/// [`ToolboxError::MissingKernel`] with the features and the kernel's errors; [`ToolboxError::FewInotifyInstances`] when only inotify
/// instances are missing, because a setting helps there.
pub fn check(probes: &[Probe]) -> Result<(), ToolboxError> {
    let failed = |probe: &Probe| match &probe.result {
        ProbeResult::Fails(why) => Some((probe.what, format!("{}: {why}", probe.what))),
        ProbeResult::Works(_) | ProbeResult::Untried(_) | ProbeResult::NeedsRoot => None,
    };
    let failed: Vec<(&str, String)> = probes.iter().filter_map(failed).collect();
    match failed[..] {
        [] => Ok(()),
        [(INOTIFY, _)] => inotify::require(),
        _ => Err(ToolboxError::MissingKernel { missing: failed.into_iter().map(|(_, why)| why).collect() }),
    }
}

/// The value of a kernel setting that has this name for `sysctl`.
fn setting(name: &str) -> Option<String> {
    let value = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    Some(value.trim().to_owned())
}

/// The bytes of a line in the text of `/proc/meminfo`, such as `MemAvailable`.
#[must_use]
pub fn bytes_in_meminfo(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()?.saturating_mul(1024))
}

/// Every user can see that a controller is missing. Whether cgroups can be created, only root can check.
fn without_root(what: &str) -> ProbeResult {
    match (what, controllers(Path::new(CGROUPS))) {
        (CGROUP, Err(missing)) => ProbeResult::Fails(missing),
        _ => ProbeResult::NeedsRoot,
    }
}

/// The version of the cgroup hierarchies and the controllers that a cluster uses there.
fn controllers(root: &Path) -> Result<(u8, &'static [&'static str]), String> {
    let unified = fs::read_to_string(root.join("cgroup.controllers"));
    let (version, wanted) = if unified.is_ok() { (2, &CONTROLLERS[..4]) } else { (1, &CONTROLLERS[..]) };
    let has = |controller: &str| match &unified {
        Ok(there) => there.split_whitespace().any(|name| name == controller),
        Err(_) => root.join(controller).join("cgroup.procs").exists(),
    };
    let missing: Vec<&str> = wanted.iter().copied().filter(|controller| !has(controller)).collect();
    if missing.is_empty() {
        Ok((version, wanted))
    } else {
        Err(format!("version {version} without {}", missing.join(", ")))
    }
}

/// Creates a cgroup in each hierarchy that a cluster uses, and removes it again.
fn cgroups(root: &Path) -> Result<String, String> {
    let (version, wanted) = controllers(root)?;
    let hierarchies: Vec<PathBuf> = match version {
        2 => vec![root.to_owned()],
        _ => wanted.iter().map(|controller| root.join(controller)).collect(),
    };
    for hierarchy in hierarchies {
        let cgroup = hierarchy.join(format!("evenkeel.probe.{}", std::process::id()));
        fs::create_dir(&cgroup)
            .and_then(|()| fs::remove_dir(&cgroup))
            .map_err(|source| format!("no cgroup could be created in {} ({source})", hierarchy.display()))?;
    }
    Ok(format!("version {version} with {}", wanted.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_checks_are_one_error() {
        let works = Probe { what: "bridges", result: ProbeResult::Works(String::new()) };
        let untried = Probe { what: "nftables", result: ProbeResult::Untried("nft is missing".to_owned()) };
        let fails = Probe { what: "overlayfs", result: ProbeResult::Fails("no such device".to_owned()) };
        let needs_root = Probe { what: "cgroups", result: ProbeResult::NeedsRoot };
        assert!(check(&[works.clone(), untried.clone(), needs_root]).is_ok());
        let error = check(&[works, untried, fails]).unwrap_err();
        assert!(error.to_string().ends_with(": overlayfs: no such device"), "{error}");
    }

    #[test]
    fn cgroups_of_both_versions_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let hierarchies = directory.path();
        assert!(cgroups(hierarchies).unwrap_err().starts_with("version 1 without cpu,"));
        for controller in CONTROLLERS {
            fs::create_dir(hierarchies.join(controller)).unwrap();
            fs::write(hierarchies.join(controller).join("cgroup.procs"), "").unwrap();
        }
        assert!(cgroups(hierarchies).unwrap().starts_with("version 1 with"));
        fs::write(hierarchies.join("cgroup.controllers"), "cpuset cpu io pids\n").unwrap();
        assert_eq!(cgroups(hierarchies), Err("version 2 without memory".to_owned()));
        fs::write(hierarchies.join("cgroup.controllers"), "cpuset cpu io memory pids\n").unwrap();
        assert_eq!(cgroups(hierarchies), Ok("version 2 with cpu, cpuset, memory, pids".to_owned()));
        let left = fs::read_dir(hierarchies).unwrap().filter_map(Result::ok);
        assert!(!left.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("probe")));
    }

    #[test]
    fn probes_leave_nothing_behind() {
        let mounts = || fs::read_to_string("/proc/self/mounts").unwrap();
        let before = mounts();
        let tools = Tools { ip: Some("ip".into()), nft: Some("nft".into()) };
        let probes = probe(&tools);
        let tried: Vec<&str> = probes.iter().map(|probe| probe.what).collect();
        assert_eq!(tried, NEEDS);

        let links = fs::read_to_string("/proc/net/dev").unwrap();
        assert!(!["ek0:", "ek1:", "ekbr:"].iter().any(|link| links.contains(link)), "{links}");
        assert_eq!(mounts(), before);
    }
}
