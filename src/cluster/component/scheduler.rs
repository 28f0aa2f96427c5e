//! kube-scheduler: assigns each pod to a node.

use crate::toolbox::Program;

use super::{BootPhase, ComponentContext, ComponentSpec, Ready};

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig("scheduler");
    let config = context.layout.conf("scheduler.json");
    let settings = serde_json::json!({
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": { "leaderElect": false },
        "clientConnection": { "kubeconfig": kubeconfig.path, "qps": 500, "burst": 1000 },
        "enableProfiling": false,
    });
    let ready = Ready::Get("https://127.0.0.1:10259/healthz".into());
    ComponentSpec::new("kube-scheduler", context.program(Program::KubeScheduler), BootPhase::Cluster, ready)
        .arg("--bind-address=127.0.0.1")
        .arg(format!("--config={}", config.display()))
        .arg(format!("--tls-cert-file={}", context.pki("loopback.crt")))
        .arg(format!("--tls-private-key-file={}", context.pki("loopback.key")))
        .arg(format!("--client-ca-file={}", context.pki("ca.crt")))
        .arg(format!("--authentication-kubeconfig={}", kubeconfig.path.display()))
        .arg(format!("--authorization-kubeconfig={}", kubeconfig.path.display()))
        .file(config, settings.to_string())
        .file(kubeconfig.path, kubeconfig.content)
}
