//! The counters of one pod, or of another group, read from its cgroups: these are current, while the kubelet's summary is up
//! to ten seconds old.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::cgroup;
use super::node::Cluster;

/// The kubelet's group for all pods, below a node's group.
pub(super) const PODS: &str = "kubepods";
/// The kubelet's groups for the classes of quality of service. Guaranteed pods have no group of their class.
const QUALITIES: [&str; 3] = ["burstable", "besteffort", ""];

/// A pod's counters, its pause process included. A counter that cannot be read is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodCgroup {
    /// Processor time in microseconds since the pod started.
    pub cpu_us: Option<u64>,
    /// The number of periods in which its CPU limit throttled it, since it started.
    pub throttled_periods: Option<u64>,
    /// The working set in bytes, as the kubelet counts it: memory in use, less inactive file pages.
    pub memory_bytes: Option<u64>,
}

impl PodCgroup {
    /// The counters of the pod with this uid, on any node.
    #[must_use]
    pub fn read(cluster: &Cluster, uid: &str) -> Self {
        Self::of(&pod_groups(cluster, uid))
    }

    /// Reads the pod's groups, one in each hierarchy, of version 1 or 2.
    pub(super) fn of(groups: &[PathBuf]) -> Self {
        let first = |of: fn(&Path) -> Option<u64>| groups.iter().find_map(|group| of(group));
        Self { cpu_us: first(cpu_us), throttled_periods: first(throttled_periods), memory_bytes: first(memory_bytes) }
    }
}

/// The groups of the pod with this uid, one in each hierarchy.
pub(super) fn pod_groups(cluster: &Cluster, uid: &str) -> Vec<PathBuf> {
    let roots = cgroup::roots(&cluster.name.cgroup()).unwrap_or_default();
    let nodes = || cluster.nodes.iter().map(|running| running.node.name.as_str());
    let groups = roots.iter().flat_map(|root| nodes().map(move |node| root.join(node).join(PODS)));
    groups.filter_map(|pods| group_of(&pods, uid)).collect()
}

fn group_of(pods: &Path, uid: &str) -> Option<PathBuf> {
    QUALITIES.iter().map(|quality| pods.join(quality).join(format!("pod{uid}"))).find(|group| group.is_dir())
}

fn cpu_us(group: &Path) -> Option<u64> {
    field(group, "cpu.stat", "usage_usec").or_else(|| Some(number(group, "cpuacct.usage")? / 1000))
}

fn throttled_periods(group: &Path) -> Option<u64> {
    field(group, "cpu.stat", "nr_throttled")
}

fn memory_bytes(group: &Path) -> Option<u64> {
    let (used, inactive) = match number(group, "memory.current") {
        Some(used) => (used, field(group, "memory.stat", "inactive_file")?),
        None => (number(group, "memory.usage_in_bytes")?, field(group, "memory.stat", "total_inactive_file")?),
    };
    Some(used.saturating_sub(inactive))
}

fn number(group: &Path, file: &str) -> Option<u64> {
    u64::from_str(fs::read_to_string(group.join(file)).ok()?.trim()).ok()
}

/// The value of `name` in a file that has a name and a value on each line.
fn field(group: &Path, file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(directory: &tempfile::TempDir, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let group = directory.path().join(name);
        fs::create_dir(&group).unwrap();
        for (file, text) in files {
            fs::write(group.join(file), text).unwrap();
        }
        group
    }

    #[test]
    fn both_versions_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let unified = group(
            &directory,
            "unified",
            &[
                ("cpu.stat", "usage_usec 1500\nuser_usec 1000\nnr_periods 9\nnr_throttled 4\n"),
                ("memory.current", "5000\n"),
                ("memory.stat", "anon 4000\ninactive_file 1000\n"),
            ],
        );
        let whole = PodCgroup { cpu_us: Some(1500), throttled_periods: Some(4), memory_bytes: Some(4000) };
        assert_eq!(PodCgroup::of(&[unified]), whole);

        // A hybrid has an empty unified hierarchy beside those of version 1.
        let empty = group(&directory, "empty", &[("cgroup.procs", "")]);
        let files = [("cpuacct.usage", "1500999\n"), ("cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 1\n")];
        let cpu = group(&directory, "cpu", &files);
        let files = [
            ("memory.usage_in_bytes", "5000\n"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file_x 7\ntotal_inactive_file 1000\n"),
        ];
        let memory = group(&directory, "memory", &files);
        assert_eq!(PodCgroup::of(&[empty, cpu, memory]), whole);
        assert_eq!(PodCgroup::of(&[]), PodCgroup::default());
    }

    #[test]
    fn a_pod_is_found_whatever_its_quality_of_service() {
        let pods = tempfile::tempdir().unwrap();
        for group in ["burstable/poda", "podb"] {
            fs::create_dir_all(pods.path().join(group)).unwrap();
        }
        assert_eq!(group_of(pods.path(), "a"), Some(pods.path().join("burstable/poda")));
        assert_eq!(group_of(pods.path(), "b"), Some(pods.path().join("podb")));
        assert_eq!(group_of(pods.path(), "c"), None);
    }
}
