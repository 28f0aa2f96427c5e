//! The counters of each node, read from its cgroups: one group has its components, another one all of its pods.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::cgroup;
use super::pod_cgroup::{PODS, PodCgroup};
use crate::config::LabName;

/// A node's counters. A counter that cannot be read is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeCgroup {
    /// The node's name.
    pub name: String,
    /// The counters of its components, those of the control plane included where it runs.
    pub components: PodCgroup,
    /// The counters of all of its pods. They also have what pods used that are gone.
    pub pods: PodCgroup,
}

impl NodeCgroup {
    /// The counters of all nodes of a lab. Those of a node that was killed are still there: when it is started again, they go on
    /// from where they were.
    #[must_use]
    pub fn all(lab: &LabName) -> Vec<Self> {
        Self::below(&cgroup::roots(&lab.cgroup()).unwrap_or_default(), lab)
    }

    /// Processor time of components and pods in microseconds, since the node was started for the first time.
    #[must_use]
    pub fn cpu_us(&self) -> Option<u64> {
        Some(self.components.cpu_us? + self.pods.cpu_us?)
    }

    /// The counters of the nodes below a lab's groups, one in each hierarchy.
    fn below(roots: &[PathBuf], lab: &LabName) -> Vec<Self> {
        let groups = roots.iter().flat_map(|root| cgroup::subgroups(root));
        // The router's group and the records of controllers are there, too.
        let index =
            |group: PathBuf| group.file_name()?.to_str()?.strip_prefix(lab.as_str())?.strip_prefix('-')?.parse().ok();
        let indices: BTreeSet<u8> = groups.filter_map(index).collect();
        indices.into_iter().map(|index| Self::of(roots, &format!("{lab}-{index}"))).collect()
    }

    /// The counters of a node below the lab's groups, one in each hierarchy.
    fn of(roots: &[PathBuf], node: &str) -> Self {
        let of = |part: &str| {
            let groups =
                roots.iter().map(|root| root.join(node).join(part)).filter(|group: &PathBuf| Path::is_dir(group));
            PodCgroup::of(&groups.collect::<Vec<_>>())
        };
        Self { name: node.to_owned(), components: of(cgroup::INIT), pods: of(PODS) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn all_nodes_are_found_in_order_also_those_that_do_not_run() {
        let root = tempfile::tempdir().unwrap();
        for group in ["lab-10/init", "lab-2/init", "lab-router/init", "was-off-cpu"] {
            fs::create_dir_all(root.path().join(group)).unwrap();
        }
        fs::write(root.path().join("lab-2/init/cpu.stat"), "usage_usec 900\n").unwrap();
        let nodes = NodeCgroup::below(&[root.path().to_owned()], &"lab".parse().unwrap());
        let found: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.components.cpu_us)).collect();
        assert_eq!(found, [("lab-2", Some(900)), ("lab-10", None)]);
    }

    #[test]
    fn components_and_pods_are_separate() {
        let root = tempfile::tempdir().unwrap();
        for (group, cpu) in [("lab-0/init", "usage_usec 900\n"), ("lab-0/kubepods", "usage_usec 100\n")] {
            let group = root.path().join(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("cpu.stat"), cpu).unwrap();
        }
        let roots = [root.path().to_owned()];
        let node = NodeCgroup::of(&roots, "lab-0");
        assert_eq!((node.components.cpu_us, node.pods.cpu_us, node.pods.memory_bytes), (Some(900), Some(100), None));
        assert_eq!(NodeCgroup::of(&roots, "lab-1").components, PodCgroup::default());
    }
}
