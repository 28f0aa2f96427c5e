//! The lab's cgroups: one group with a fixed name in every mounted hierarchy (v1, hybrid or v2). By that name everything of
//! a lab can be found, killed and removed.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sys::signal::Signal;

use super::pid_fd::PidFd;
use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::platform;

/// The group below a node's group that holds the sandbox's first process and the components.
pub(super) const INIT: &str = "init";

/// The shares that the kubelet gives the group of all pods, for each processor.
const PODS_SHARES: u64 = 1024;

/// The most shares that a group can have.
const MOST_SHARES: u64 = 262_144;

/// The prefix of the name of a group that records a controller; see [`remember_switched_off`].
const WAS_OFF: &str = "was-off-";

/// A mounted cgroup hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hierarchy {
    root: PathBuf,
    unified: bool,
}

/// Finds the hierarchies in the text of `/proc/self/mountinfo`: each once, even if it is mounted several times.
fn hierarchies_in(mountinfo: &str) -> Vec<Hierarchy> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (left, right): (Vec<&str>, Vec<&str>) = (left.split(' ').collect(), right.split(' ').collect());
        let (Some(root), Some(kind), Some(device)) = (left.get(4), right.first(), left.get(2)) else { continue };
        if matches!(*kind, "cgroup" | "cgroup2") && seen.insert((*device).to_owned()) {
            found.push(Hierarchy { root: PathBuf::from(root), unified: *kind == "cgroup2" });
        }
    }
    found
}

fn hierarchies() -> Result<Vec<Hierarchy>, ClusterError> {
    let text = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|source| IoError::new("read /proc/self/mountinfo", source))?;
    Ok(hierarchies_in(&text))
}

/// Creates `LAB/NODE/init` in every hierarchy, and enables the controllers that the kubelet needs in each group above it.
pub(super) fn create(lab: &str, node: &str) -> Result<(), ClusterError> {
    for Hierarchy { root, unified } in hierarchies()? {
        let mut parent = root.clone();
        for part in [lab, node, INIT] {
            let group = parent.join(part);
            make(&group)?;
            inherit_cpuset(&parent, &group)?;
            if unified && parent == root {
                remember_switched_off(&root, &group)?;
            }
            if unified {
                enable_controllers(&parent);
            }
            parent = group;
        }
        put_first(&parent, unified);
    }
    Ok(())
}

/// When all processors are busy, the components get four times the processor time of all pods together. In a real cluster
/// they have their own processors. Here a load that uses all processors would delay the rules, and late rules lose requests.
fn put_first(init: &Path, unified: bool) {
    let shares = (4 * PODS_SHARES * u64::from(platform::processors())).min(MOST_SHARES);
    let (file, value) = if unified { ("cpu.weight", weight(shares)) } else { ("cpu.shares", shares) };
    // Not every hierarchy has this file. If none has it, the lab is slower under load.
    let _ = fs::write(init.join(file), value.to_string());
}

/// The kubelet's own translation of version 1's shares, from 2 to 262144, into version 2's weights, from 1 to 10000.
fn weight(shares: u64) -> u64 {
    1 + shares.saturating_sub(2) * 9999 / (MOST_SHARES - 2)
}

fn make(group: &Path) -> Result<(), IoError> {
    match fs::create_dir(group) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(IoError::file("create the cgroup", group, source))
        }
        _ => Ok(()),
    }
}

/// Records the controllers that the root of version 2 has, but has not enabled for its children, before they are enabled:
/// an empty group for each below the lab's own group. With it, [`remove`] can disable them again without any state.
fn remember_switched_off(root: &Path, lab: &Path) -> Result<(), IoError> {
    let list = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let (available, on) = (list("cgroup.controllers"), list("cgroup.subtree_control"));
    let off = available.split_whitespace().filter(|name| !on.split_whitespace().any(|other| other == *name));
    off.into_iter().try_for_each(|name| make(&lab.join(format!("{WAS_OFF}{name}"))))
}

