//! One container of a pod, as the kernel sees it.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::cgroup;
use super::node::Cluster;
use super::pod_cgroup::pod_groups;
use crate::io_error::IoError;

/// Kills every process of a container with SIGKILL, without telling Kubernetes. The container is given by its pod's uid
/// and its own id. A process that ends by itself meanwhile is not an error: when the container's first process ends, the
/// kernel ends the others.
///
/// # Errors
/// [`IoError`] when the container has no cgroup, or when a process cannot be killed.
pub fn kill_container(cluster: &Cluster, pod_uid: &str, container_id: &str) -> Result<(), IoError> {
    kill_in(pod_groups(cluster, pod_uid).into_iter().map(|group| group.join(container_id)), container_id)
}

/// Kills every process of the container's groups, one in each hierarchy.
fn kill_in(groups: impl Iterator<Item = PathBuf>, container_id: &str) -> Result<(), IoError> {
    let groups: Vec<PathBuf> = groups.filter(|group| group.is_dir()).collect();
    if groups.is_empty() {
        return Err(IoError::new(format!("find container {container_id}"), io::ErrorKind::NotFound.into()));
    }
    let kill = |group: &Path| cgroup::signal(group, Signal::SIGKILL);
    let refused = |source| IoError::new(format!("kill a process of container {container_id}"), source);
    groups.iter().try_for_each(|group| kill(group)).map_err(refused)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;

    /// The kernel ends the other processes of a container together with its first one.
    #[test]
    fn a_process_that_is_gone_is_what_a_kill_wants() {
        let pod = tempfile::tempdir().unwrap();
        let container = pod.path().join("container");
        std::fs::create_dir(&container).unwrap();
        let mut alive = Command::new("sleep").arg("60").spawn().unwrap();
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        std::fs::write(container.join("cgroup.procs"), format!("{}\n{}\n", gone.id(), alive.id())).unwrap();
        kill_in([container.clone(), pod.path().join("another-hierarchy")].into_iter(), "container").unwrap();
        assert!(!alive.wait().unwrap().success());
        kill_in([container].into_iter(), "container").unwrap();
    }

    #[test]
    fn a_container_without_a_cgroup_is_an_error() {
        let error = kill_in([PathBuf::from("/nowhere/at/all")].into_iter(), "c0ffee").unwrap_err();
        assert!(error.to_string().contains("c0ffee"), "{error}");
    }
}
