//! The components of a node: one file each, giving a [`ComponentSpec`] value.

mod apiserver;
mod containerd;
mod controller_manager;
mod coredns;
mod etcd;
mod external_ip;
mod flags;
mod image_mirror;
mod kube_proxy;
mod kubelet;
mod rights;
mod router;
mod scheduler;
mod volume_provisioner;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{LabName, LabShape, ProxyMode};
use crate::toolbox::{Program, Toolbox};

use super::layout::Layout;
use super::node::Node;
use super::{encryption, pki};

pub(super) use flags::check_flags;
pub use flags::{RefusedFlag, accepted, refused_flags};

pub(super) use apiserver::{NAME as API_SERVER, PORT as API_PORT};
pub(super) use containerd::SOCKET as CONTAINERD_SOCKET;
pub(super) use coredns::USER as COREDNS_USER;
pub(super) use external_ip::USER as EXTERNAL_IP_USER;
pub(super) use kubelet::PORT as KUBELET_PORT;
pub(super) use router::USER as ROUTER_USER;
pub(super) use volume_provisioner::USER as VOLUME_PROVISIONER_USER;

/// When a component starts. All components of a phase start together; the next phase starts when all of them are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BootPhase {
    /// Components that need no other: store, API and container runtime.
    Base,
    /// Components that need the API server.
    Cluster,
    /// Components that need the node to be registered.
    Network,
}

/// How to find out whether a component is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// It answers this URL with a status of 2xx; https uses the lab's certificates on both sides.
    Get(String),
    /// It accepts a connection on this socket.
    Socket(PathBuf),
    /// This file exists.
    File(PathBuf),
    /// It has no endpoint; it is ready when it runs.
    Started,
}

/// A file that must be there before the component starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigFile {
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub content: String,
}

/// One supervised program, as a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentSpec {
    /// Its name: `kubelet`.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// When it starts.
    pub phase: BootPhase,
    /// When it is ready.
    pub ready: Ready,
    /// The files that it reads.
    pub files: Vec<ConfigFile>,
    /// The objects that the API server must have before it starts: its rights, its Service.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// Whether it can run programs in the machine's own namespaces.
    #[serde(default)]
    pub with_machine: bool,
}

impl ComponentSpec {
    fn new(name: &str, program: PathBuf, phase: BootPhase, ready: Ready) -> Self {
        let (name, args) = (name.to_owned(), Vec::new());
        Self { name, program, args, phase, ready, files: vec![], objects: vec![], with_machine: false }
    }

    fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.args.extend(args.into_iter().map(str::to_owned));
        self
    }

    fn file(mut self, path: PathBuf, content: String) -> Self {
        self.files.push(ConfigFile { path, content });
        self
    }

    fn with_machine(mut self) -> Self {
        self.with_machine = true;
        self
    }

    fn objects(mut self, objects: impl IntoIterator<Item = Value>) -> Self {
        self.objects.extend(objects);
        self
    }
}

/// The values from which the spec of a component is made.
pub struct ComponentContext<'a> {
    /// The lab.
    pub lab: &'a LabName,
    /// The node it runs on.
    pub node: &'a Node,
    /// The address of the API server's node.
    pub control_plane: Ipv4Addr,
    /// The cgroup, below the root of every hierarchy, under which the kubelet puts its pods.
    pub cgroup: String,
    /// The programs.
    pub toolbox: &'a Toolbox,
    /// The node's files.
    pub layout: &'a Layout,
    /// The pause image's reference.
    pub pause: &'a str,
    /// How kube-proxy balances.
    pub proxy_mode: ProxyMode,
    /// What the lab is made of.
    pub shape: LabShape,
    /// What containerd proves itself with to the image mirror.
    pub mirror_token: &'a str,
    /// The cache of programs and images.
    pub cache: &'a Path,
    /// The variables of `up` that finding an image reads.
    pub environment: &'a [(String, String)],
}

impl ComponentContext<'_> {
    fn program(&self, program: Program) -> PathBuf {
        self.toolbox.path(program).to_owned()
    }

    fn pki(&self, file: &str) -> String {
        self.layout.pki(file).display().to_string()
    }

    fn conf(&self, file: &str) -> String {
        self.layout.conf(file).display().to_string()
    }

    /// The API server's URL.
    #[must_use]
    pub fn api_server(&self) -> String {
        api_server(self.control_plane)
    }

    /// A kubeconfig for a component, which names the certificate and key by path.
    fn kubeconfig(&self, identity: &str) -> ConfigFile {
        ConfigFile {
            path: self.layout.conf(&format!("{identity}.kubeconfig")),
            content: serde_json::json!({
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{ "name": "evenkeel", "cluster": {
                    "server": self.api_server(), "certificate-authority": self.pki("ca.crt") } }],
                "users": [{ "name": identity, "user": {
                    "client-certificate": self.pki(&format!("{identity}.crt")),
                    "client-key": self.pki(&format!("{identity}.key")) } }],
                "contexts": [{ "name": "evenkeel", "context": { "cluster": "evenkeel", "user": identity } }],
                "current-context": "evenkeel",
            })
            .to_string(),
        }
    }
}

/// Every component of the router's sandbox.
#[must_use]
pub fn router_specs(context: &ComponentContext) -> Vec<ComponentSpec> {
    vec![router::spec(context)]
}

/// The URL of the API server at this address.
pub(super) fn api_server(address: Ipv4Addr) -> String {
    format!("https://{address}:{}", apiserver::PORT)
}

/// Every component of a node, in the order in which they are shown; the phases define when they start.
#[must_use]
pub fn specs(context: &ComponentContext) -> Vec<ComponentSpec> {
    let mut specs = Vec::new();
    if context.node.is_control_plane() {
        specs.extend([etcd::spec(context), apiserver::spec(context)]);
    }
    specs.extend([image_mirror::spec(context), containerd::spec(context)]);
    if context.node.is_control_plane() {
        specs.extend([controller_manager::spec(context), scheduler::spec(context), external_ip::spec(context)]);
        specs.push(coredns::spec(context));
    }
    specs.extend([volume_provisioner::spec(context), kubelet::spec(context), kube_proxy::spec(context)]);
    specs
}
