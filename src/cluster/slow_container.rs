//! Slows down one container of a pod, for a while: by a CPU quota, or by pausing its processes.
//!
//! Before anything is changed, an empty group in the lab's own group records it, with all that is needed to undo it in its
//! name. So it can be undone without any state when this program is killed meanwhile, and `down` removes the record together
//! with the lab.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::cgroup;
use super::cpu_quota::CpuQuota;
use super::node::Cluster;
use super::pod_cgroup::pod_groups;
use crate::io_error::IoError;

/// The prefixes of the names of records.
const THROTTLED: &str = "throttled";
const PAUSED: &str = "paused";
/// How often processes are looked for that were started while the others were being paused.
const PASSES: usize = 10;

/// One container of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContainerId<'a> {
    /// The uid of its pod.
    pub pod_uid: &'a str,
    /// Its own id, without the name of the runtime.
    pub id: &'a str,
}

/// How a container is slowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerLimit {
    /// To this percentage of one CPU.
    Cpu(u8),
    /// Its processes do not run at all.
    Paused,
}

/// A container that is slow. It is as before when this value is dropped.
#[derive(Debug)]
pub struct SlowContainer {
    cluster: Cluster,
    record: PathBuf,
}

impl SlowContainer {
    /// Slows down a container. `None` if it has ended.
    ///
    /// # Errors
    /// [`IoError`] when its cgroup cannot be changed, or its processes cannot be signalled.
    pub fn begin(
        cluster: &Cluster,
        container: ContainerId<'_>,
        limit: ContainerLimit,
    ) -> Result<Option<Self>, IoError> {
        let groups = groups_of(cluster, container);
        let Some(first) = groups.first() else { return Ok(None) };
        let slow = |root: &Path, name: String| Self::recorded(cluster, root.join(name));
        let begun = match limit {
            ContainerLimit::Cpu(percent) => {
                let (group, before) = limited(&groups, container)?;
                let wanted = before.lowered_to(percent).ok_or_else(|| {
                    let why = "it has no more now, by its own limit";
                    IoError::new(
                        format!("limit container {} to {percent}% of a CPU", container.id),
                        io::Error::other(why),
                    )
                })?;
                let begun = slow(&group.root, record_name(THROTTLED, container, Some(before)))?;
                wanted.write(&group.path).map(|()| begun)
            }
            ContainerLimit::Paused => {
                let begun = slow(&first.root, record_name(PAUSED, container, None))?;
                pause(&groups).map(|()| begun)
            }
        };
        match begun {
            Err(error) if is_gone(&error) => Ok(None),
            begun => {
                begun.map(Some).map_err(|source| IoError::new(format!("slow down container {}", container.id), source))
            }
        }
    }

    fn recorded(cluster: &Cluster, record: PathBuf) -> Result<Self, IoError> {
        match fs::create_dir(&record) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(IoError::file("create the cgroup", &record, source))
            }
            _ => Ok(Self { cluster: cluster.clone(), record }),
        }
    }

    /// Undoes it; returns whether the container was still there.
    ///
    /// # Errors
    /// [`IoError`] when its cgroup cannot be restored, or its processes cannot be signalled.
    pub fn end(self) -> Result<bool, IoError> {
        undo(&self.cluster, &self.record)
    }
}

impl Drop for SlowContainer {
    fn drop(&mut self) {
        // It was undone if it was ended. If it cannot be undone, the next verb that changes the lab reports why.
        let _ = undo(&self.cluster, &self.record);
    }
}

/// Undoes what a killed program left: every container that is still slow is as before. Returns how many there were.
///
/// # Errors
/// [`IoError`] as [`SlowContainer::end`].
pub fn end_all_slow_containers(cluster: &Cluster) -> Result<usize, IoError> {
    let roots = cgroup::roots(&cluster.name.cgroup()).unwrap_or_default();
    let records: Vec<PathBuf> =
        roots.iter().flat_map(|root| cgroup::subgroups(root)).filter(|group| parse_record(group).is_some()).collect();
    records.iter().try_for_each(|record| undo(cluster, record).map(drop))?;
    Ok(records.len())
}

/// A container's group in one hierarchy, and the lab's root group there.
pub(super) struct ContainerGroup {
    pub(super) root: PathBuf,
    pub(super) path: PathBuf,
}

