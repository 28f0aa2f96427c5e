//! One container of a pod, as the kernel sees it.

use std::io;
use std::path::Path;

use nix::sys::signal::Signal;

use super::cgroup;
use super::held_process::HeldProcess;
use super::node::Cluster;
use super::pod_cgroup::pod_groups;
use crate::error::Error;
use crate::io_error::IoError;

/// Kills every process of a container, given by its pod's uid and its own id, with SIGKILL, behind Kubernetes' back.
///
/// # Errors
/// [`Error::Io`] when it has no process, or one cannot be killed.
pub fn kill_container(cluster: &Cluster, pod_uid: &str, container_id: &str) -> Result<(), Error> {
    // In each hierarchy of cgroups the group has the same processes.
    let mut groups = pod_groups(cluster, pod_uid).into_iter().map(|group| held(&group.join(container_id)));
    let gone =
        || IoError::new(format!("find the processes of container {container_id}"), io::ErrorKind::NotFound.into());
    let processes = groups.find(|processes| !processes.is_empty()).ok_or_else(gone)?;
    for process in processes {
        let refused = |source| IoError::new(format!("kill a process of container {container_id}"), source);
        process.signal(Signal::SIGKILL).map_err(refused)?;
    }
    Ok(())
}

/// The processes of a cgroup. An id that went to a stranger meanwhile is not in the group any more once it is held.
fn held(group: &Path) -> Vec<HeldProcess> {
    let opened = cgroup::processes_of(group).into_iter().map(|pid| (pid, HeldProcess::open(pid)));
    let opened: Vec<_> = opened.collect();
    let still = cgroup::processes_of(group);
    opened.into_iter().filter(|(pid, _)| still.contains(pid)).filter_map(|(_, process)| process).collect()
}
