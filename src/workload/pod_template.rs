//! Reads and changes the specification of a controller, whatever its kind.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::controller::{Controller, ControllerKind};
use super::subject::Subject;
use super::{FIELD_MANAGER, unchanged};
use crate::config::Replicas;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// The part of a controller's specification that verbs change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ControllerSpec {
    /// The number of pods. A DaemonSet has none.
    pub(super) replicas: u32,
    /// The template of its pods.
    pub(super) pod: PodTemplateSpec,
}

impl ControllerSpec {
    /// The specification as it is now.
    ///
    /// # Errors
    /// [`WorkloadError::NoWorkload`] when the controller does not exist; [`WorkloadError::Kubernetes`].
    pub(super) async fn read(client: &Client, controller: &Controller) -> Result<Self, WorkloadError> {
        let found = match controller.kind {
            ControllerKind::Deployment => {
                let spec = get::<Deployment>(client, controller).await?.and_then(|found| found.spec);
                spec.map(|spec| (spec.replicas, spec.template))
            }
            ControllerKind::StatefulSet => {
                let spec = get::<StatefulSet>(client, controller).await?.and_then(|found| found.spec);
                spec.map(|spec| (spec.replicas, spec.template))
            }
            ControllerKind::DaemonSet => {
                let spec = get::<DaemonSet>(client, controller).await?.and_then(|found| found.spec);
                spec.map(|spec| (Some(0), spec.template))
            }
            ControllerKind::ReplicaSet => {
                let spec = get::<ReplicaSet>(client, controller).await?.and_then(|found| found.spec);
                spec.map(|spec| (spec.replicas, spec.template.unwrap_or_default()))
            }
        };
        let (replicas, pod) = found.ok_or(WorkloadError::NoWorkload)?;
        Ok(Self { replicas: replicas.unwrap_or(1).unsigned_abs(), pod })
    }
}

/// The number of pods that the subject's controller should have now; `None` if it does not exist.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn replicas(client: &Client, subject: &Subject) -> Result<Option<Replicas>, WorkloadError> {
    let Some(controller) = &subject.controller else { return Ok(None) };
    match ControllerSpec::read(client, controller).await {
        Ok(spec) => Ok(spec.replicas.to_string().parse().ok()),
        Err(WorkloadError::NoWorkload) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Applies a strategic merge patch to a controller.
///
/// # Errors
/// [`WorkloadError::NoWorkload`] when it does not exist; [`WorkloadError::Kubernetes`].
pub(super) async fn patch(client: &Client, controller: &Controller, change: &Value) -> Result<(), WorkloadError> {
    match controller.kind {
        ControllerKind::Deployment => patch_one::<Deployment>(client, controller, change).await,
        ControllerKind::StatefulSet => patch_one::<StatefulSet>(client, controller, change).await,
        ControllerKind::DaemonSet => patch_one::<DaemonSet>(client, controller, change).await,
        ControllerKind::ReplicaSet => patch_one::<ReplicaSet>(client, controller, change).await,
    }
}

async fn get<K>(client: &Client, controller: &Controller) -> Result<Option<K>, WorkloadError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let objects: Api<K> = Api::namespaced(client.clone(), &controller.namespace);
    let found = objects.get_opt(&controller.name).await;
    Ok(found.map_err(|source| KubernetesError::new(format!("get {controller}"), source))?)
}

async fn patch_one<K>(client: &Client, controller: &Controller, change: &Value) -> Result<(), WorkloadError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let objects: Api<K> = Api::namespaced(client.clone(), &controller.namespace);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let patched = objects.patch(&controller.name, &params, &Patch::Strategic(change)).await;
    patched.map(drop).map_err(|source| unchanged(format!("change {controller}"), source))
}
