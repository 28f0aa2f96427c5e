//! The controller that assigns external IPs to Services: this program itself, supervised like the others.

use serde_json::{Value, json};

use super::{BootPhase, ComponentContext, ComponentSpec, Ready, rights};

const NAME: &str = "external-ip";
/// The user in its certificate.
pub(in crate::cluster) const USER: &str = "evenkeel:external-ip";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig(NAME);
    ComponentSpec::new(NAME, context.layout.evenkeel(), BootPhase::Cluster, Ready::Started)
        .args(["sandbox", NAME])
        .arg(kubeconfig.path.display().to_string())
        .arg(context.shape.subnet.to_string())
        .file(kubeconfig.path, kubeconfig.content)
        .objects(rights::grant(USER, &rules()))
}

fn rules() -> Value {
    json!([
        { "apiGroups": [""], "resources": ["services"], "verbs": ["list", "watch"] },
        { "apiGroups": [""], "resources": ["services/status"], "verbs": ["patch"] },
        { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
    ])
}
