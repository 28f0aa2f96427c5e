//! The controller that makes volumes for claims, as directories of its node: this program itself, supervised like the others.

use serde_json::{Value, json};

use crate::config::VOLUME_PROVISIONER;

use super::{BootPhase, ComponentContext, ComponentSpec, Ready, rights};

const NAME: &str = "volume-provisioner";
/// The user in its certificate.
pub(in crate::cluster) const USER: &str = "evenkeel:volume-provisioner";
/// The default StorageClass, with the name that it has in other local clusters.
const CLASS: &str = "standard";

pub(super) fn spec(context: &ComponentContext) -> ComponentSpec {
    let kubeconfig = context.kubeconfig(NAME);
    ComponentSpec::new(NAME, context.layout.evenkeel(), BootPhase::Cluster, Ready::Started)
        .args(["sandbox", NAME])
        .arg(kubeconfig.path.display().to_string())
        .arg(&context.node.name)
        .arg(context.layout.volumes().display().to_string())
        .file(kubeconfig.path, kubeconfig.content)
        .objects(rights::grant(USER, &rules()))
        .objects([storage_class()])
}

fn rules() -> Value {
    json!([
        { "apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list", "watch"] },
        { "apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["list", "watch", "create", "delete"] },
        { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"] },
    ])
}

/// The volume is made when a pod uses the claim, on the node of the pod.
fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": { "name": CLASS, "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": VOLUME_PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}
