//! The Kubernetes cluster in its sandboxes: boot, supervise, find, remove.

mod access;
mod apparmor;
mod boot;
mod boot_sandbox;
mod cgroup;
pub mod component;
mod component_process;
mod container;
mod cpu_quota;
mod encryption;
mod error;
mod external_packets;
mod find;
mod foreign;
mod gc_roots;
pub mod image_mirror;
mod image_store;
mod join;
mod known_routes;
mod kubeconfig;
mod layout;
mod link_changes;
mod lock;
mod memory;
mod network;
mod network_plan;
mod node;
mod node_cgroup;
mod node_fault;
mod node_ready;
mod node_record;
mod object;
mod packet_delay;
mod pid_fd;
mod pki;
mod plan;
mod pod_cgroup;
mod prepare;
mod reach;
mod read_only;
mod readiness;
mod residue;
mod router;
mod router_view;
mod runtime_images;
pub mod sandbox;
mod slow_container;
mod supervision;
pub mod supervisor;
mod temporary_routes;

pub use error::ClusterError;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use futures::future::try_join_all;
use kube::Client;

pub use access::Access;
pub use boot::{BootRequest, up};
pub use component_process::{
    ComponentProcess, check_component, component_process, component_process_on, component_status,
};
pub use container::kill_container;
pub use find::{find, is_booted};
pub use foreign::{CONNECT, ForeignCluster, KubeconfigChoice};
pub use join::{add_node, configure_network, kill_node, next_node, remove_node, start_node};
pub use kubeconfig::client as client_by;
pub use layout::Layout;
pub use link_changes::{LinkAddition, LinkChanges, LinkManager, link_changes};
pub use lock::LabLock;
pub use node::{Cluster, Node, Router, RunningNode};
pub use node_cgroup::NodeCgroup;
pub use node_fault::{FaultyNode, NodeFault, end_all_node_faults};
pub use node_record::{NodeChange, NodeRecord, node_records};
pub use packet_delay::{DelayedNode, DelayedPod, check_packet_delay, delay_packets, try_to_delay_packets};
pub use plan::{BootPlan, ComponentState, ComponentStatus, Message};
pub use pod_cgroup::PodCgroup;
pub use residue::Removed;
pub use router::{RouterKernel, RouterSettings, Routes};
pub use router_view::{connections_of, routed_nodes};
pub use slow_container::{ContainerId, ContainerLimit, SlowContainer, end_all_slow_containers};
pub use temporary_routes::TemporaryRoutes;

use crate::config::{LabName, LabShape, Paths, ProxyMode};
use crate::image::{Image, ImageName};
use crate::io_error::IoError;
use crate::process::Invocation;
use crate::progress::Progress;
use crate::toolbox::{Program, Toolbox};

/// A client for the cluster's API server, as its administrator.
///
/// # Errors
/// [`ClusterError::Kubeconfig`] when the kubeconfig is missing or broken.
pub async fn client(cluster: &Cluster) -> Result<Client, ClusterError> {
    client_by(&cluster.paths.kubeconfig()).await
}

/// Loads an image into every node.
///
/// # Errors
/// [`ClusterError::ImageTooLarge`] when it does not fit, [`ClusterError::Program`] when containerd refuses it.
pub async fn import_image(cluster: &Cluster, toolbox: &Toolbox, image: &Image) -> Result<(), ClusterError> {
    image_store::require_room(cluster, image)?;
    let imported = images(cluster, toolbox, &[OsStr::new("import"), image.import_path().as_os_str()]).await;
    imported.map(drop).map_err(|error| image_store::import_failed(image, error))
}

/// The names of the images that every node has.
///
/// # Errors
/// [`ClusterError::Program`] when containerd does not answer.
pub async fn image_names(cluster: &Cluster, toolbox: &Toolbox) -> Result<BTreeSet<String>, ClusterError> {
    let lists = images(cluster, toolbox, &["ls", "--quiet"]).await?;
    let names = |list: &Vec<u8>| String::from_utf8_lossy(list).lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let common = lists.iter().map(names).reduce(|one, other| &one & &other);
    Ok(common.unwrap_or_default())
}

/// Adds a name to an image that every node has.
///
/// # Errors
/// [`ClusterError::Program`] when containerd refuses it.
pub async fn tag_image(cluster: &Cluster, toolbox: &Toolbox, from: &str, to: &str) -> Result<(), ClusterError> {
    images(cluster, toolbox, &["tag", "--force", &full_name(from), &full_name(to)]).await.map(drop)
}

/// Removes a name of an image on every node.
///
/// # Errors
/// [`ClusterError::Program`] when containerd refuses it.
pub async fn untag_image(cluster: &Cluster, toolbox: &Toolbox, name: &str) -> Result<(), ClusterError> {
    images(cluster, toolbox, &["rm", &full_name(name)]).await.map(drop)
}

/// The name by which containerd has an image. Another form of it would harm every image with the same content.
fn full_name(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), |name: ImageName| name.to_string())
}