/// The container's groups, one in each hierarchy.
pub(super) fn groups_of(cluster: &Cluster, container: ContainerId<'_>) -> Vec<ContainerGroup> {
    let roots = cgroup::roots(&cluster.name.cgroup()).unwrap_or_default();
    let groups = pod_groups(cluster, container.pod_uid).into_iter().map(|pod| pod.join(container.id));
    let with_root = |path: PathBuf| {
        let root = roots.iter().find(|root| path.starts_with(root))?.clone();
        Some(ContainerGroup { root, path })
    };
    groups.filter(|group| group.is_dir()).filter_map(with_root).collect()
}

/// The group that limits processor time, and its quota.
fn limited<'a>(
    groups: &'a [ContainerGroup],
    container: ContainerId<'_>,
) -> Result<(&'a ContainerGroup, CpuQuota), IoError> {
    for group in groups {
        let read = CpuQuota::read(&group.path);
        if let Some(quota) = read.map_err(|source| IoError::file("read the CPU quota of", &group.path, source))? {
            return Ok((group, quota));
        }
    }
    let why = io::Error::other("the kernel or the kubelet has no CPU quota for it");
    Err(IoError::new(format!("limit the CPU of container {}", container.id), why))
}

/// Pauses all processes of the groups, also those that are started meanwhile.
fn pause(groups: &[ContainerGroup]) -> io::Result<()> {
    let processes = || groups.iter().flat_map(|group| cgroup::processes_below(&group.path)).collect::<BTreeSet<i32>>();
    let mut paused = BTreeSet::new();
    for _ in 0..PASSES {
        let listed = processes();
        if listed.is_subset(&paused) {
            break;
        }
        signal_all(groups, Signal::SIGSTOP)?;
        paused = listed;
    }
    Ok(())
}

fn signal_all(groups: &[ContainerGroup], signal: Signal) -> io::Result<()> {
    groups.iter().try_for_each(|group| cgroup::signal_below(&group.path, signal))
}

/// `throttled.UID.CONTAINER.QUOTA.PERIOD` or `paused.UID.CONTAINER`.
fn record_name(kind: &str, container: ContainerId<'_>, before: Option<CpuQuota>) -> String {
    let before = before.map(|quota| format!(".{quota}")).unwrap_or_default();
    format!("{kind}.{}.{}{before}", container.pod_uid, container.id)
}

/// The kind, container and quota in the name of a record.
fn parse_record(record: &Path) -> Option<(ContainerId<'_>, Option<CpuQuota>)> {
    let mut parts = record.file_name()?.to_str()?.splitn(4, '.');
    let (kind, pod_uid, id, quota) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    let container = ContainerId { pod_uid, id };
    match (kind, quota) {
        (PAUSED, None) => Some((container, None)),
        (THROTTLED, Some(quota)) => Some((container, Some(quota.parse().ok()?))),
        _ => None,
    }
}

/// Undoes what a record says, and removes it. Returns whether the container was still there; false, too, if it was undone
/// before.
fn undo(cluster: &Cluster, record: &Path) -> Result<bool, IoError> {
    let Some((container, quota)) = parse_record(record).filter(|_| record.exists()) else { return Ok(false) };
    let groups = groups_of(cluster, container);
    let undone = match quota {
        Some(quota) => {
            let limited = groups.iter().find(|group| record.starts_with(&group.root));
            limited.map_or(Ok(()), |group| quota.write(&group.path))
        }
        None => signal_all(&groups, Signal::SIGCONT),
    };
    let is_there = match undone {
        Err(error) if is_gone(&error) => false,
        undone => {
            undone.map_err(|source| IoError::new(format!("restore container {}", container.id), source))?;
            !groups.is_empty()
        }
    };
    match fs::remove_dir(record) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(IoError::file("remove the cgroup", record, source))
        }
        _ => Ok(is_there),
    }
}

/// Whether a group was removed meanwhile: the kernel reports that a file is not there, or that its device is gone.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ENODEV)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTAINER: ContainerId<'_> = ContainerId { pod_uid: "0c5a-4d", id: "c0ffee" };

    #[test]
    fn the_name_of_a_record_has_all_that_is_needed() {
        let quota: CpuQuota = "max.100000".parse().unwrap();
        for (kind, quota) in [(THROTTLED, Some(quota)), (PAUSED, None)] {
            let record = Path::new("/sys/fs/cgroup/evenkeel-lab").join(record_name(kind, CONTAINER, quota));
            assert_eq!(parse_record(&record), Some((CONTAINER, quota)), "{}", record.display());
        }
    }

    #[test]
    fn other_groups_are_no_records() {
        for name in
            ["lab-0", "was-off-cpu", "paused", "paused.a", "paused.a.b.1", "throttled.a.b", "throttled.a.b.x", "init"]
        {
            assert_eq!(parse_record(Path::new(name)), None, "{name}");
        }
    }
}
