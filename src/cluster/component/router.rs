//! The controller of the router's routes: this program itself, in the router's sandbox, supervised like the others.

use serde_json::{Value, json};

use crate::toolbox::Program;

use super::super::router::RouterSettings;
use super::{BootPhase, ComponentContext, ComponentSpec, Ready, rights};

const NAME: &str = "router";
/// The user in its certificate.
pub(in crate::cluster) const USER: &str = "evenkeel:router";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig(NAME);
    let file = context.layout.conf("router.json");
    let settings = RouterSettings {
        lab: context.lab.to_string(),
        subnet: context.shape.subnet,
        hash: context.shape.router_hash,
        ip: context.program(Program::Ip),
        nft: context.program(Program::Nft),
    };
    // Plain values are always JSON.
    let text = serde_json::to_string(&settings).unwrap_or_default();
    ComponentSpec::new(NAME, context.layout.evenkeel(), BootPhase::Cluster, Ready::Started)
        .args(["sandbox", NAME])
        .arg(kubeconfig.path.display().to_string())
        .arg(file.display().to_string())
        .file(file, text)
        .file(kubeconfig.path, kubeconfig.content)
        .objects(rights::grant(USER, &rules()))
}

fn rules() -> Value {
    let watch = ["list", "watch"];
    json!([
        { "apiGroups": [""], "resources": ["services", "nodes"], "verbs": watch },
        { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watch },
    ])
}
