//! Finds the process of a component on the host, so that it can be signalled without the risk of signalling another one.

use std::fs;
use std::io;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::cluster::ClusterError;
use crate::io_error::IoError;

use super::find::namespace_ids;
use super::node::{Cluster, RunningNode};
use super::pid_fd::PidFd;
use super::plan::ComponentStatus;
use super::{Layout, cgroup, component_names, components};

/// A component's process, with a pidfd: after it has ended, no signal can reach another process that has the same id.
#[derive(Debug)]
pub struct ComponentProcess {
    /// The component: `kubelet`.
    pub name: String,
    /// The node it runs on.
    pub node: String,
    /// The host's process id, to be shown and looked up; signals go by [`ComponentProcess::signal`].
    pub pid: i32,
    /// How often the component had been started again when this process was started.
    pub restarts: u32,
    handle: PidFd,
}

impl ComponentProcess {
    /// Sends it a signal.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), IoError> {
        self.handle.signal(signal).map_err(|source| self.refused(signal, source))
    }

    /// Sends it a signal, unless it has ended.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when the kernel refuses.
    pub fn signal_unless_ended(&self, signal: Signal) -> Result<(), IoError> {
        self.handle.signal_unless_ended(signal).map_err(|source| self.refused(signal, source))
    }

    fn refused(&self, signal: Signal, source: io::Error) -> IoError {
        IoError::new(format!("send {signal} to {} (process {})", self.name, self.pid), source)
    }
}

/// The process of the component called `name`, on the first node that has one.
///
/// # Errors
/// [`ClusterError::UnknownComponent`] with the names of all when there is none of that name, [`ClusterError::Component`] when it does not run
/// at the moment, [`ClusterError::Io`].
pub fn component_process(cluster: &Cluster, name: &str) -> Result<ComponentProcess, ClusterError> {
    component_process_on(cluster, name, None)
}

/// The process of the component called `name` on the node called `node`, or on the first node that has one.
///
/// # Errors
/// As [`component_process`]; [`ClusterError::NotOnNode`] when that node does not have it.
pub fn component_process_on(
    cluster: &Cluster,
    name: &str,
    node: Option<&str>,
) -> Result<ComponentProcess, ClusterError> {
    check_component(cluster, name, node)?;
    let Some((running, before)) = status_of(cluster, name, node)? else {
        return Err(ClusterError::UnknownComponent { given: name.to_owned(), components: component_names(cluster)? });
    };
    let found = before.pid.map(|inside| held(cluster, running, inside)).transpose()?.flatten();
    // Since the id was read, the process may have ended and another one may have got its id. So the handle is opened first.
    // Then the supervisor, which alone reaps processes, must still report the same id.
    let after = component_status(cluster, name, node)?;
    match (found, after) {
        (Some((pid, handle)), Some(after)) if (after.pid, after.restarts) == (before.pid, before.restarts) => {
            let (name, node, restarts) = (name.to_owned(), running.node.name.clone(), before.restarts);
            Ok(ComponentProcess { name, node, pid, restarts, handle })
        }
        (_, after) => Err(not_running(cluster, running, &after.unwrap_or(before))),
    }
}

/// Checks that there is a component called `name`, on the node called `node` if one is given.
///
/// # Errors
/// [`ClusterError::UnknownComponent`] and [`ClusterError::NotOnNode`], each with the names of the components that there are;
/// [`ClusterError::Io`].
pub fn check_component(cluster: &Cluster, name: &str, node: Option<&str>) -> Result<(), ClusterError> {
    let names = component_names(cluster)?;
    if !names.iter().any(|known| known == name) {
        return Err(ClusterError::UnknownComponent { given: name.to_owned(), components: names });
    }
    let Some(node) = node else { return Ok(()) };
    let there = components(cluster)?.into_iter().filter(|(running, _)| running.name == node);
    let there: Vec<String> = there.flat_map(|(_, statuses)| statuses).map(|status| status.name).collect();
    if there.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(ClusterError::NotOnNode { component: name.to_owned(), node: node.to_owned(), components: there })
}

/// The status of the component called `name` on the node called `node`, or on the first node that has one; `None` if there is
/// none.
///
/// # Errors
/// [`ClusterError::Io`] when a supervisor's status file cannot be read.
pub fn component_status(
    cluster: &Cluster,
    name: &str,
    node: Option<&str>,
) -> Result<Option<ComponentStatus>, ClusterError> {
    Ok(status_of(cluster, name, node)?.map(|(_, status)| status))
}

/// The first node that has the component, or the one called `node`, and the component's status there.
fn status_of<'a>(
    cluster: &'a Cluster,
    name: &str,
    node: Option<&str>,
) -> Result<Option<(&'a RunningNode, ComponentStatus)>, ClusterError> {
    let all = cluster.nodes.iter().zip(components(cluster)?);
    let mut named = all.filter(|(running, _)| node.is_none_or(|node| running.node.name == node)).filter_map(
        |(running, (_, statuses))| {
            statuses.into_iter().find(|status| status.name == name).map(|status| (running, status))
        },
    );
    Ok(named.next())
}

/// The process with this id inside a node's sandbox: its id on the host, and a handle that was opened before the check.
fn held(cluster: &Cluster, running: &RunningNode, inside: i32) -> Result<Option<(i32, PidFd)>, ClusterError> {
    let namespace = namespace_of(running.pid);
    for (node, processes) in cgroup::nodes(&cluster.name.cgroup())? {
        for pid in processes.into_iter().filter(|_| node == running.node.name) {
            let Some(handle) = PidFd::open(pid) else { continue };
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if namespace_ids(&status).last() == Some(&inside) && namespace_of(pid) == namespace {
                return Ok(Some((pid, handle)));
            }
        }
    }
    Ok(None)
}

/// The PID namespace of a process; `None` after it has ended.
fn namespace_of(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn not_running(cluster: &Cluster, running: &RunningNode, status: &ComponentStatus) -> ClusterError {
    let log = Layout::new(&cluster.paths, &running.node).log(&status.name);
    let last = status.last_exit.as_ref().map(|exit| format!("; it ended with {exit}")).unwrap_or_default();
    ClusterError::Component {
        component: status.name.clone(),
        what: format!("does not run at the moment{last}"),
        tail: status.last_words.clone().unwrap_or_default(),
        log,
    }
}
