//! kubelet: runs the node's pods through containerd. It is ready when it has registered its node.

use crate::config::{CLUSTER_DOMAIN, DNS_SERVICE, LEASE_SECONDS, MAX_PODS_PER_NODE, NodeCount, ZONE_LABEL};
use crate::toolbox::Program;

use super::{BootPhase, CONTAINERD_SOCKET, ComponentContext, ComponentSpec, Ready, pki};

/// Its port on the node's address, for the API server.
pub(in crate::cluster) const PORT: u16 = 10250;
const HEALTH_PORT: u16 = 10248;

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig(&pki::kubelet(context.node));
    let config = context.layout.conf("kubelet.json");
    let resolv_conf = context.layout.conf("resolv.conf");
    let ready = Ready::Get(format!("{}/api/v1/nodes/{}", context.api_server(), context.node.name));
    let zone = context.shape.zone_of(context.node.index);
    let labels = zone.map(|zone| format!("--node-labels={ZONE_LABEL}={zone}"));
    let mut spec = ComponentSpec::new("kubelet", context.program(Program::Kubelet), BootPhase::Cluster, ready)
        .arg(format!("--config={}", config.display()))
        .arg(format!("--kubeconfig={}", kubeconfig.path.display()))
        .arg(format!("--hostname-override={}", context.node.name))
        .arg(format!("--node-ip={}", context.node.address))
        .arg("--root-dir=/var/lib/kubelet")
        .file(config, settings(context).to_string())
        .file(resolv_conf, "# The lab has no DNS server outside the cluster.\n".into())
        .file(kubeconfig.path, kubeconfig.content);
    spec.args.extend(labels);
    spec
}

fn settings(context: &ComponentContext) -> serde_json::Value {
    let serving = pki::kubelet_serving(context.node);
    let mut settings = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": context.node.address,
        "port": PORT,
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": context.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": context.pki(&format!("{serving}.crt")),
        "tlsPrivateKeyFile": context.pki(&format!("{serving}.key")),
        "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": HEALTH_PORT,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", context.cgroup),
        "failCgroupV1": false,
        "failSwapOn": false,
        "maxPods": MAX_PODS_PER_NODE,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": context.layout.conf("resolv.conf"),
        "podLogsDir": "/var/log/pods",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
        "eventRecordQPS": 500,
        "eventBurst": 1000,
        "serializeImagePulls": false,
        // With hundreds of pods that start at once on two processors, a start takes longer than the default of two minutes.
        "runtimeRequestTimeout": "10m",
        // The kubelet would not let a pod run what was loaded by one name after it has pulled the same content by another.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "evictionHard": { "memory.available": "50Mi" },
        // On some machines root must not lower an OOM score.
        "oomScoreAdj": 0,
        "enableDebuggingHandlers": true,
        "enableProfilingHandler": false,
        "enableDebugFlagsHandler": false,
        "logging": { "verbosity": 1 },
    });
    if context.shape.nodes > NodeCount::ONE {
        settings["nodeLeaseDurationSeconds"] = LEASE_SECONDS.into();
    }
    settings
}
