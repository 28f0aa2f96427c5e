//! Nodes that are added to a lab that is up, started again, or removed from it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::cluster::ClusterError;
use crate::config::MOST_NODES;
use crate::io_error::IoError;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::toolbox::{Program, Toolbox};

use super::boot_sandbox::BootingSandbox;
use super::layout::Layout;
use super::network_plan::{HOST_LINK, NODE_LINK, NetworkStep, Uplink, node_link, router_node_link};
use super::node::{Cluster, Node, Router, RunningNode, router_name};
use super::node_fault::{LinkChange, change_link};
use super::node_ready::node_ready;
use super::plan::BootPlan;
use super::prepare::Preparation;
use super::{client, containerd_socket, images_on, inside_network_of, memory, network, pki, residue, runtime_images};

/// How long to wait before containerd is asked again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long the kubelet may not find an image that was imported.
const PATIENCE: Duration = Duration::from_secs(20);

/// Adds a node to a lab, with the first name that is free, and waits until it is Ready and has the images of the first node. A
/// lab without a router gets one first; the connections of the machine to the first node survive that. `environment` has the
/// variables that finding an image reads; see [`crate::image::read_variables`].
///
/// # Errors
/// As [`super::up`]. The new node is then removed again.
pub async fn add_node(
    cluster: &Cluster,
    toolbox: &Toolbox,
    environment: &[(String, String)],
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<RunningNode, ClusterError> {
    memory::require_for_node()?;
    let node = next_node(cluster)?;
    let preparation = Preparation::of_running(cluster, toolbox, environment)?;
    let mut cluster = cluster.clone();
    if cluster.router.is_none() {
        let step = progress.step("put a router between this machine and the node");
        let plan = preparation.router(&[cluster.first().node.clone()])?;
        cluster.router = Some(insert_router(&cluster, toolbox, &plan).await?);
        step.done();
    }
    pki::add_node(&Layout::new(&cluster.paths, &node).pki(""), &node)?;
    preparation.node(&node, Uplink::Router)?;
    let started = start_node(&cluster, toolbox, &node, progress, shutdown).await;
    if started.is_err() {
        let step = progress.step(format!("remove node {}", node.name));
        if remove_node(&cluster, &node).is_ok() {
            step.done();
        }
    }
    started
}

/// The node that [`add_node`] adds next.
///
/// # Errors
/// [`ClusterError::Taken`] when there are as many nodes as there can be.
pub fn next_node(cluster: &Cluster) -> Result<Node, ClusterError> {
    let taken = |index: &u8| cluster.nodes.iter().any(|running| running.node.index == *index);
    let free = (1..MOST_NODES).find(|index| !taken(index));
    let full = || ClusterError::Taken { what: "last node name".into(), by: format!("one of {MOST_NODES} nodes") };
    Ok(Node::new(&cluster.name, cluster.subnet, free.ok_or_else(full)?))
}

/// Starts the sandbox of a node whose plan was written before, and waits until the node is Ready and has the images of the first
/// node.
///
/// # Errors
/// As [`super::up`].
pub async fn start_node(
    cluster: &Cluster,
    toolbox: &Toolbox,
    node: &Node,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<RunningNode, ClusterError> {
    let layout = Layout::new(&cluster.paths, node);
    // The sandbox takes the machine's namespaces from its caller.
    let images_copied = layout.node().join("images-copied");
    remove_file(&images_copied)?;
    let plan = BootPlan::read(&layout.plan())?;
    let plan = BootPlan { caller: std::process::id(), images_copied: Some(images_copied.clone()), ..plan };
    let text = serde_json::to_string(&plan).map_err(|source| IoError::new("write the plan", source.into()))?;
    pki::write(&layout.plan(), &text)?;
    let mut sandbox = BootingSandbox::start(&layout, &plan).await?;
    let running = RunningNode { node: node.clone(), pid: sandbox.pid };
    network::connect_node(toolbox.path(Program::Ip), cluster, &running)?;
    if let Some(router) = &cluster.router {
        configure_inside(router.pid, toolbox, &layout, &router_node_link(node, cluster.subnet)).await?;
    }
    sandbox.go().await?;
    let progress = progress.of(&node.name);
    let images = async {
        copy_images(cluster.first(), &running, &layout, toolbox, &progress).await?;
        Ok(pki::write(&images_copied, "")?)
    };
    let booted = async { tokio::try_join!(sandbox.follow(&plan, &progress), images) };
    shutdown::unless(shutdown, booted).await??;
    let step = progress.step("wait for the node to be Ready");
    let client = client(cluster).await?;
    shutdown::unless(shutdown, node_ready(&client, &plan)).await??;
    step.done();
    pki::write(&layout.booted(), "")?;
    Ok(running)
}

/// Copies the images of one node to another, as soon as containerd runs there. An image that cannot be copied is pulled by the
/// kubelet when a pod needs it.
async fn copy_images(
    from: &RunningNode,
    to: &RunningNode,
    layout: &Layout,
    toolbox: &Toolbox,
    progress: &Progress,
) -> Result<(), ClusterError> {
    // Its containerd is being started. If it does not start, its supervisor reports why.
    while runtime_images::names(&containerd_socket(to)).await.is_err() {
        sleep(AGAIN).await;
    }
    let archive = layout.node().join("image.tar");
    let listed = images_on(from, toolbox, &["ls", "--quiet"]).run_async().await?;
    let listed = String::from_utf8_lossy(&listed);
    for name in listed.lines().filter(|name| !name.starts_with("sha256:")) {
        // Without --local, ctr may end before it has written the whole archive.
        let export = [OsStr::new("export"), OsStr::new("--local"), archive.as_os_str(), OsStr::new(name)];
        let export = images_on(from, toolbox, &export);
        let import = images_on(to, toolbox, &[OsStr::new("import"), archive.as_os_str()]);
        let copied = async {
            export.run_async().await?;
            import.run_async().await?;
            found_by_kubelet(to, name).await
        };
        if let Err(error) = copied.await {
            progress.note(format!("the image {name} could not be copied: {error}"));
        }
    }
    Ok(remove_file(&archive)?)
}

/// Waits until the kubelet of a node finds an image there.
async fn found_by_kubelet(node: &RunningNode, name: &str) -> Result<(), ClusterError> {
    let socket = containerd_socket(node);
    let found = async {
        while !runtime_images::names(&socket).await?.iter().any(|found| found == name) {
            sleep(AGAIN).await;
        }
        Ok(())
    };
    let found = timeout(PATIENCE, found).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    found.map_err(|source| IoError::new(format!("find {name} among the images of the kubelet"), source).into())
}

/// Removes a file, if it is there.
fn remove_file(path: &Path) -> Result<(), IoError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(IoError::file("remove", path, source)),
        _ => Ok(()),
    }
}

