//! Server-side apply of the workload.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FIELD_MANAGER;
use super::manifests::Manifests;
use crate::config::{NAMESPACE, Replicas, WORKLOAD};
use crate::kubernetes_error::KubernetesError;
use crate::progress::Progress;
use crate::workload::WorkloadError;

/// Applies `manifests` with `image`. Without `replicas`, a Deployment that exists keeps its number of replicas.
///
/// # Errors
/// [`WorkloadError::Kubernetes`] with what could not be applied and why.
pub async fn apply(
    client: &Client,
    mut manifests: Manifests,
    image: &str,
    replicas: Option<Replicas>,
    progress: &Progress,
) -> Result<(), WorkloadError> {
    let step = progress.step("apply the manifests");
    manifests.set_image(image);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let count = match replicas {
        Some(replicas) => Some(replicas.as_i32()),
        None => current_replicas(&deployments).await?,
    };
    if let Some(count) = count {
        manifests.set_replicas(count);
    }
    one(&Api::all(client.clone()), &manifests.namespace).await?;
    one(&Api::namespaced(client.clone(), NAMESPACE), &manifests.service_account).await?;
    let services = Api::namespaced(client.clone(), NAMESPACE);
    let budgets = Api::namespaced(client.clone(), NAMESPACE);
    futures::try_join!(
        one(&deployments, &manifests.deployment),
        one(&services, &manifests.service),
        one(&budgets, &manifests.disruption_budget),
    )?;
    step.done();
    Ok(())
}

/// The replicas of the Deployment; `None` when it does not exist.
async fn current_replicas(deployments: &Api<Deployment>) -> Result<Option<i32>, WorkloadError> {
    let found = deployments.get_opt(WORKLOAD).await;
    let found =
        found.map_err(|source| KubernetesError::new(format!("get Deployment {NAMESPACE}/{WORKLOAD}"), source))?;
    Ok(found.and_then(|deployment| deployment.spec).and_then(|spec| spec.replicas))
}

async fn one<K>(api: &Api<K>, object: &K) -> Result<(), KubernetesError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
    let name = object.name_any();
    match api.patch(&name, &params, &Patch::Apply(object)).await {
        Ok(_) => Ok(()),
        Err(source) => Err(KubernetesError::new(format!("apply {} {name}", K::kind(&())), source)),
    }
}
