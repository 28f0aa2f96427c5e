//! Writes what the sandboxes read: links to the programs, certificates, configuration, and a plan for each sandbox.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::ClusterError;
use crate::config::{LabName, LabShape, Paths, ProxyMode};
use crate::io_error::IoError;
use crate::toolbox::{Program, Toolbox};

use super::boot::BootRequest;
use super::component::{self, ComponentContext, ComponentSpec};
use super::layout::Layout;
use super::network_plan::{self, NetworkStep, Uplink};
use super::node::{Cluster, Node, router_name};
use super::plan::{BootPlan, TlsIdentity};
use super::{encryption, external_packets, kubeconfig, pki};

/// How long a component, and then a node, may take to become ready. A component that dies fails the boot at once, so this
/// limit is only for a component that hangs. It is long enough for an emulated machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(300);

/// What the plans of all sandboxes of a lab have in common.
pub(super) struct Preparation<'a> {
    name: &'a LabName,
    paths: &'a Paths,
    toolbox: &'a Toolbox,
    environment: &'a [(String, String)],
    /// The reference of the pause image.
    pause: String,
    proxy_mode: ProxyMode,
    shape: LabShape,
    keep: bool,
    /// The node that runs the control plane.
    control_plane: Node,
    /// The directories of the programs.
    programs: Vec<PathBuf>,
}

/// The plans of a lab that is booted.
pub(super) struct LabPlans {
    /// One for each node, that of the control plane first.
    pub(super) nodes: Vec<BootPlan>,
    /// That of the router.
    pub(super) router: Option<BootPlan>,
}

/// Writes everything for a new lab with these nodes. A lab of one node has no router.
pub(super) fn prepare(request: &BootRequest, nodes: &[Node]) -> Result<LabPlans, ClusterError> {
    let control_plane = Node::new(request.name, request.shape.subnet, 0);
    let shared = Layout::new(request.paths, &control_plane);
    create_directory(&shared.bin())?;
    let programs = link_programs(request.toolbox, &shared)?;
    pki::create(&shared.pki(""), nodes)?;
    encryption::create(&shared.pki(encryption::FILE))?;
    let url = component::api_server(control_plane.address);
    kubeconfig::write(&request.paths.kubeconfig(), &url, &shared)?;
    let preparation = Preparation {
        name: request.name,
        paths: request.paths,
        toolbox: request.toolbox,
        environment: request.environment,
        pause: request.pause.reference.clone(),
        proxy_mode: request.proxy_mode,
        shape: request.shape,
        keep: request.keep,
        control_plane,
        programs,
    };
    let several = nodes.len() > 1;
    let uplink = if several { Uplink::Router } else { Uplink::Machine };
    Ok(LabPlans {
        nodes: nodes.iter().map(|node| preparation.node(node, uplink)).collect::<Result<_, _>>()?,
        router: several.then(|| preparation.router(nodes)).transpose()?,
    })
}

impl<'a> Preparation<'a> {
    /// What the plans of a running lab have in common, for a sandbox that is added.
    pub(super) fn of_running(
        cluster: &'a Cluster,
        toolbox: &'a Toolbox,
        environment: &'a [(String, String)],
    ) -> Result<Self, ClusterError> {
        let control_plane = cluster.first().node.clone();
        let plan = BootPlan::read(&Layout::new(&cluster.paths, &control_plane).plan())?;
        Ok(Self {
            name: &cluster.name,
            paths: &cluster.paths,
            toolbox,
            environment,
            pause: plan.pause,
            proxy_mode: plan.proxy_mode,
            shape: plan.shape,
            keep: false,
            control_plane,
            programs: plan.keep_visible.into_iter().filter(|path| *path != plan.state).collect(),
        })
    }

    /// Writes what the sandbox of one node reads.
    pub(super) fn node(&self, node: &Node, uplink: Uplink) -> Result<BootPlan, ClusterError> {
        let layout = Layout::new(self.paths, node);
        create_directories(&layout)?;
        for private in ["cni", "registries/_default"] {
            create_private(&layout.conf(private))?;
        }
        let token = encryption::random_key()?;
        let context = self.context(node, &node.name, &layout, &token);
        let mut network = network_plan::of_node(node, self.shape.subnet, uplink);
        network.extend(external_packets::steps(self.toolbox.path(Program::Nft).to_owned(), self.shape.subnet));
        self.write_plan(&node.name, &layout, component::specs(&context), network)
    }

    /// Writes what the sandbox of the router reads.
    pub(super) fn router(&self, nodes: &[Node]) -> Result<BootPlan, ClusterError> {
        let name = router_name(self.name);
        let layout = Layout::of_sandbox(self.paths, &name);
        create_directories(&layout)?;
        let context = self.context(&self.control_plane, &name, &layout, "");
        let network = network_plan::of_router(nodes, self.shape.subnet);
        self.write_plan(&name, &layout, component::router_specs(&context), network)
    }

    fn context<'b>(
        &'b self,
        node: &'b Node,
        sandbox: &str,
        layout: &'b Layout,
        token: &'b str,
    ) -> ComponentContext<'b> {
        ComponentContext {
            lab: self.name,
            node,
            control_plane: self.control_plane.address,
            cgroup: format!("{}/{sandbox}", self.name.cgroup()),
            toolbox: self.toolbox,
            layout,
            pause: &self.pause,
            proxy_mode: self.proxy_mode,
            shape: self.shape,
            mirror_token: token,
            cache: &self.paths.cache,
            environment: self.environment,
        }
    }

    fn write_plan(
        &self,
        name: &str,
        layout: &Layout,
        components: Vec<ComponentSpec>,
        network: Vec<NetworkStep>,
    ) -> Result<BootPlan, ClusterError> {
        for file in components.iter().flat_map(|spec| &spec.files) {
            pki::write(&file.path, &file.content)?;
        }
        let plan = BootPlan {
            name: name.to_owned(),
            network,
            cgroup: self.name.cgroup(),
            state: layout.state(),
            keep_visible: [&[layout.state()], self.programs.as_slice()].concat(),
            // The machine's own directories come last, for programs that the components call.
            path: format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", layout.bin().display()),
            ip: self.toolbox.path(Program::Ip).to_owned(),
            logs: layout.logs(),
            status: layout.components(),
            identity: TlsIdentity {
                authority: layout.pki("ca.crt"),
                certificate: layout.pki("admin.crt"),
                key: layout.pki("admin.key"),
            },
            caller: std::process::id(),
            api_server: component::api_server(self.control_plane.address),
            components,
            deadline: DEADLINE,
            proxy_mode: self.proxy_mode,
            shape: self.shape,
            images_copied: None,
            pause: self.pause.clone(),
            keep: self.keep,
        };
        let text = serde_json::to_string(&plan).map_err(|source| IoError::new("write the plan", source.into()))?;
        pki::write(&layout.plan(), &text)?;
        Ok(plan)
    }
}

fn create_directories(layout: &Layout) -> Result<(), IoError> {
    create_directory(&layout.node())?;
    create_directory(&layout.logs())?;
    create_private(&layout.conf(""))
}

fn create_private(path: &Path) -> Result<(), IoError> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| IoError::file("create", path, source))
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