/// Best effort, one by one: the kernel probe and the kubelet report a controller that is missing.
fn enable_controllers(group: &Path) {
    let Ok(available) = fs::read_to_string(group.join("cgroup.controllers")) else { return };
    for controller in available.split_whitespace() {
        let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// A new cpuset of v1 has no CPU and no memory node, and accepts no process until it has both.
fn inherit_cpuset(parent: &Path, group: &Path) -> Result<(), ClusterError> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (parent.join(file), group.join(file));
        let is_v1 = group.join("tasks").exists();
        if !is_v1 || !to.exists() {
            continue;
        }
        let value = fs::read_to_string(&from).map_err(|source| IoError::file("read", &from, source))?;
        fs::write(&to, value.trim()).map_err(|source| IoError::file("write", &to, source))?;
    }
    Ok(())
}

/// Moves the calling process into `LAB/NODE/init` of every hierarchy.
pub(super) fn enter(lab: &str, node: &str) -> Result<(), ClusterError> {
    for hierarchy in hierarchies()? {
        let procs = hierarchy.root.join(lab).join(node).join(INIT).join("cgroup.procs");
        fs::write(&procs, "0").map_err(|source| IoError::file("enter the cgroup", &procs, source))?;
    }
    Ok(())
}

/// The lab's nodes, each with the processes of its `init` group.
pub(super) fn nodes(lab: &str) -> Result<Vec<(String, Vec<i32>)>, ClusterError> {
    let mut found: Vec<(String, Vec<i32>)> = Vec::new();
    for hierarchy in hierarchies()? {
        for group in subgroups(&hierarchy.root.join(lab)) {
            let processes = processes_of(&group.join(INIT));
            let name = group.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !processes.is_empty() && found.iter().all(|(known, _)| *known != name) {
                found.push((name, processes));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The processes of a lab, in any hierarchy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    /// The ids of those that this process can see.
    pub(super) visible: BTreeSet<i32>,
    /// How many more there are, outside this process's PID namespace.
    pub(super) hidden: usize,
}

impl Members {
    /// How many processes these are.
    pub(super) fn count(&self) -> usize {
        self.visible.len() + self.hidden
    }

    /// Adds the processes that one hierarchy lists. Hierarchies list the same processes, or some of them.
    fn merge(&mut self, listed: &[i32]) {
        let (visible, hidden): (Vec<i32>, Vec<i32>) = listed.iter().copied().partition(|&pid| pid > 0);
        self.visible.extend(visible);
        self.hidden = self.hidden.max(hidden.len());
    }
}

/// Every process of the lab. With hundreds of pods there are thousands of groups, so the hierarchies are read at the same time.
pub(super) fn members(lab: &str) -> Result<Members, ClusterError> {
    let listed = in_parallel(roots(lab)?, |root| {
        let mut listed = Vec::new();
        walk(&root, &mut |group| listed.extend(listed_in(group)));
        listed
    });
    let mut members = Members::default();
    for listed in &listed {
        members.merge(listed);
    }
    Ok(members)
}

/// Does something with each of these groups, in a thread for each, and returns all results.
pub(super) fn in_parallel<T: Send>(roots: Vec<PathBuf>, act: impl Fn(PathBuf) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> = roots.into_iter().map(|root| scope.spawn(move || act(root))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Whether the lab has a process, in any hierarchy. This is faster than [`members`] as long as there are some.
pub(super) fn has_members(lab: &str) -> Result<bool, ClusterError> {
    Ok(has_members_in_version_2(lab)?
        || hierarchies()?.iter().any(|hierarchy| !hierarchy.unified && has_processes(&hierarchy.root.join(lab))))
}

/// Whether the lab has a process in its group of version 2. The kernel knows this without a look at each group.
pub(super) fn has_members_in_version_2(lab: &str) -> Result<bool, ClusterError> {
    Ok(hierarchies()?.iter().any(|hierarchy| hierarchy.unified && is_populated(&hierarchy.root.join(lab))))
}

/// Whether a group of version 2, or one below it, has a process.
fn is_populated(group: &Path) -> bool {
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

fn has_processes(group: &Path) -> bool {
    !listed_in(group).is_empty() || subgroups(group).iter().any(|child| has_processes(child))
}

/// Kills every process of the lab with SIGKILL. Does not wait for their end, and continues after an error.
pub(super) fn kill(lab: &str) -> Result<(), ClusterError> {
    for hierarchy in hierarchies()? {
        kill_below(&hierarchy.root.join(lab));
    }
    Ok(())
}

/// The same with one write, where the kernel can do it. It reaches the processes of the lab's group of version 2, which usually
/// are all of them. Returns whether there was such a group.
pub(super) fn kill_at_once(lab: &str) -> Result<bool, ClusterError> {
    let unified = hierarchies()?.into_iter().find(|hierarchy| hierarchy.unified);
    Ok(unified.is_some_and(|unified| write_kill(&unified.root.join(lab)).is_ok()))
}

/// Version 2 has this file since Linux 5.14. It also reaches processes outside this process's PID namespace.
fn write_kill(group: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(group.join("cgroup.kill"))?.write_all(b"1")
}

/// Kills every process of a group and of the groups below it.
fn kill_below(root: &Path) {
    if write_kill(root).is_err() {
        walk(root, &mut |group| drop(signal(group, Signal::SIGKILL)));
    }
}

/// Sends a signal to every process of one group that can be seen from here. A process that has ended is not an error.
pub(super) fn signal(group: &Path, signal: Signal) -> io::Result<()> {
    signal_all(&open(group), signal)
}

/// Sends a signal to every process of a group and of the groups below it that can be seen from here.
pub(super) fn signal_below(root: &Path, signal: Signal) -> io::Result<()> {
    let mut sent = Ok(());
    walk(root, &mut |group| {
        if sent.is_ok() {
            sent = self::signal(group, signal);
        }
    });
    sent
}

/// The processes of a group and of the groups below it that can be seen from here.
pub(super) fn processes_below(root: &Path) -> Vec<i32> {
    let mut processes = Vec::new();
    walk(root, &mut |group| processes.extend(processes_of(group)));
    processes
}

/// The end of one process may end others of the group: all of a PID namespace end with its first process.
fn signal_all(processes: &[PidFd], signal: Signal) -> io::Result<()> {
    processes.iter().try_for_each(|process| process.signal_unless_ended(signal))
}

/// Handles of the processes of one group.
fn open(group: &Path) -> Vec<PidFd> {
    let opened = processes_of(group).into_iter().map(|pid| (pid, PidFd::open(pid)));
    let opened: Vec<(i32, Option<PidFd>)> = opened.collect();
    // The handles are open now. If another process had taken over an id before, the group does not list it any more.
    let still = processes_of(group);
    opened.into_iter().filter(|(pid, _)| still.contains(pid)).filter_map(|(_, process)| process).collect()
}

/// The lab's root group in each hierarchy that has one.
pub(super) fn roots(lab: &str) -> Result<Vec<PathBuf>, ClusterError> {
    Ok(hierarchies()?.into_iter().map(|hierarchy| hierarchy.root.join(lab)).filter(|root| root.exists()).collect())
}

/// Removes a lab's root group and all groups below it, which must hold no process, and disables the controllers that were
/// enabled for the lab.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    let (memories, groups): (Vec<_>, Vec<_>) =
        subgroups(root).into_iter().partition(|group| remembered(group).is_some());
    // The records are removed last, because this is called again while a group is still busy.
    groups.iter().try_for_each(|group| remove_all(group))?;
    let switched_on: Vec<&str> = memories.iter().filter_map(|group| remembered(group)).collect();
    memories.iter().try_for_each(|group| remove_one(group))?;
    remove_one(root)?;
    for controller in switched_on {
        // The kernel refuses this while another group uses the controller; then it stays enabled.
        let control = root.with_file_name("cgroup.subtree_control");
        let _ = fs::write(control, format!("-{controller}"));
    }
    Ok(())
}

fn remove_all(group: &Path) -> io::Result<()> {
    subgroups(group).iter().try_for_each(|child| remove_all(child))?;
    remove_one(group)
}

fn remove_one(group: &Path) -> io::Result<()> {
    match fs::remove_dir(group) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(source),
        _ => Ok(()),
    }
}

/// The controller that a group records.
fn remembered(group: &Path) -> Option<&str> {
    group.file_name()?.to_str()?.strip_prefix(WAS_OFF)
}

/// Visits a group's descendants, then the group.
fn walk(group: &Path, visit: &mut impl FnMut(&Path)) {
    for child in subgroups(group) {
        walk(&child, visit);
    }
    if group.exists() {
        visit(group);
    }
}

/// The groups directly below a group.
pub(super) fn subgroups(group: &Path) -> Vec<PathBuf> {
    // Each group below has a link to it, so that most groups need not be listed, which have dozens of files.
    if fs::metadata(group).is_ok_and(|group| group.nlink() == 2) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(group) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// The processes of one group that can be seen from here.
fn processes_of(group: &Path) -> Vec<i32> {
    listed_in(group).into_iter().filter(|&pid| pid > 0).collect()
}

/// The processes of one group as the kernel lists them. Version 2 lists each process outside the reader's PID namespace
/// as 0; version 1 leaves it out.
fn listed_in(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_what_it_will_switch_on() {
        let root = tempfile::tempdir().unwrap();
        let lab = root.path().join("evenkeel-lab");
        fs::create_dir(&lab).unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpuset cpu memory pids\n").unwrap();
        fs::write(root.path().join("cgroup.subtree_control"), "memory pids\n").unwrap();
        remember_switched_off(root.path(), &lab).unwrap();
        let mut groups = subgroups(&lab);
        groups.sort();
        assert_eq!(groups.iter().filter_map(|group| remembered(group)).collect::<Vec<_>>(), ["cpu", "cpuset"]);
        remove(&lab).unwrap();
        assert!(!lab.exists());
        let written = fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap();
        assert!(["-cpu", "-cpuset"].contains(&written.as_str()), "{written}");
    }

    /// `kill(0)` would signal the caller's own process group.
    #[test]
    fn processes_of_another_namespace_are_counted_and_never_signalled_by_id() {
        let group = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let listed = format!("0\n0\n{}\n", child.id());
        fs::write(group.path().join("cgroup.procs"), listed).unwrap();
        assert_eq!(processes_of(group.path()), [child.id().cast_signed()]);
        let mut members = Members::default();
        members.merge(&listed_in(group.path()));
        members.merge(&processes_of(group.path()));
        assert_eq!((members.visible.len(), members.hidden, members.count()), (1, 2, 3));
        kill_below(group.path());
        assert!(!child.wait().unwrap().success());
        assert!(!group.path().join("cgroup.kill").exists());
    }

    #[test]
    fn processes_that_end_before_their_signal_are_no_error() {
        let group = tempfile::tempdir().unwrap();
        let mut children = [0, 1].map(|_| std::process::Command::new("sleep").arg("60").spawn().unwrap());
        let listed = format!("{}\n{}\n", children[0].id(), children[1].id());
        fs::write(group.path().join("cgroup.procs"), listed).unwrap();
        let processes = open(group.path());
        assert_eq!(processes.len(), 2);
        children[0].kill().unwrap();
        children[0].wait().unwrap();
        signal_all(&processes, Signal::SIGKILL).unwrap();
        assert!(!children[1].wait().unwrap().success());
        // The list still names both.
        signal(group.path(), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn weights_are_the_kubelets() {
        assert_eq!([2, 1024, 2048, MOST_SHARES].map(weight), [1, 39, 79, 10_000]);
    }

    #[test]
    fn finds_each_hierarchy_once() {
        let mountinfo = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw
33 99 0:27 / /elsewhere/cpu rw,relatime - cgroup cgroup rw,cpu";
        let found = hierarchies_in(mountinfo);
        assert_eq!(
            found,
            [
                Hierarchy { root: "/sys/fs/cgroup/cpu".into(), unified: false },
                Hierarchy { root: "/sys/fs/cgroup/unified".into(), unified: true },
            ]
        );
    }
}