/// `ctr images` with these arguments on every node. Returns what it wrote on each.
async fn images<A: AsRef<OsStr>>(
    cluster: &Cluster,
    toolbox: &Toolbox,
    arguments: &[A],
) -> Result<Vec<Vec<u8>>, ClusterError> {
    let on_node = |running: &RunningNode| images_on(running, toolbox, arguments);
    try_join_all(cluster.nodes.iter().map(|running| async { Ok(on_node(running).run_async().await?) })).await
}

/// `ctr images` with these arguments on one node.
fn images_on<A: AsRef<OsStr>>(running: &RunningNode, toolbox: &Toolbox, arguments: &[A]) -> Invocation {
    let socket = containerd_socket(running);
    let head = [OsStr::new("--address"), socket.as_os_str()];
    let head = head.into_iter().chain(["--namespace", "k8s.io", "images"].map(OsStr::new));
    Invocation::new(toolbox.path(Program::Ctr), head.chain(arguments.iter().map(AsRef::as_ref)))
}

/// The socket of a node's containerd, as the machine sees it.
fn containerd_socket(running: &RunningNode) -> PathBuf {
    format!("/proc/{}/root{}", running.pid, component::CONTAINERD_SOCKET).into()
}

/// The command that runs a program of the host in the network namespace of a node.
#[must_use]
pub fn inside<A: AsRef<OsStr>>(
    running: &RunningNode,
    toolbox: &Toolbox,
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Invocation {
    inside_network_of(running.pid, toolbox.path(Program::Nsenter), program, arguments)
}

/// The same in the network namespace of any process.
fn inside_network_of<A: AsRef<OsStr>>(
    pid: i32,
    nsenter: &Path,
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Invocation {
    let target = format!("--target={pid}");
    let head = [OsStr::new(&target), OsStr::new("--net"), OsStr::new("--"), program.as_os_str()].map(OsStr::to_owned);
    let tail = arguments.into_iter().map(|argument| argument.as_ref().to_owned());
    Invocation::new(nsenter, head.into_iter().chain(tail))
}

/// How the cluster's kube-proxy balances, by the plan it was booted from.
///
/// # Errors
/// [`ClusterError::Io`] when the plan cannot be read.
pub fn proxy_mode(cluster: &Cluster) -> Result<ProxyMode, ClusterError> {
    Ok(plan_of_first(cluster)?.proxy_mode)
}

/// What the cluster is made of, by the plan it was booted from. The number of nodes is that of now.
///
/// # Errors
/// [`ClusterError::Io`] when the plan cannot be read.
pub fn shape(cluster: &Cluster) -> Result<LabShape, ClusterError> {
    Ok(plan_of_first(cluster)?.shape)
}

fn plan_of_first(cluster: &Cluster) -> Result<BootPlan, ClusterError> {
    Ok(BootPlan::read(&Layout::new(&cluster.paths, &cluster.first().node).plan())?)
}

/// The status of the components of each node, as the supervisors report it.
///
/// # Errors
/// [`ClusterError::Io`] when a supervisor's status file cannot be read.
pub fn components(cluster: &Cluster) -> Result<Vec<(Node, Vec<ComponentStatus>)>, ClusterError> {
    let read = |running: &RunningNode| {
        let statuses = component_statuses(cluster, &Layout::new(&cluster.paths, &running.node))?;
        Ok((running.node.clone(), statuses))
    };
    cluster.nodes.iter().map(read).collect()
}

/// The name of the router and the status of its components; `None` in a lab without a router.
///
/// # Errors
/// [`ClusterError::Io`] when the supervisor's status file cannot be read.
pub fn router_components(cluster: &Cluster) -> Result<Option<(String, Vec<ComponentStatus>)>, ClusterError> {
    let Some(router) = &cluster.router else { return Ok(None) };
    let statuses = component_statuses(cluster, &Layout::of_sandbox(&cluster.paths, &router.name))?;
    Ok(Some((router.name.clone(), statuses)))
}

fn component_statuses(cluster: &Cluster, layout: &Layout) -> Result<Vec<ComponentStatus>, IoError> {
    let path = layout.components();
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|source| IoError::file("parse", &path, source.into())),
        // A boot that was interrupted may have started no component.
        Err(source) if source.kind() == std::io::ErrorKind::NotFound && !is_booted(cluster) => Ok(Vec::new()),
        Err(source) => Err(IoError::file("read", &path, source)),
    }
}

/// The names of the cluster's components, each once, in the order in which they start.
///
/// # Errors
/// [`ClusterError::Io`] when a supervisor's status file cannot be read.
pub fn component_names(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
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

/// Removes everything that a lab has on the machine, whether it runs or not. Does nothing when there is nothing.
///
/// # Errors
/// [`ClusterError::Residue`] with what could not be removed.
pub fn down(name: &LabName, paths: &Paths, ip: &Path, progress: &Progress) -> Result<Removed, ClusterError> {
    residue::remove(name, paths, ip, residue::Keep::Nothing, progress)
}
