//! `up`: boots the nodes until they are Ready, and undoes everything when that fails.

use std::path::PathBuf;

use futures::future::try_join_all;

use crate::cluster::ClusterError;
use crate::config::{LabName, LabShape, Paths, ProxyMode};
use crate::image::Image;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::toolbox::{Program, Toolbox};

use super::boot_sandbox::BootingSandbox;
use super::component;
use super::layout::Layout;
use super::node::{Cluster, Node, Router, RunningNode};
use super::node_ready::node_ready;
use super::plan::BootPlan;
use super::prepare::prepare;
use super::residue::{self, Keep};
use super::{apparmor, find, gc_roots, link_changes, memory, network, pki, reach};

/// What `up` needs.
pub struct BootRequest<'a> {
    /// The lab's name.
    pub name: &'a LabName,
    /// Where its files are.
    pub paths: &'a Paths,
    /// The programs.
    pub toolbox: &'a Toolbox,
    /// The pause image.
    pub pause: &'a Image,
    /// Files that a later verb uses in this lab.
    pub used_later: &'a [PathBuf],
    /// How kube-proxy balances.
    pub proxy_mode: ProxyMode,
    /// How many nodes there are, in which zones, and how they are reached.
    pub shape: LabShape,
    /// The variables that finding an image reads; see [`crate::image::read_variables`].
    pub environment: &'a [(String, String)],
    /// Whether a failed boot is kept for inspection.
    pub keep: bool,
}

/// Boots the cluster, after it has removed what an earlier lab of this name left. When the boot fails, everything but the
/// logs is removed, unless `keep` is set. When it is interrupted, everything is removed.
///
/// # Errors
/// [`ClusterError::StateElsewhere`] or [`ClusterError::HiddenLab`] for a running lab that `paths` does not lead to, [`ClusterError::Component`]
/// with the failing component's last lines, [`ClusterError::RefusedFlags`], [`ClusterError::Taken`], [`ClusterError::LittleMemory`],
/// [`ClusterError::Unreachable`], [`ClusterError::Program`], [`ClusterError::Io`], [`ClusterError::Interrupted`].
pub async fn up(request: &BootRequest<'_>, progress: &Progress, shutdown: &Shutdown) -> Result<Cluster, ClusterError> {
    let ip = request.toolbox.path(Program::Ip);
    request.paths.refuse_file()?;
    // A running lab that has its state in another place must not be removed below.
    if let Err(error @ (ClusterError::StateElsewhere { .. } | ClusterError::HiddenLab { .. })) =
        find(request.name, request.paths)
    {
        return Err(error);
    }
    if !request.toolbox.has_pinned_kubernetes() {
        // The flags of the pinned release are known.
        shutdown::unless(shutdown, component::check_flags(request.name, request.paths, request.toolbox)).await??;
    }
    residue::remove(request.name, request.paths, ip, Keep::Nothing, &Progress::silent())?;
    network::check_name_is_free(request.name)?;
    network::check_free(ip, request.shape.subnet)?;
    memory::require(request.shape.nodes)?;
    let booted = boot(request, progress, shutdown).await;
    if let Err(error) = booted {
        let interrupted = error.is_interrupted();
        if !request.keep || interrupted {
            let keep = if interrupted { Keep::Nothing } else { Keep::Logs };
            let undo = progress.step("undo what was done");
            if residue::remove(request.name, request.paths, ip, keep, &Progress::silent()).is_ok() {
                undo.done();
            }
        }
        return Err(error);
    }
    booted
}

async fn boot(request: &BootRequest<'_>, progress: &Progress, shutdown: &Shutdown) -> Result<Cluster, ClusterError> {
    let count = request.shape.nodes.get();
    let nodes: Vec<Node> = (0..count).map(|index| Node::new(request.name, request.shape.subnet, index)).collect();

    keep_from_collection(request, progress);
    let step = progress.step("write certificates and configuration");
    let plans = prepare(request, &nodes)?;
    apparmor::note_absence(request.name)?;
    step.done();

    let several = nodes.len() > 1;
    let step = progress.step(if several { "make the sandboxes" } else { "make the sandbox" });
    let all: Vec<&BootPlan> = plans.nodes.iter().chain(&plans.router).collect();
    let mut sandboxes = Vec::new();
    for plan in &all {
        sandboxes.push(BootingSandbox::start(&Layout::of_sandbox(request.paths, &plan.name), plan).await?);
    }
    let running =
        nodes.iter().zip(&sandboxes).map(|(node, sandbox)| RunningNode { node: node.clone(), pid: sandbox.pid });
    let cluster = Cluster {
        name: request.name.clone(),
        paths: request.paths.clone(),
        subnet: request.shape.subnet,
        nodes: running.collect(),
        router: plans
            .router
            .as_ref()
            .zip(sandboxes.last())
            .map(|(plan, sandbox)| Router { name: plan.name.clone(), pid: sandbox.pid }),
    };
    network::connect(request.toolbox.path(Program::Ip), &cluster)
        .map_err(|error| link_changes::or_cause(&cluster, error))?;
    for sandbox in &mut sandboxes {
        sandbox.go().await?;
    }
    step.done();

    let follow = sandboxes.iter_mut().zip(&all).map(|(sandbox, plan)| {
        let progress = if several { progress.of(&plan.name) } else { progress.clone() };
        async move { sandbox.follow(plan, &progress).await }
    });
    shutdown::unless(shutdown, try_join_all(follow)).await??;

    let waited_for = if several { "the nodes" } else { "the node" };
    let step = progress.step(format!("wait for {waited_for} to be Ready"));
    shutdown::unless(shutdown, reach::check(request.name, &nodes, request.toolbox.path(Program::Nft)))
        .await?
        .map_err(|error| link_changes::or_cause(&cluster, error))?;
    let client = super::client(&cluster).await?;
    let ready = async {
        tokio::try_join!(
            try_join_all(plans.nodes.iter().map(|plan| node_ready(&client, plan))),
            super::import_image(&cluster, request.toolbox, request.pause),
        )
    };
    shutdown::unless(shutdown, ready).await??;
    step.done();
    nodes.iter().try_for_each(|node| pki::write(&Layout::new(request.paths, node).booted(), ""))?;
    if let Ok(Some(changes)) = link_changes(&cluster) {
        progress.note(changes.to_string());
    }
    Ok(cluster)
}

/// Keeps Nix's garbage collector from deleting what the lab uses. The lab works without, so a failure is only reported.
fn keep_from_collection(request: &BootRequest, progress: &Progress) {
    let own = std::env::current_exe().ok();
    let files = own.iter().chain(request.used_later).chain([&request.pause.archive]).map(PathBuf::as_path);
    let programs = request.toolbox.programs().map(|(_, path)| path);
    if let Err(error) = gc_roots::make(request.name, programs.chain(files)) {
        progress.note(format!("Nix's garbage collector may delete programs of the lab while it is up: {error}"));
    }
}
