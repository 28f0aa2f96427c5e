//! Whether the API server would admit pods: asked by a dry run, before anything is changed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::controller::{Controller, candidate_of};
use super::manifest::Manifest;
use super::pod_template::ControllerSpec;
use super::subject::Subject;
use crate::config::Replicas;
use crate::workload::WorkloadError;

/// What a namespace says when it forbids pods: by a quota that is full, by a quota that wants limits, or by Pod Security.
const BY_QUOTA: [&str; 2] = ["is forbidden: exceeded quota: ", "is forbidden: failed quota: "];
const BY_POD_SECURITY: &str = "violates PodSecurity ";
/// Kinds by which manifests may change what their namespace allows.
const CHANGES_RULES: [&str; 3] = ["Namespace", "ResourceQuota", "LimitRange"];

/// Refuses manifests with a controller whose pods their namespace forbids. `existing` has the names of the objects that exist: for
/// their pods a full quota is no obstacle, because it counts those that they replace.
///
/// It is not known, and nothing is refused, where the user may not create pods.
///
/// # Errors
/// [`WorkloadError::PodsForbidden`] with the words of the API server.
pub async fn require_admission(
    client: &Client,
    manifests: &[Manifest],
    namespace: &str,
    existing: &[String],
) -> Result<(), WorkloadError> {
    if manifests.iter().any(|manifest| CHANGES_RULES.contains(&manifest.kind())) {
        return Ok(());
    }
    for manifest in manifests {
        let home = manifest.object.metadata.namespace.as_deref().unwrap_or(namespace);
        let Some(candidate) = candidate_of(home, &manifest.object) else { continue };
        let controller = candidate.controller;
        let wants_pods = manifest.object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_u64) != Some(0);
        if !wants_pods {
            continue;
        }
        let is_new = !existing.contains(&controller.to_string());
        admit(client, &controller, candidate.pod, is_new).await?;
    }
    Ok(())
}

/// Refuses to scale up a controller of which the namespace forbids one more pod. As above, nothing is refused where this cannot be
/// known.
///
/// # Errors
/// As [`require_admission`].
pub async fn require_room(client: &Client, subject: &Subject, replicas: Replicas) -> Result<(), WorkloadError> {
    let Some(controller) = &subject.controller else { return Ok(()) };
    // Who may not read the template may still scale.
    let Ok(spec) = ControllerSpec::read(client, controller).await else { return Ok(()) };
    if replicas.get() <= spec.replicas {
        return Ok(());
    }
    admit(client, controller, spec.pod, true).await
}

async fn admit(
    client: &Client,
    controller: &Controller,
    template: PodTemplateSpec,
    with_quota: bool,
) -> Result<(), WorkloadError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &controller.namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let Err(kube::Error::Api(status)) = pods.create(&dry_run, &probe(controller, template)).await else {
        return Ok(());
    };
    if status.code == 403 && forbids(&status.message, with_quota) {
        return Err(WorkloadError::PodsForbidden {
            controller: controller.to_string(),
            namespace: controller.namespace.clone(),
            why: status.message.clone(),
        });
    }
    // Why else it is refused, the controller may not be: what the pod refers to may be among the manifests.
    Ok(())
}

/// Whether an error of the API server is about what the namespace forbids.
fn forbids(message: &str, with_quota: bool) -> bool {
    message.contains(BY_POD_SECURITY) || with_quota && BY_QUOTA.iter().any(|words| message.contains(words))
}

/// Whether a controller cannot create pods because the namespace forbids them.
pub(super) fn is_forbidden(reason: &str) -> bool {
    forbids(reason, true)
}

/// A pod of the template. Its `ServiceAccount` may not exist yet, and admission would look for it first.
fn probe(controller: &Controller, template: PodTemplateSpec) -> Pod {
    let metadata = template.metadata.unwrap_or_default();
    let labels: Option<BTreeMap<String, String>> = metadata.labels;
    let name = format!("{}-", controller.name);
    let metadata =
        ObjectMeta { generate_name: Some(name), labels, annotations: metadata.annotations, ..ObjectMeta::default() };
    let spec = template.spec.map(|mut spec| {
        spec.service_account_name = None;
        spec.service_account = None;
        spec
    });
    Pod { metadata, spec, ..Pod::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_namespace_forbids_counts() {
        let quota =
            "pods \"web-x\" is forbidden: exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0";
        let limits = "pods \"web-x\" is forbidden: failed quota: cpu: must specify limits.cpu for: web";
        let security = "pods \"web-x\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile";
        let rights = "pods is forbidden: User \"ann\" cannot create resource \"pods\" in API group \"\"";
        let account = "pods \"web-x\" is forbidden: error looking up service account shop/web: not found";
        for (message, with_quota, without) in [
            (quota, true, false),
            (limits, true, false),
            (security, true, true),
            (rights, false, false),
            (account, false, false),
        ] {
            assert_eq!((forbids(message, true), forbids(message, false)), (with_quota, without), "{message}");
        }
    }
}
