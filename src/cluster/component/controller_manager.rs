//! kube-controller-manager: turns Deployments into pods, and Services into EndpointSlices.

use crate::config::{NODE_GRACE_SECONDS, NodeCount};
use crate::toolbox::Program;

use super::{BootPhase, ComponentContext, ComponentSpec, Ready};

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig("controller-manager");
    let ready = Ready::Get("https://127.0.0.1:10257/healthz".into());
    let mut spec = ComponentSpec::new(
        "kube-controller-manager",
        context.program(Program::KubeControllerManager),
        BootPhase::Cluster,
        ready,
    )
    .args(["--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"])
    // Each controller needs its own identity, because RBAC grants rights to each of them.
    .arg("--use-service-account-credentials=true")
    // The default of 20 requests a second delays the first Deployment by 5 s.
    .args(["--kube-api-qps=500", "--kube-api-burst=1000"])
    // Changes must reach kube-proxy at once, also when a hundred pods change at the same time.
    .args([
        "--concurrent-service-endpoint-syncs=10",
        "--endpointslice-updates-batch-period=0s",
        "--endpoint-updates-batch-period=500ms",
    ])
    .arg(format!("--service-account-private-key-file={}", context.pki("service-account.key")))
    .arg(format!("--root-ca-file={}", context.pki("ca.crt")))
    .arg(format!("--tls-cert-file={}", context.pki("loopback.crt")))
    .arg(format!("--tls-private-key-file={}", context.pki("loopback.key")))
    .arg(format!("--client-ca-file={}", context.pki("ca.crt")))
    .arg(format!("--kubeconfig={}", kubeconfig.path.display()))
    .arg(format!("--authentication-kubeconfig={}", kubeconfig.path.display()))
    .arg(format!("--authorization-kubeconfig={}", kubeconfig.path.display()))
    .file(kubeconfig.path, kubeconfig.content);
    if context.shape.nodes > NodeCount::ONE {
        // A node whose kubelet is silent for so long is not Ready. With one node, there is no other to take over.
        spec = spec.arg(format!("--node-monitor-grace-period={NODE_GRACE_SECONDS}s")).arg("--node-monitor-period=1s");
    }
    spec
}