/// Puts a router between the machine and the only node. The node's end of the link moves to the router, so that the machine's end
/// stays as it is; the node gets a link to the router, with its old address.
async fn insert_router(cluster: &Cluster, toolbox: &Toolbox, plan: &BootPlan) -> Result<Router, ClusterError> {
    let (ip, first) = (toolbox.path(Program::Ip), cluster.first());
    let layout = Layout::of_sandbox(&cluster.paths, &router_name(&cluster.name));
    let mut sandbox = BootingSandbox::start(&layout, plan).await?;
    let router = Router { name: plan.name.clone(), pid: sandbox.pid };
    let with_router = Cluster { router: Some(router.clone()), ..cluster.clone() };
    let pid = router.pid.to_string();
    run_inside(first.pid, toolbox, ip, &["link", "set", NODE_LINK, "netns", &pid]).await?;
    run_inside(router.pid, toolbox, ip, &["link", "set", NODE_LINK, "name", HOST_LINK]).await?;
    network::connect_node(ip, &with_router, first)?;
    configure_inside(first.pid, toolbox, &layout, &node_link(&first.node, cluster.subnet, Uplink::Router)).await?;
    sandbox.go().await?;
    network::route_external(ip, cluster, cluster.subnet.router())?;
    sandbox.follow(plan, &Progress::silent()).await?;
    Ok(router)
}

/// Configures the network namespace of a sandbox that runs.
async fn configure_inside(
    pid: i32,
    toolbox: &Toolbox,
    layout: &Layout,
    steps: &[NetworkStep],
) -> Result<(), ClusterError> {
    let steps = serde_json::to_string(steps).map_err(|source| IoError::new("write network steps", source.into()))?;
    let ip = toolbox.path(Program::Ip).display().to_string();
    run_inside(pid, toolbox, &layout.evenkeel(), &["sandbox", "configure-network", &ip, &steps]).await
}

async fn run_inside(pid: i32, toolbox: &Toolbox, program: &Path, arguments: &[&str]) -> Result<(), ClusterError> {
    inside_network_of(pid, toolbox.path(Program::Nsenter), program, arguments).run_async().await?;
    Ok(())
}

/// Configures this network namespace, by steps as JSON. Runs inside of it.
///
/// # Errors
/// [`ClusterError::Io`] or [`ClusterError::Program`], naming what the kernel refused.
pub fn configure_network(ip: &Path, steps: &str) -> Result<(), ClusterError> {
    let steps: Vec<NetworkStep> =
        serde_json::from_str(steps).map_err(|source| IoError::new("read network steps", source.into()))?;
    network::configure(ip, &steps)
}

/// Removes the link of a node and kills all its processes, as if its machine lost power, and waits until they are gone. The kernel
/// would remove the link only after them, and until then refuse connections in their place.
///
/// # Errors
/// [`ClusterError::Io`] when they do not end, [`ClusterError::Program`] when the link cannot be removed.
pub fn kill_node(cluster: &Cluster, node: &Node) -> Result<(), ClusterError> {
    let running = cluster.nodes.iter().find(|running| running.node == *node);
    if let (Some(running), Some(_)) = (running, &cluster.router) {
        change_link(cluster, running, LinkChange::Delete)?;
    }
    residue::end_processes(&node.cgroup(&cluster.name)).map(drop)
}

/// Removes a node's processes, cgroups and files. The Node object in the API server is another matter.
///
/// # Errors
/// [`ClusterError::Io`].
pub fn remove_node(cluster: &Cluster, node: &Node) -> Result<(), ClusterError> {
    kill_node(cluster, node)?;
    for removed in residue::remove_cgroups(&node.cgroup(&cluster.name))? {
        removed?;
    }
    let layout = Layout::new(&cluster.paths, node);
    let directories: [PathBuf; 2] = [layout.node(), layout.logs()];
    for directory in directories {
        match fs::remove_dir_all(&directory) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(IoError::file("remove", &directory, source).into());
            }
            _ => {}
        }
    }
    Ok(())
}
