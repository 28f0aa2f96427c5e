//! The counters of each node, read from its cgroups: one group has its components, another one all of its pods.

use std::path::{Path, PathBuf};

use super::cgroup;
use super::node::Cluster;
use super::pod_cgroup::{PODS, PodCgroup};

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
    /// The counters of all nodes of a lab.
    #[must_use]
    pub fn all(cluster: &Cluster) -> Vec<Self> {
        let roots = cgroup::roots(&cluster.name.cgroup()).unwrap_or_default();
        cluster.nodes.iter().map(|running| Self::of(&roots, &running.node.name)).collect()
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
