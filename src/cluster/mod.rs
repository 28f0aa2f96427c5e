//! The Kubernetes cluster in its sandboxes: boot, supervise, find, remove.

mod boot;
mod cgroup;
pub mod component;
mod component_process;
mod container;
mod encryption;
mod held_process;
mod image_store;
mod kubeconfig;
mod layout;
mod lock;
mod memory;
mod network;
mod node;
mod pki;
mod plan;
mod pod_cgroup;
mod pod_route;
mod reach;
mod readiness;
mod residue;
#[cfg(target_os = "linux")]
pub mod sandbox;
mod supervision;
#[cfg(target_os = "linux")]
pub mod supervisor;

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use kube::Client;

pub use boot::{Request, up};
pub use component_process::{ComponentProcess, component_process, component_status};
pub use container::kill_container;
pub use kubeconfig::client as client_by;
pub use layout::Layout;
pub use lock::LabLock;
pub use node::{Cluster, Node, RunningNode};
pub use plan::{BootPlan, ComponentStatus, Message, State};
pub use pod_cgroup::PodCgroup;
pub use pod_route::PodRoutes;
pub use residue::Removed;

use crate::config::{LabName, Paths, ProxyMode};
use crate::error::Error;
use crate::image::Image;
use crate::process::Invocation;
use crate::progress::Progress;
use crate::toolbox::{Program, Toolbox};

/// Finds the running cluster by its cgroups; no state is asked.
///
/// # Errors
/// [`Error::NoLab`] when none runs.
pub fn find(name: &LabName, paths: &Paths) -> Result<Cluster, Error> {
    let mut nodes = Vec::new();
    for (node, processes) in cgroup::nodes(&name.cgroup())? {
        let index = node.rsplit('-').next().and_then(|index| index.parse().ok());
        let first = processes.into_iter().find(|&pid| is_first_of_namespace(pid));
        if let (Some(index), Some(pid)) = (index, first) {
            nodes.push(RunningNode { node: Node::new(name, index), pid });
        }
    }
    nodes.sort_by_key(|running| running.node.index);
    match nodes.first() {
        Some(first) if first.node.is_control_plane() => Ok(Cluster { name: name.clone(), paths: paths.clone(), nodes }),
        _ => Err(Error::NoLab),
    }
}

/// Whether a cluster's boot came to its end: one whose `up` was killed half-way runs, but is of no use. Where that may
/// not be looked up, it is taken for granted.
#[must_use]
pub fn is_booted(cluster: &Cluster) -> bool {
    let booted = |running: &RunningNode| Layout::new(&cluster.paths, &running.node).booted();
    cluster.nodes.iter().all(|running| booted(running).try_exists().unwrap_or(true))
}

/// Whether a process is number 1 of a PID namespace below ours.
fn is_first_of_namespace(pid: i32) -> bool {
    let ids = namespace_ids(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default());
    ids.len() > 1 && ids.last() == Some(&1)
}

/// A process's ids in the text of its `/proc/PID/status`: from our namespace in to its own.
fn namespace_ids(status: &str) -> Vec<i32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    ids.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// A client for the cluster's API server, as its administrator.
///
/// # Errors
/// [`Error::Kubeconfig`] when the kubeconfig is missing or broken.
pub async fn client(cluster: &Cluster) -> Result<Client, Error> {
    client_by(&cluster.paths.kubeconfig()).await
}

/// Loads an image into every node.
///
/// # Errors
/// [`Error::ImageTooLarge`] when it does not fit, [`Error::Program`] when containerd refuses it.
pub async fn import_image(cluster: &Cluster, toolbox: &Toolbox, image: &Image) -> Result<(), Error> {
    image_store::require_room(cluster, image)?;
    let imported = images(cluster, toolbox, &[OsStr::new("import"), image.archive.as_os_str()]).await;
    imported.map_err(|error| image_store::import_failed(image, error))
}

/// Gives an image that every node has another name, too.
///
/// # Errors
/// [`Error::Program`] when containerd refuses it.
pub async fn tag_image(cluster: &Cluster, toolbox: &Toolbox, from: &str, to: &str) -> Result<(), Error> {
    images(cluster, toolbox, &["tag", "--force", from, to]).await
}

/// Takes a name of an image from every node.
///
/// # Errors
/// [`Error::Program`] when containerd refuses it.
pub async fn untag_image(cluster: &Cluster, toolbox: &Toolbox, name: &str) -> Result<(), Error> {
    images(cluster, toolbox, &["rm", name]).await
}

/// `ctr images` with these arguments on every node.
async fn images<A: AsRef<OsStr>>(cluster: &Cluster, toolbox: &Toolbox, arguments: &[A]) -> Result<(), Error> {
    for running in &cluster.nodes {
        let socket = format!("/proc/{}/root{}", running.pid, component::CONTAINERD_SOCKET);
        let head = ["--address", &socket, "--namespace", "k8s.io", "images"].map(OsStr::new);
        let all = head.into_iter().chain(arguments.iter().map(AsRef::as_ref));
        Invocation::new(toolbox.path(Program::Ctr), all).run_async().await?;
    }
    Ok(())
}

/// A program of the host, run in the network of a node.
#[must_use]
pub fn inside<A: AsRef<OsStr>>(
    running: &RunningNode,
    toolbox: &Toolbox,
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Invocation {
    let target = format!("--target={}", running.pid);
    let head = [OsStr::new(&target), OsStr::new("--net"), OsStr::new("--"), program.as_os_str()].map(OsStr::to_owned);
    let tail = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    Invocation::new(toolbox.path(Program::Nsenter), head.into_iter().chain(tail))
}

/// How the cluster's kube-proxy balances, by the plan it was booted from.
///
/// # Errors
/// [`Error::Io`] when the plan cannot be read.
pub fn proxy_mode(cluster: &Cluster) -> Result<ProxyMode, Error> {
    let plan = Layout::new(&cluster.paths, &cluster.first().node).plan();
    Ok(BootPlan::read(&plan)?.proxy_mode)
}

/// What the supervisors say of their components, node by node.
///
/// # Errors
/// [`Error::Io`] when a supervisor's word cannot be read.
pub fn components(cluster: &Cluster) -> Result<Vec<(Node, Vec<ComponentStatus>)>, Error> {
    let read = |running: &RunningNode| {
        let path = Layout::new(&cluster.paths, &running.node).components();
        let statuses = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|source| Error::file("understand", &path, source.into())),
            // A boot that was broken off has started none.
            Err(source) if source.kind() == std::io::ErrorKind::NotFound && !is_booted(cluster) => Ok(Vec::new()),
            Err(source) => Err(Error::file("read", &path, source)),
        };
        Ok((running.node.clone(), statuses?))
    };
    cluster.nodes.iter().map(read).collect()
}

/// The names of the cluster's components, each once, in the order in which they start.
///
/// # Errors
/// [`Error::Io`] when a supervisor's word cannot be read.
pub fn component_names(cluster: &Cluster) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for (_, statuses) in components(cluster)? {
        for status in statuses {
            if !names.contains(&status.name) {
                names.push(status.name);
            }
        }
    }
    Ok(names)
}

/// Removes all that a lab left on the machine, running or not; harmless when there is nothing.
///
/// # Errors
/// [`Error::Residue`] with what could not be removed.
pub fn down(name: &LabName, paths: &Paths, ip: &Path, progress: &Progress) -> Result<Removed, Error> {
    residue::remove(name, paths, ip, residue::Keep::Nothing, progress)
}
