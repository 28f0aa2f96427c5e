//! One container of a pod, as the kernel sees it.

use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup;
use super::node::Cluster;
use super::pod_cgroup::pod_groups;
use crate::error::Error;

/// Kills every process of a container, given by its pod's uid and its own id, with SIGKILL, behind Kubernetes' back.
///
/// # Errors
/// [`Error::Io`] when it has no process, or one cannot be killed.
pub fn kill_container(cluster: &Cluster, pod_uid: &str, container_id: &str) -> Result<(), Error> {
    let processes = pod_groups(cluster, pod_uid)
        .iter()
        .map(|group| cgroup::processes_of(&group.join(container_id)))
        .find(|processes| !processes.is_empty());
    let gone = || Error::io(format!("find the processes of container {container_id}"), io::ErrorKind::NotFound.into());
    // A process is in the container's cgroup only if the runtime put it there, so no stranger can be hit by its id.
    for pid in processes.ok_or_else(gone)? {
        kill(Pid::from_raw(pid), Signal::SIGKILL)
            .map_err(|errno| Error::io(format!("kill process {pid} of container {container_id}"), errno.into()))?;
    }
    Ok(())
}
