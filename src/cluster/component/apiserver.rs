//! kube-apiserver: listens on the node's own address, for the host, the node and the pods.

use crate::config::SERVICE_CIDR;
use crate::toolbox::Program;

use super::{BootPhase, ComponentContext, ComponentSpec, Ready, encryption, etcd};

/// Its name.
pub(in crate::cluster) const NAME: &str = "kube-apiserver";
/// Its port on the first node's address.
pub(in crate::cluster) const PORT: u16 = 6443;

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let address = context.node.address;
    let ready = Ready::Get(format!("{}/readyz", context.api_server()));
    ComponentSpec::new(NAME, context.program(Program::KubeApiserver), BootPhase::Base, ready)
        .arg(format!("--bind-address={address}"))
        .arg(format!("--advertise-address={address}"))
        .arg(format!("--secure-port={PORT}"))
        .arg(format!("--service-cluster-ip-range={SERVICE_CIDR}"))
        .args(["--allow-privileged=true", "--authorization-mode=Node,RBAC", "--anonymous-auth=false"])
        .args(["--enable-admission-plugins=NodeRestriction", "--profiling=false"])
        .arg(format!("--tls-cert-file={}", context.pki("apiserver.crt")))
        .arg(format!("--tls-private-key-file={}", context.pki("apiserver.key")))
        .arg(format!("--client-ca-file={}", context.pki("ca.crt")))
        .arg(format!("--etcd-servers={}", etcd::CLIENT_URL))
        .arg(format!("--etcd-cafile={}", context.pki("etcd-ca.crt")))
        .arg(format!("--etcd-certfile={}", context.pki("apiserver-etcd.crt")))
        .arg(format!("--etcd-keyfile={}", context.pki("apiserver-etcd.key")))
        .arg(format!("--kubelet-certificate-authority={}", context.pki("ca.crt")))
        .arg(format!("--kubelet-client-certificate={}", context.pki("apiserver-kubelet.crt")))
        .arg(format!("--kubelet-client-key={}", context.pki("apiserver-kubelet.key")))
        .arg("--kubelet-preferred-address-types=InternalIP")
        .arg(format!("--encryption-provider-config={}", context.pki(encryption::FILE)))
        .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
        .arg(format!("--service-account-key-file={}", context.pki("service-account.pub")))
        .arg(format!("--service-account-signing-key-file={}", context.pki("service-account.key")))
        // Without an authority for the front proxy it logs an error again and again.
        .arg(format!("--requestheader-client-ca-file={}", context.pki("front-proxy-ca.crt")))
        .arg(format!("--proxy-client-cert-file={}", context.pki("front-proxy.crt")))
        .arg(format!("--proxy-client-key-file={}", context.pki("front-proxy.key")))
        .args(["--requestheader-allowed-names=front-proxy", "--requestheader-username-headers=X-Remote-User"])
        .args(["--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-"])
}
