//! `up`: boots the nodes until they are Ready, and undoes everything when that fails.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use crate::cluster::ClusterError;
use crate::config::{LabName, Paths, ProxyMode};
use crate::image::Image;
use crate::io_error::IoError;
use crate::process::{self, Invocation};
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::toolbox::{Program, Toolbox};

use super::component::{self, ComponentContext};
use super::layout::Layout;
use super::node::{Cluster, Node, RunningNode};
use super::plan::{BootPlan, Message, TlsIdentity};
use super::residue::{self, Keep};
use super::{apparmor, cgroup, encryption, find, gc_roots, kubeconfig, link_changes, memory, network, pki, reach};

/// How long a component, and then a node, may take to become ready. A component that dies fails the boot at once, so this
/// limit is only for a component that hangs. It is long enough for an emulated machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// How many nodes a lab has.
const NODES: u8 = 1;

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
    network::check_free(ip)?;
    memory::require()?;
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
    let nodes: Vec<Node> = (0..NODES).map(|index| Node::new(request.name, index)).collect();

    keep_from_collection(request, progress);
    let step = progress.step("write certificates and configuration");
    let plans = prepare(request, &nodes)?;
    apparmor::note_absence(request.name)?;
    step.done();

    // This must not be interrupted half-way: a process must be in the lab's cgroup before it can be undone.
    let step = progress.step(if nodes.len() == 1 { "make the sandbox" } else { "make the sandboxes" });
    let mut sandboxes = Vec::new();
    for plan in &plans {
        cgroup::create(&plan.cgroup, &plan.node.name)?;
        sandboxes.push(Sandbox::start(&Layout::new(request.paths, &plan.node)).await?);
    }
    let running =
        nodes.iter().zip(&sandboxes).map(|(node, sandbox)| RunningNode { node: node.clone(), pid: sandbox.pid });
    let cluster = Cluster { name: request.name.clone(), paths: request.paths.clone(), nodes: running.collect() };
    network::connect(request.toolbox.path(Program::Ip), request.name, &cluster.nodes)
        .map_err(|error| link_changes::or_cause(request.name, error))?;
    for sandbox in &mut sandboxes {
        sandbox.go().await?;
    }
    step.done();

    let follow = sandboxes.iter_mut().zip(&plans).map(|(sandbox, plan)| sandbox.follow(plan, progress));
    shutdown::unless(shutdown, try_join_all(follow)).await??;

    let waited_for = if nodes.len() == 1 { "the node" } else { "the nodes" };
    let step = progress.step(format!("wait for {waited_for} to be Ready"));
    shutdown::unless(shutdown, reach::check(request.name, &nodes, request.toolbox.path(Program::Nft)))
        .await?
        .map_err(|error| link_changes::or_cause(request.name, error))?;
    let client = super::client(&cluster).await?;
    let ready = async {
        tokio::try_join!(
            try_join_all(plans.iter().map(|plan| node_ready(&client, plan))),
            super::import_image(&cluster, request.toolbox, request.pause),
        )
    };
    shutdown::unless(shutdown, ready).await??;
    step.done();
    nodes.iter().try_for_each(|node| pki::write(&Layout::new(request.paths, node).booted(), ""))?;
    if let Ok(Some(changes)) = link_changes(request.name) {
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

/// Writes everything that the sandboxes read: links to the programs, certificates, configuration, a plan for each node.
fn prepare(request: &BootRequest, nodes: &[Node]) -> Result<Vec<BootPlan>, ClusterError> {
    let (Some(first), Some(control_plane)) = (nodes.first(), nodes.iter().find(|node| node.is_control_plane())) else {
        return Err(IoError::new("plan the lab", io::Error::other("no node runs the control plane")).into());
    };
    let shared = Layout::new(request.paths, first);
    create_directory(&shared.bin())?;
    let programs = link_programs(request.toolbox, &shared)?;
    pki::create(&shared.pki(""), nodes)?;
    encryption::create(&shared.pki(encryption::FILE))?;
    let plan = |node: &Node| prepare_node(request, node, control_plane, nodes, &programs);
    let plans = nodes.iter().map(plan).collect::<Result<Vec<_>, _>>()?;
    kubeconfig::write(&request.paths.kubeconfig(), &component::api_server(control_plane.address), &shared)?;
    Ok(plans)
}

/// Writes what the sandbox of one node reads.
fn prepare_node(
    request: &BootRequest,
    node: &Node,
    control_plane: &Node,
    nodes: &[Node],
    programs: &[PathBuf],
) -> Result<BootPlan, ClusterError> {
    let layout = Layout::new(request.paths, node);
    for directory in [layout.node(), layout.logs()] {
        create_directory(&directory)?;
    }
    for private in ["", "cni", "registries/_default"] {
        let private = layout.conf(private);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&private)
            .map_err(|source| IoError::file("create", &private, source))?;
    }
    let cgroup = request.name.cgroup();
    let context = ComponentContext {
        node,
        control_plane: control_plane.address,
        cgroup: format!("{cgroup}/{}", node.name),
        toolbox: request.toolbox,
        layout: &layout,
        pause: &request.pause.reference,
        proxy_mode: request.proxy_mode,
        mirror_token: &encryption::random_key()?,
        cache: &request.paths.cache,
        environment: request.environment,
    };
    let components = component::specs(&context);
    for file in components.iter().flat_map(|spec| &spec.files) {
        pki::write(&file.path, &file.content)?;
    }
    let plan = BootPlan {
        node: node.clone(),
        nodes: nodes.to_owned(),
        cgroup,
        state: layout.state(),
        keep_visible: [&[layout.state()], programs].concat(),
        // The machine's own directories come last, for programs that the components call.
        path: format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", layout.bin().display()),
        ip: request.toolbox.path(Program::Ip).to_owned(),
        logs: layout.logs(),
        status: layout.components(),
        identity: TlsIdentity {
            authority: layout.pki("ca.crt"),
            certificate: layout.pki("admin.crt"),
            key: layout.pki("admin.key"),
        },
        caller: std::process::id(),
        api_server: context.api_server(),
        components,
        deadline: DEADLINE,
        proxy_mode: request.proxy_mode,
        keep: request.keep,
    };
    let text = serde_json::to_string(&plan).map_err(|source| IoError::new("write the plan", source.into()))?;
    pki::write(&layout.plan(), &text)?;
    Ok(plan)
}

