//! CoreDNS: the cluster's DNS server, a process of the node that runs the control plane.
//!
//! Pods reach it by the Service kube-dns. As CoreDNS is not a pod, this Service has no selector, and its only endpoint is an
//! address on the node's loopback interface, to which the host has no route.

use serde_json::{Value, json};

use crate::config::{CLUSTER_DOMAIN, DNS_SERVICE};
use crate::toolbox::Program;

use super::{BootPhase, ComponentContext, ComponentSpec, Ready, rights};

const NAME: &str = "coredns";
/// The user in its certificate.
pub(in crate::cluster) const USER: &str = "system:coredns";
const SERVICE: &str = "kube-dns";
const NAMESPACE: &str = "kube-system";
const PORT: u16 = 53;
const READY: &str = "127.0.0.1:8181";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig(NAME);
    let config = context.layout.conf("Corefile");
    let ready = Ready::Get(format!("http://{READY}/ready"));
    ComponentSpec::new(NAME, context.program(Program::Coredns), BootPhase::Cluster, ready)
        .arg(format!("-conf={}", config.display()))
        .file(config, corefile(context, &kubeconfig.path.display().to_string()))
        .file(kubeconfig.path, kubeconfig.content)
        .objects(rights::grant(USER, &rules()))
        .objects([service(), endpoint(context)])
}

/// The plugin `kubernetes` answers for the cluster's names and for the addresses of its Services and pods. Nothing can answer
/// for other names, since the node has no route to another network: NXDOMAIN tells the client at once.
///
/// Nothing is cached, so that a pod that is replaced has its new address at once.
///
/// There are two blocks, because CoreDNS runs the plugin `template` before `kubernetes`, whatever their order in a block.
fn corefile(context: &ComponentContext, kubeconfig: &str) -> String {
    let address = context.node.dns_address();
    format!(
        "\
{CLUSTER_DOMAIN}:{PORT} in-addr.arpa:{PORT} ip6.arpa:{PORT} {{
    bind {address}
    errors
    ready {READY}
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig \"{kubeconfig}\"
        pods insecure
        ttl 30
    }}
    loadbalance
}}

.:{PORT} {{
    bind {address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"
    )
}

/// What CoreDNS may do in a cluster of kubeadm.
fn rules() -> Value {
    let watch = ["list", "watch"];
    json!([
        { "apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": watch },
        { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch },
    ])
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "labels": {
                "k8s-app": SERVICE,
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "clusterIP": DNS_SERVICE,
            "ports": [
                { "name": "dns", "port": PORT, "protocol": "UDP", "targetPort": PORT },
                { "name": "dns-tcp", "port": PORT, "protocol": "TCP", "targetPort": PORT },
            ],
        },
    })
}

fn endpoint(context: &ComponentContext) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "evenkeel",
                "k8s-app": SERVICE,
                "kubernetes.io/service-name": SERVICE,
            },
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [context.node.dns_address()],
            "conditions": { "ready": true },
            "nodeName": context.node.name,
        }],
        "ports": [
            { "name": "dns", "port": PORT, "protocol": "UDP" },
            { "name": "dns-tcp", "port": PORT, "protocol": "TCP" },
        ],
    })
}
