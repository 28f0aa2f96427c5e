//! kube-proxy: programs Services and external IPs into the node's kernel.
//!
//! It starts after the kubelet has registered the node. If it started before, it would check again only after a second.

use crate::config::POD_CIDR;
use crate::toolbox::Program;

use super::{BootPhase, ComponentContext, ComponentSpec, Ready};

const HEALTH: &str = "127.0.0.1:10256";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig("kube-proxy");
    let config = context.layout.conf("kube-proxy.json");
    let settings = serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": { "kubeconfig": kubeconfig.path, "qps": 500, "burst": 1000 },
        "hostnameOverride": context.node.name,
        "mode": context.proxy_mode,
        "clusterCIDR": POD_CIDR,
        "healthzBindAddress": HEALTH,
        "metricsBindAddress": "127.0.0.1:10249",
        // With the default of one second between syncs, scaling would take a second longer.
        "nftables": { "minSyncPeriod": "10ms" },
        "iptables": { "minSyncPeriod": "10ms" },
        // Zero leaves the limits of connection tracking unchanged: they apply to the whole machine.
        "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        "oomScoreAdj": 0,
    });
    let ready = Ready::Get(format!("http://{HEALTH}/healthz"));
    ComponentSpec::new("kube-proxy", context.program(Program::KubeProxy), BootPhase::Network, ready)
        .arg(format!("--config={}", config.display()))
        .file(config, settings.to_string())
        .file(kubeconfig.path, kubeconfig.content)
}