fn create_directory(path: &Path) -> Result<(), IoError> {
    fs::create_dir_all(path).map_err(|source| IoError::file("create", path, source))
}

/// Links every program by its own name into one directory, and copies this program there. Returns the directories in which
/// the programs are.
///
/// Each link leads to the real file, because another link on the way may be below a directory that the sandbox masks.
fn link_programs(toolbox: &Toolbox, layout: &Layout) -> Result<Vec<PathBuf>, ClusterError> {
    let mut directories = Vec::new();
    for (name, path) in toolbox.programs() {
        let real = path.canonicalize().map_err(|source| IoError::file("find", path, source))?;
        let link = layout.bin().join(name);
        std::os::unix::fs::symlink(&real, &link).map_err(|source| IoError::file("create", &link, source))?;
        directories.extend(real.parent().map(Path::to_owned));
    }
    let own = std::env::current_exe().map_err(|source| IoError::new("find this program", source))?;
    let copied = fs::copy(&own, layout.evenkeel());
    copied.map_err(|source| IoError::file("write a copy of this program to", &layout.evenkeel(), source))?;
    directories.sort();
    directories.dedup();
    Ok(directories)
}

/// A sandbox while it boots: its first process, and the pipes to that process.
struct Sandbox {
    pid: i32,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Sandbox {
    /// Makes the namespaces; the first process then waits for [`Sandbox::go`].
    async fn start(layout: &Layout) -> Result<Self, ClusterError> {
        let log = layout.log("sandbox");
        let log_file = fs::File::create(&log).map_err(|source| IoError::file("create", &log, source))?;
        let plan = layout.plan();
        let enter = Invocation::new(layout.evenkeel(), ["sandbox".as_ref(), "enter".as_ref(), plan.as_os_str()]);
        // This process ends with `up`. The sandbox's first process, which it starts, does not.
        let mut command = tokio::process::Command::from(enter.command());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().map_err(|source| enter.not_started(&source))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(enter.not_started(&io::Error::other("it has no pipes")).into());
        };
        let mut sandbox = Self { pid: 0, stdin, lines: BufReader::new(stdout).lines(), log };
        let status = child.wait().await.map_err(|source| enter.not_started(&source))?;
        if !status.success() {
            return Err(sandbox.failed("sandbox", format!("could not be made ({})", process::outcome(status))));
        }
        match sandbox.receive().await? {
            Some(Message::Entered(pid)) => Ok(Self { pid, ..sandbox }),
            _ => Err(sandbox.failed("sandbox", "did not report its process id".into())),
        }
    }

    async fn go(&mut self) -> Result<(), IoError> {
        self.stdin.write_all(b"go\n").await.map_err(|source| IoError::new("start the sandbox", source))
    }

    /// Passes on the progress of the boot until the boot is complete.
    async fn follow(&mut self, plan: &BootPlan, progress: &Progress) -> Result<(), ClusterError> {
        loop {
            match self.receive().await? {
                Some(Message::Progress(event)) => progress.emit(event),
                Some(Message::Booted) => return Ok(()),
                Some(Message::Failed { component, what }) => return Err(plan.failure(&component, what)),
                Some(Message::Entered(_)) => {}
                None => return Err(self.failed("sandbox", "ended before the cluster was up".into())),
            }
        }
    }

    async fn receive(&mut self) -> Result<Option<Message>, IoError> {
        let line = self.lines.next_line().await.map_err(|source| IoError::new("read from the sandbox", source))?;
        line.map(|line| {
            serde_json::from_str(&line).map_err(|source| IoError::new("parse a message of the sandbox", source.into()))
        })
        .transpose()
    }

    fn failed(&self, component: &str, what: String) -> ClusterError {
        let tail = process::tail_of(&self.log, 8);
        ClusterError::Component { component: component.to_owned(), what, tail, log: self.log.clone() }
    }
}

/// Waits until the node's Ready condition is true.
async fn node_ready(client: &Client, plan: &BootPlan) -> Result<(), ClusterError> {
    let nodes: Api<core::Node> = Api::all(client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={}", plan.node.name));
    let mut events = watcher(nodes, config).default_backoff().applied_objects().boxed();
    let watch = async {
        let mut last = "it has not registered".to_owned();
        let deadline = tokio::time::sleep(DEADLINE);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                () = &mut deadline => return Err(last),
                event = events.next() => match event {
                    Some(Ok(node)) => match not_ready(&node) {
                        None => return Ok(()),
                        Some(why) => last = why,
                    },
                    Some(Err(source)) => last = source.to_string(),
                    None => return Err(last),
                },
            }
        }
    };
    watch.await.map_err(|why| plan.failure("kubelet", format!("did not make its node Ready ({why})")))
}

/// Why a node is not Ready, as Kubernetes reports it; `None` when it is Ready.
fn not_ready(node: &core::Node) -> Option<String> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.and_then(|all| all.iter().find(|condition| condition.type_ == "Ready"));
    match ready {
        Some(condition) if condition.status == "True" => None,
        Some(condition) => Some(condition.message.clone().unwrap_or_else(|| "no reason given".into())),
        None => Some("it has no status yet".into()),
    }
}
