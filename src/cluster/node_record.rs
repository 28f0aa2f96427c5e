//! Records of what an event changed on a node, so that it can be undone without any state when this program is killed: each
//! is an empty group in the lab's own cgroup, with the change and the node in its name. `down` removes it with the lab.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cgroup;
use super::node::Cluster;
use crate::io_error::IoError;

/// A change of a node for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeChange {
    /// It is cordoned.
    Cordoned,
    /// Its processes are stopped.
    Paused,
    /// Its link is down.
    Partitioned,
    /// It loses packets.
    Lossy,
}

impl NodeChange {
    const ALL: [Self; 4] = [Self::Cordoned, Self::Paused, Self::Partitioned, Self::Lossy];

    /// The prefix of the name of its record.
    fn prefix(self) -> &'static str {
        match self {
            Self::Cordoned => "cordoned-node",
            Self::Paused => "paused-node",
            Self::Partitioned => "partitioned-node",
            Self::Lossy => "lossy-node",
        }
    }
}

/// The record of one change of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// The change.
    pub change: NodeChange,
    /// The name of the node.
    pub node: String,
    group: PathBuf,
}

impl NodeRecord {
    /// Records a change that is about to be made. It must be removed after the change was undone.
    ///
    /// # Errors
    /// [`IoError`] when the lab's cgroup cannot be changed.
    pub fn make(cluster: &Cluster, change: NodeChange, node: &str) -> Result<Self, IoError> {
        let roots = cgroup::roots(&cluster.name.cgroup()).unwrap_or_default();
        let missing = || IoError::new("find the cgroup of the lab", io::ErrorKind::NotFound.into());
        let root = roots.into_iter().next().ok_or_else(missing)?;
        let record = Self { change, node: node.to_owned(), group: root.join(format!("{}.{node}", change.prefix())) };
        match fs::create_dir(&record.group) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(IoError::file("create the cgroup", &record.group, source))
            }
            _ => Ok(record),
        }
    }

    /// Whether it was not removed yet.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.group.exists()
    }

    /// Removes the record.
    ///
    /// # Errors
    /// [`IoError`].
    pub fn remove(&self) -> Result<(), IoError> {
        match fs::remove_dir(&self.group) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(IoError::file("remove the cgroup", &self.group, source))
            }
            _ => Ok(()),
        }
    }

    /// The record that this group is.
    fn parse(group: &Path) -> Option<Self> {
        let (prefix, node) = group.file_name()?.to_str()?.split_once('.')?;
        let change = NodeChange::ALL.into_iter().find(|change| change.prefix() == prefix)?;
        Some(Self { change, node: node.to_owned(), group: group.to_owned() })
    }
}

/// The records that the lab has: of events that are going on, or of a program that was killed.
#[must_use]
pub fn node_records(cluster: &Cluster) -> Vec<NodeRecord> {
    let roots = cgroup::roots(&cluster.name.cgroup()).unwrap_or_default();
    roots.iter().flat_map(|root| cgroup::subgroups(root)).filter_map(|group| NodeRecord::parse(&group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_record_has_the_change_and_the_node() {
        for change in NodeChange::ALL {
            let group = Path::new("/sys/fs/cgroup/evenkeel-lab").join(format!("{}.lab-1", change.prefix()));
            let record = NodeRecord::parse(&group).unwrap();
            assert_eq!((record.change, record.node.as_str()), (change, "lab-1"));
        }
        for name in ["lab-0", "was-off-cpu", "paused.a.b", "throttled.a.b.max.100000", "cordoned-node"] {
            assert_eq!(NodeRecord::parse(Path::new(name)), None, "{name}");
        }
    }
}
