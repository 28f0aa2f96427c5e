//! `up`: from nothing to a node that is Ready, with everything undone when it fails.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use crate::config::{LabName, Paths, ProxyMode};
use crate::error::Error;
use crate::image::Image;
use crate::process::{self, Invocation};
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::toolbox::{Program, Toolbox};

use super::component::{self, Context};
use super::layout::Layout;
use super::node::{Cluster, Node, RunningNode};
use super::plan::{BootPlan, Identity, Message};
use super::residue::{self, Keep};
use super::{cgroup, encryption, kubeconfig, memory, network, pki, reach};

/// How long a component, and then the node, may take to become ready. A component that dies fails the boot at once, so
/// this is only for one that hangs, and may be long enough for an emulated machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// What `up` needs.
pub struct Request<'a> {
    /// The lab's name.
    pub name: &'a LabName,
    /// Where it keeps things.
    pub paths: &'a Paths,
    /// The programs.
    pub toolbox: &'a Toolbox,
    /// The pause image.
    pub pause: &'a Image,
    /// How kube-proxy balances.
    pub proxy_mode: ProxyMode,
    /// Whether a failed boot stays for a look.
    pub keep: bool,
}

/// Boots the cluster. Whatever an earlier lab of this name left is removed first; on failure (and on `shutdown`)
/// everything is undone but the logs, unless `keep` says otherwise.
///
/// # Errors
/// [`Error::Component`] with the failing component's last lines, [`Error::Taken`], [`Error::LittleMemory`],
/// [`Error::Unreachable`], [`Error::Program`], [`Error::Io`], [`Error::Interrupted`].
pub async fn up(request: &Request<'_>, progress: &Progress, shutdown: &Shutdown) -> Result<Cluster, Error> {
    let ip = request.toolbox.path(Program::Ip);
    request.paths.refuse_file()?;
    residue::remove(request.name, request.paths, ip, Keep::Nothing, &Progress::silent())?;
    network::check_name_is_free(request.name)?;
    network::check_free(ip)?;
    memory::require()?;
    let booted = boot(request, progress, shutdown).await;
    if let Err(error) = booted {
        let interrupted = matches!(error, Error::Interrupted);
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

async fn boot(request: &Request<'_>, progress: &Progress, shutdown: &Shutdown) -> Result<Cluster, Error> {
    let node = Node::new(request.name, 0);
    let layout = Layout::new(request.paths, &node);

    let step = progress.step("write certificates and configuration");
    let plan = prepare(request, &node, &layout)?;
    step.done();

    // Not to be broken off half-way: what enters the sandbox must be in its cgroup before it can be undone.
    let step = progress.step("make the sandbox");
    cgroup::create(&plan.cgroup, &node.name)?;
    let mut sandbox = Sandbox::start(&layout).await?;
    network::connect(&plan.ip, request.name, &node, sandbox.pid)?;
    sandbox.go().await?;
    step.done();

    shutdown::unless(shutdown, sandbox.follow(&plan, progress)).await?;
    let running = vec![RunningNode { node, pid: sandbox.pid }];
    let cluster = Cluster { name: request.name.clone(), paths: request.paths.clone(), nodes: running };

    let step = progress.step("wait for the node to be Ready");
    let nft = request.toolbox.path(Program::Nft);
    shutdown::unless(shutdown, reach::check(request.name, &cluster.first().node, nft)).await?;
    let client = super::client(&cluster).await?;
    let ready = async {
        tokio::try_join!(
            node_ready(&client, &cluster.first().node.name, &plan),
            super::import_image(&cluster, request.toolbox, request.pause),
        )
    };
    shutdown::unless(shutdown, ready).await?;
    step.done();
    pki::write(&layout.booted(), "")?;
    Ok(cluster)
}

/// Writes everything the sandbox reads: links to the programs, certificates, configuration, the plan.
fn prepare(request: &Request, node: &Node, layout: &Layout) -> Result<BootPlan, Error> {
    for directory in [layout.node(), layout.bin(), layout.logs()] {
        fs::create_dir_all(&directory).map_err(|source| Error::file("create", &directory, source))?;
    }
    for private in [layout.conf(""), layout.conf("cni")] {
        fs::DirBuilder::new().mode(0o700).create(&private).map_err(|source| Error::file("create", &private, source))?;
    }
    let programs = link_programs(request.toolbox, layout)?;
    pki::create(&layout.pki(""), node)?;
    encryption::create(&layout.pki(encryption::FILE))?;

    let cgroup = request.name.cgroup();
    let context = Context {
        node,
        control_plane: node.address,
        cgroup: format!("{cgroup}/{}", node.name),
        toolbox: request.toolbox,
        layout,
        pause: &request.pause.reference,
        proxy_mode: request.proxy_mode,
    };
    let components = component::specs(&context);
    for file in components.iter().flat_map(|spec| &spec.files) {
        pki::write(&file.path, &file.content)?;
    }
    kubeconfig::write(&request.paths.kubeconfig(), &context.api_server(), layout)?;
    let plan = BootPlan {
        node: node.clone(),
        cgroup,
        keep_visible: [vec![layout.state()], programs].concat(),
        // The machine's own directories come last, for what the programs themselves may call.
        path: format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", layout.bin().display()),
        ip: request.toolbox.path(Program::Ip).to_owned(),
        logs: layout.logs(),
        status: layout.components(),
        identity: Identity {
            authority: layout.pki("ca.crt"),
            certificate: layout.pki("admin.crt"),
            key: layout.pki("admin.key"),
        },
        components,
        deadline: DEADLINE,
        proxy_mode: request.proxy_mode,
        keep: request.keep,
    };
    let text = serde_json::to_string(&plan).map_err(|source| Error::io("write the plan", source.into()))?;
    pki::write(&layout.plan(), &text)?;
    Ok(plan)
}

/// Links every program under its own name into one directory, and copies this one; returns the directories they are in.
///
/// Links lead to the real file, since the way there may lie below a directory that the sandbox masks.
fn link_programs(toolbox: &Toolbox, layout: &Layout) -> Result<Vec<PathBuf>, Error> {
    let mut directories = Vec::new();
    for (name, path) in toolbox.programs() {
        let real = path.canonicalize().map_err(|source| Error::file("find", path, source))?;
        let link = layout.bin().join(name);
        std::os::unix::fs::symlink(&real, &link).map_err(|source| Error::file("create", &link, source))?;
        directories.extend(real.parent().map(Path::to_owned));
    }
    let own = std::env::current_exe().map_err(|source| Error::io("find this program", source))?;
    let copied = fs::copy(&own, layout.evenkeel());
    copied.map_err(|source| Error::file("write a copy of this program to", &layout.evenkeel(), source))?;
    directories.sort();
    directories.dedup();
    Ok(directories)
}

/// The sandbox while it boots: its first process, and the pipes to it.
struct Sandbox {
    pid: i32,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Sandbox {
    /// Makes the namespaces; the first process then waits for [`Sandbox::go`].
    async fn start(layout: &Layout) -> Result<Self, Error> {
        let log = layout.log("sandbox");
        let log_file = fs::File::create(&log).map_err(|source| Error::file("create", &log, source))?;
        let plan = layout.plan();
        let enter = Invocation::new(layout.evenkeel(), ["sandbox".as_ref(), "enter".as_ref(), plan.as_os_str()]);
        // It dies with `up`; the first process of the sandbox, which it starts, does not.
        let mut command = tokio::process::Command::from(enter.command());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file);
        let mut child = command.spawn().map_err(|source| enter.not_started(&source))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(enter.not_started(&io::Error::other("it has no pipes")));
        };
        let mut sandbox = Self { pid: 0, stdin, lines: BufReader::new(stdout).lines(), log };
        let status = child.wait().await.map_err(|source| enter.not_started(&source))?;
        if !status.success() {
            return Err(sandbox.failed("sandbox", format!("could not be made ({})", process::outcome(status))));
        }
        match sandbox.hear().await? {
            Some(Message::Entered(pid)) => Ok(Self { pid, ..sandbox }),
            _ => Err(sandbox.failed("sandbox", "did not say its process id".into())),
        }
    }

    async fn go(&mut self) -> Result<(), Error> {
        self.stdin.write_all(b"go\n").await.map_err(|source| Error::io("start the sandbox", source))
    }

    /// Passes on the boot's progress until it is complete.
    async fn follow(&mut self, plan: &BootPlan, progress: &Progress) -> Result<(), Error> {
        loop {
            match self.hear().await? {
                Some(Message::Progress(event)) => progress.emit(event),
                Some(Message::Booted) => return Ok(()),
                Some(Message::Failed { component, what }) => return Err(plan.failure(&component, what)),
                Some(Message::Entered(_)) => {}
                None => return Err(self.failed("sandbox", "ended before the cluster was up".into())),
            }
        }
    }

    async fn hear(&mut self) -> Result<Option<Message>, Error> {
        let line = self.lines.next_line().await.map_err(|source| Error::io("hear the sandbox", source))?;
        line.map(|line| {
            serde_json::from_str(&line).map_err(|source| Error::io("understand the sandbox", source.into()))
        })
        .transpose()
    }

    fn failed(&self, component: &str, what: String) -> Error {
        let tail = process::tail_of(&self.log, 8);
        Error::Component { component: component.to_owned(), what, tail, log: self.log.clone() }
    }
}

/// Waits until the node's Ready condition is true.
async fn node_ready(client: &Client, name: &str, plan: &BootPlan) -> Result<(), Error> {
    let nodes: Api<core::Node> = Api::all(client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
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

/// Why a node is not Ready, in Kubernetes' words; nothing when it is.
fn not_ready(node: &core::Node) -> Option<String> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.and_then(|all| all.iter().find(|condition| condition.type_ == "Ready"));
    match ready {
        Some(condition) if condition.status == "True" => None,
        Some(condition) => Some(condition.message.clone().unwrap_or_else(|| "no reason given".into())),
        None => Some("it has no status yet".into()),
    }
}
