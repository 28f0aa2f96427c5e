//! Finds a running lab by its cgroups and processes. No state is needed: where the state is follows from what runs.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::node::{Cluster, Node, Router, RunningNode, router_name};
use super::plan::BootPlan;
use super::{Layout, cgroup};
use crate::cluster::ClusterError;
use crate::config::{LabName, Paths, Subnet};

/// Finds the running cluster of this name.
///
/// # Errors
/// [`ClusterError::NoLab`] when none runs; [`ClusterError::StateElsewhere`] when one runs whose state is not where `paths` says;
/// [`ClusterError::HiddenLab`] when one runs whose processes cannot be seen from here.
pub fn find(name: &LabName, paths: &Paths) -> Result<Cluster, ClusterError> {
    let sandboxes = running_sandboxes(name)?;
    let elsewhere = elsewhere(&sandboxes, paths);
    let subnet = subnet_of(name, paths);
    let mut nodes: Vec<RunningNode> = sandboxes.iter().filter_map(|sandbox| sandbox.node(name, subnet)).collect();
    nodes.sort_by_key(|running| running.node.index);
    match nodes.first() {
        Some(first) if first.node.is_control_plane() => {
            if let Some(running) = elsewhere.into_iter().next() {
                return Err(ClusterError::StateElsewhere {
                    name: name.to_string(),
                    running,
                    asked: paths.state.clone(),
                });
            }
            // A node that is being added is none yet, unless the lab itself is being booted.
            if booted(first, paths) {
                nodes.retain(|running| booted(running, paths));
            }
            let router = sandboxes.into_iter().find(|sandbox| sandbox.name == router_name(name));
            let router = router.map(|sandbox| Router { name: sandbox.name, pid: sandbox.pid });
            Ok(Cluster { name: name.clone(), paths: paths.clone(), subnet, nodes, router })
        }
        _ if cgroup::members(&name.cgroup())?.hidden > 0 => Err(ClusterError::HiddenLab { name: name.to_string() }),
        _ => Err(ClusterError::NoLab),
    }
}

/// The addresses of a lab, by the plan of its first node. A plan that cannot be read has those of most labs.
fn subnet_of(name: &LabName, paths: &Paths) -> Subnet {
    let first = Node::new(name, Subnet::default(), 0);
    BootPlan::read(&Layout::new(paths, &first).plan()).map(|plan| plan.shape.subnet).unwrap_or_default()
}

/// The state directories of the lab's running nodes, other than the one that `paths` names.
///
/// # Errors
/// [`ClusterError::Io`] when the cgroups cannot be read.
pub(super) fn states_elsewhere(name: &LabName, paths: &Paths) -> Result<Vec<PathBuf>, ClusterError> {
    let states = elsewhere(&running_sandboxes(name)?, paths);
    let is_of_lab = |state: &PathBuf| state.file_name() == Some(OsStr::new(name.as_str()));
    Ok(states.into_iter().filter(is_of_lab).collect())
}

/// A sandbox that runs: that of a node, or that of the router.
struct RunningSandbox {
    name: String,
    /// The host's process id of its first process.
    pid: i32,
}

impl RunningSandbox {
    /// The node whose sandbox this is, by its name.
    fn node(&self, lab: &LabName, subnet: Subnet) -> Option<RunningNode> {
        Some(RunningNode { node: Node::new(lab, subnet, Node::index_in(&self.name)?), pid: self.pid })
    }
}

/// The sandboxes that run.
fn running_sandboxes(name: &LabName) -> Result<Vec<RunningSandbox>, ClusterError> {
    let groups = cgroup::nodes(&name.cgroup())?.into_iter();
    let first = |processes: Vec<i32>| processes.into_iter().find(|&pid| is_first_of_namespace(pid));
    Ok(groups.filter_map(|(name, processes)| Some(RunningSandbox { name, pid: first(processes)? })).collect())
}

/// The state directories of these sandboxes that differ from the one in `paths`; each directory once.
fn elsewhere(sandboxes: &[RunningSandbox], paths: &Paths) -> Vec<PathBuf> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let states = sandboxes.iter().filter_map(state_of);
    let mut states: Vec<PathBuf> = states.filter(|state| real(state) != real(&paths.state)).collect();
    states.sort();
    states.dedup();
    states
}

/// A sandbox's state directory, by the plan that its first process was given as an argument. `None` where the arguments
/// cannot be read, or where the first process is another program.
fn state_of(running: &RunningSandbox) -> Option<PathBuf> {
    let arguments = fs::read(format!("/proc/{}/cmdline", running.pid)).ok()?;
    let state = state_in(&arguments, &running.name)?;
    // Earlier versions passed on a relative path.
    let directory = fs::read_link(format!("/proc/{}/cwd", running.pid)).unwrap_or_default();
    Some(directory.join(state))
}

/// The state directory in `PROGRAM sandbox init STATE/NODE/plan.json`, each argument ended by a zero byte.
fn state_in(arguments: &[u8], sandbox: &str) -> Option<PathBuf> {
    let arguments: Vec<&[u8]> = arguments.split(|&byte| byte == 0).collect();
    let [_, b"sandbox", b"enter" | b"init", plan, ..] = arguments.as_slice() else { return None };
    let plan = Path::new(OsStr::from_bytes(plan));
    let directory = plan.parent().filter(|directory| directory.file_name() == Some(OsStr::new(sandbox)))?;
    directory.parent().map(Path::to_owned)
}

/// Whether a cluster's boot is complete. It is not if `up` was killed before; then the cluster runs, but cannot be used. If
/// this cannot be read, it counts as complete.
#[must_use]
pub fn is_booted(cluster: &Cluster) -> bool {
    cluster.nodes.iter().all(|running| booted(running, &cluster.paths))
}

fn booted(running: &RunningNode, paths: &Paths) -> bool {
    Layout::new(paths, &running.node).booted().try_exists().unwrap_or(true)
}

/// Whether a process is number 1 of a PID namespace below ours.
fn is_first_of_namespace(pid: i32) -> bool {
    let ids = namespace_ids(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default());
    ids.len() > 1 && ids.last() == Some(&1)
}

/// A process's ids in the text of its `/proc/PID/status`: from our namespace in to its own.
pub(super) fn namespace_ids(status: &str) -> Vec<i32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    ids.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_follows_from_the_first_processs_arguments() {
        let state = |arguments: &[u8]| state_in(arguments, "lab-0");
        let init = b"/var/lib/evenkeel/lab/bin/evenkeel\0sandbox\0init\0/srv/labs/lab/lab-0/plan.json\0";
        assert_eq!(state(init), Some("/srv/labs/lab".into()));
        // The first process is this one until it is replaced by the program.
        let enter = b"evenkeel\0sandbox\0enter\0/srv/labs/lab/lab-0/plan.json\0";
        assert_eq!(state(enter), Some("/srv/labs/lab".into()));
        let others: [&[u8]; 4] = [
            b"",
            b"/usr/bin/sleep\x0060\0",
            b"evenkeel\0sandbox\0external-ip\0/srv/labs/lab/lab-0/conf/kubeconfig\0",
            b"evenkeel\0sandbox\0init\0/srv/labs/other/other-0/plan.json\0",
        ];
        for other in others {
            assert_eq!(state(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
