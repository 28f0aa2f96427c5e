//! The controller that assigns external IPs to Services: this program itself, supervised like the others.

use super::{BootPhase, ComponentContext, ComponentSpec, Ready};

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig("external-ip");
    ComponentSpec::new("external-ip", context.layout.evenkeel(), BootPhase::Cluster, Ready::Started)
        .args(["sandbox", "external-ip"])
        .arg(kubeconfig.path.display().to_string())
        .file(kubeconfig.path, kubeconfig.content)
}
