//! containerd: runs the pods with runc, and connects them to the network with the CNI plugins ptp and host-local.

use crate::toolbox::Program;

use super::super::image_mirror::{ADDRESS, TOKEN_HEADER};
use super::{BootPhase, ComponentContext, ComponentSpec, Ready};

/// Its socket inside the sandbox.
pub(in crate::cluster) const SOCKET: &str = "/run/containerd/containerd.sock";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let config = context.layout.conf("containerd.toml");
    ComponentSpec::new(
        "containerd",
        context.program(Program::Containerd),
        BootPhase::Base,
        Ready::Socket(SOCKET.into()),
    )
    .arg(format!("--config={}", config.display()))
    .arg("--log-level=warn")
    .file(config, settings(context))
    .file(context.layout.conf("registries/_default/hosts.toml"), registries(context))
    .file(context.layout.conf("cni/10-evenkeel.conflist"), network(context))
}

/// Every containerd since 2.0 supports version 3 of the configuration.
///
/// - The plugin `opt` is disabled: it would create `/opt/containerd` on the machine, and prefer programs from there.
/// - Statistics are collected once a minute: with 100 pods, containerd's default of one second takes a tenth of a core.
/// - `restrict_oom_score_adj` is set because root must not lower OOM scores on some machines.
fn settings(context: &ComponentContext) -> String {
    format!(
        r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing",
]

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
stats_collect_period = 60

[plugins."io.containerd.cri.v1.images".registry]
config_path = "{registries}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
stats_collect_period = "60s"
stats_retention_period = "5m"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{bin}"]
conf_dir = "{cni}"
use_internal_loopback = true
"#,
        pause = context.pause,
        runc = context.toolbox.path(Program::Runc).display(),
        bin = context.layout.bin().display(),
        cni = context.conf("cni"),
        registries = context.conf("registries"),
    )
}

/// All images come from the mirror, which stands for every registry.
fn registries(context: &ComponentContext) -> String {
    format!(
        "server = \"http://{ADDRESS}\"\ncapabilities = [\"pull\", \"resolve\"]\n\n[header]\n{TOKEN_HEADER} = \"{}\"\n",
        context.mirror_token
    )
}

/// ptp gives each pod its own link and route. It has 4% more throughput than a bridge, and does not need `br_netfilter`.
fn network(context: &ComponentContext) -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "evenkeel",
        "plugins": [
            {
                "type": "ptp",
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{
                        "subnet": context.node.pod_cidr,
                        "rangeEnd": context.node.last_pod_address(),
                    }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": "/run/cni/networks",
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
    .to_string()
}
