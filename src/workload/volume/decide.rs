//! Decides which claims get a volume on this node, and which volumes are removed from it: pure functions of the objects.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::config::VOLUME_PROVISIONER;

/// Set by kube-controller-manager: who makes the volume of a claim.
const MADE_BY: &str = "volume.kubernetes.io/storage-provisioner";
/// Set by the scheduler: the node of the pod that uses a claim.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Who made a volume. kube-controller-manager then leaves its removal to them.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// What to do for a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimDecision {
    /// It is not, or not yet, this node's.
    Ignore,
    /// Make its volume.
    Provision,
    /// It asks for something that a directory cannot give.
    Refuse(String),
}

/// Decides on a claim, for the node of this name.
#[must_use]
pub fn decide(claim: &PersistentVolumeClaim, node: &str) -> ClaimDecision {
    let Some(spec) = claim.spec.as_ref() else { return ClaimDecision::Ignore };
    let annotation = |name: &str| claim.annotations().get(name).map(String::as_str);
    let bound = spec.volume_name.as_ref().is_some_and(|volume| !volume.is_empty());
    let ours = annotation(MADE_BY) == Some(VOLUME_PROVISIONER) && annotation(SELECTED_NODE) == Some(node);
    if bound || !ours || claim.metadata.deletion_timestamp.is_some() {
        return ClaimDecision::Ignore;
    }
    problem(spec).map_or(ClaimDecision::Provision, ClaimDecision::Refuse)
}

fn problem(spec: &PersistentVolumeClaimSpec) -> Option<String> {
    let modes = spec.access_modes.iter().flatten();
    if let Some(mode) = modes.into_iter().find(|mode| !["ReadWriteOnce", "ReadWriteOncePod"].contains(&mode.as_str())) {
        return Some(format!("a volume of one node does not support the access mode {mode}"));
    }
    if spec.volume_mode.as_deref() == Some("Block") {
        return Some("the volume mode Block is not supported".to_owned());
    }
    if spec.selector.is_some() {
        return Some("a selector is not supported, since each claim gets a new volume".to_owned());
    }
    if spec.data_source.is_some() || spec.data_source_ref.is_some() {
        return Some("a data source is not supported: every new volume is empty".to_owned());
    }
    None
}

/// The name of a claim's volume, and of its directory.
#[must_use]
pub fn volume_name(claim: &PersistentVolumeClaim) -> String {
    format!("pvc-{}", claim.uid().unwrap_or_default())
}

/// The volume of a claim: the directory at `path` on the node of this name.
#[must_use]
pub fn volume(claim: &PersistentVolumeClaim, node: &str, path: &str) -> Value {
    let spec = claim.spec.clone().unwrap_or_default();
    let capacity = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": volume_name(claim), "annotations": { PROVISIONED_BY: VOLUME_PROVISIONER } },
        "spec": {
            "accessModes": spec.access_modes,
            "capacity": { "storage": capacity.get("storage") },
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": claim.name_any(),
                "namespace": claim.namespace(),
                "uid": claim.uid(),
            },
            "local": { "path": path },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{
                "matchExpressions": [{ "key": HOSTNAME, "operator": "In", "values": [node] }],
            }] } },
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec.storage_class_name,
            "volumeMode": "Filesystem",
        },
    })
}

/// Whether a volume on the node of this name is to be removed: it was made here, and its claim is gone.
#[must_use]
pub fn is_released(volume: &PersistentVolume, node: &str) -> bool {
    let provisioned_by = volume.annotations().get(PROVISIONED_BY).map(String::as_str);
    let Some(spec) = volume.spec.as_ref().filter(|_| provisioned_by == Some(VOLUME_PROVISIONER)) else { return false };
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    phase == Some("Released")
        && spec.persistent_volume_reclaim_policy.as_deref() == Some("Delete")
        && volume.metadata.deletion_timestamp.is_none()
        && is_on(volume, node)
}

fn is_on(volume: &PersistentVolume, node: &str) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
    let terms = affinity.and_then(|affinity| affinity.required.as_ref()).map(|required| &required.node_selector_terms);
    let mut expressions = terms.into_iter().flatten().flat_map(|term| term.match_expressions.iter().flatten());
    expressions
        .any(|expression| expression.key == HOSTNAME && expression.values.iter().flatten().any(|value| value == node))
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn claim(changes: &Value) -> PersistentVolumeClaim {
        let mut claim = json!({
            "metadata": {
                "name": "data-store-0",
                "namespace": "shop",
                "uid": "4f1c",
                "annotations": { MADE_BY: VOLUME_PROVISIONER, SELECTED_NODE: "lab-0" },
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "10Mi" } },
                "storageClassName": "standard",
            },
        });
        for (part, changes) in changes.as_object().unwrap() {
            for (field, value) in changes.as_object().unwrap() {
                claim[part][field] = value.clone();
            }
        }
        from_value(claim).unwrap()
    }

    #[test]
    fn only_the_selected_node_makes_a_volume() {
        let waiting = claim(&json!({}));
        assert_eq!(decide(&waiting, "lab-0"), ClaimDecision::Provision);
        assert_eq!(decide(&waiting, "lab-1"), ClaimDecision::Ignore);
        for changes in [
            json!({ "spec": { "volumeName": "pvc-1" } }),
            json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }),
            json!({ "metadata": { "annotations": { MADE_BY: VOLUME_PROVISIONER } } }),
            json!({ "metadata": { "annotations": { MADE_BY: "example.org/other", SELECTED_NODE: "lab-0" } } }),
        ] {
            assert_eq!(decide(&claim(&changes), "lab-0"), ClaimDecision::Ignore, "{changes}");
        }
    }

    #[test]
    fn what_a_directory_cannot_give_is_refused_with_a_reason() {
        for (changes, why) in [
            (json!({ "accessModes": ["ReadWriteMany"] }), "ReadWriteMany"),
            (json!({ "accessModes": ["ReadWriteOnce", "ReadOnlyMany"] }), "ReadOnlyMany"),
            (json!({ "volumeMode": "Block" }), "Block"),
            (json!({ "selector": { "matchLabels": { "disk": "fast" } } }), "selector"),
            (json!({ "dataSource": { "kind": "PersistentVolumeClaim", "name": "old" } }), "data source"),
        ] {
            match decide(&claim(&json!({ "spec": changes })), "lab-0") {
                ClaimDecision::Refuse(text) => assert!(text.contains(why), "{text}"),
                other => panic!("{changes}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_volume_belongs_to_its_claim_and_is_removed_after_it() {
        let made = volume(&claim(&json!({})), "lab-0", "/volumes/pvc-4f1c");
        let mut made: PersistentVolume = from_value(made).unwrap();
        assert_eq!(made.name_any(), "pvc-4f1c");
        let spec = made.spec.clone().unwrap();
        assert_eq!(spec.claim_ref.unwrap().uid.as_deref(), Some("4f1c"));
        assert_eq!(spec.capacity.unwrap()["storage"].0, "10Mi");

        let phase = |phase: &str| from_value(json!({ "phase": phase })).unwrap();
        made.status = phase("Bound");
        assert!(!is_released(&made, "lab-0"));
        made.status = phase("Released");
        assert!(is_released(&made, "lab-0"));
        assert!(!is_released(&made, "lab-1"), "another node has its directory");
        let mut kept = made.clone();
        kept.spec.as_mut().unwrap().persistent_volume_reclaim_policy = Some("Retain".into());
        assert!(!is_released(&kept, "lab-0"));
        made.annotations_mut().clear();
        assert!(!is_released(&made, "lab-0"), "a volume that somebody else made");
    }
}
