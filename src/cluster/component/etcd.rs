//! etcd: the cluster's store, in the sandbox's memory and on its loopback only.

use crate::toolbox::Program;

use super::{BootPhase, ComponentContext, ComponentSpec, Ready};

/// Where clients reach it.
pub(super) const CLIENT_URL: &str = "https://127.0.0.1:2379";
const PEER_URL: &str = "https://127.0.0.1:2380";
const METRICS_URL: &str = "http://127.0.0.1:2381";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let authority = context.pki("etcd-ca.crt");
    let (certificate, key) = (context.pki("etcd.crt"), context.pki("etcd.key"));
    let mut spec = ComponentSpec::new(
        "etcd",
        context.program(Program::Etcd),
        BootPhase::Base,
        Ready::Get(format!("{METRICS_URL}/readyz")),
    )
    .args(["--data-dir=/var/lib/etcd", "--log-level=warn", "--client-cert-auth", "--peer-client-cert-auth"])
    .arg(format!("--name={}", context.node.name))
    .arg(format!("--listen-client-urls={CLIENT_URL}"))
    .arg(format!("--advertise-client-urls={CLIENT_URL}"))
    .arg(format!("--listen-peer-urls={PEER_URL}"))
    .arg(format!("--initial-advertise-peer-urls={PEER_URL}"))
    .arg(format!("--initial-cluster={}={PEER_URL}", context.node.name))
    .arg(format!("--listen-metrics-urls={METRICS_URL}"))
    // The data is in memory and is removed with the lab, so fsync has no use.
    .arg("--unsafe-no-fsync");
    for prefix in ["", "peer-"] {
        spec = spec
            .arg(format!("--{prefix}trusted-ca-file={authority}"))
            .arg(format!("--{prefix}cert-file={certificate}"))
            .arg(format!("--{prefix}key-file={key}"));
    }
    spec
}
