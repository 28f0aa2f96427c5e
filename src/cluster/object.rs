//! Applies the objects that a component needs in the API server before it starts.

use futures::future::try_join_all;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::ClusterError;
use crate::kubernetes_error::KubernetesError;

use super::component::ComponentSpec;
use super::plan::BootPlan;
use super::readiness::{self, Pace};

const FIELD_MANAGER: &str = "evenkeel-cluster";

/// Applies all objects of a component as the cluster's administrator.
///
/// # Errors
/// [`ClusterError::Component`] for an object that the API server did not accept until `deadline`.
pub(super) async fn apply_all(plan: &BootPlan, spec: &ComponentSpec, deadline: Instant) -> Result<(), ClusterError> {
    if spec.objects.is_empty() {
        return Ok(());
    }
    let failed = |why: String| plan.failure(&spec.name, format!("could not be prepared: {why}"));
    let server = plan.api_server.parse().map_err(|source| failed(format!("{}: {source}", plan.api_server)))?;
    let client = readiness::client(&server, &plan.identity).map_err(failed)?;
    let applied = spec.objects.iter().map(|object| apply(&client, object, deadline));
    try_join_all(applied).await.map(drop).map_err(failed)
}

/// Tries again until `deadline`, at the pace of the machine: an API server that is ready may still lack the namespace kube-system
/// and the range of the cluster IPs.
async fn apply(client: &Client, object: &Value, deadline: Instant) -> Result<(), String> {
    let object: DynamicObject = serde_json::from_value(object.clone()).map_err(|source| source.to_string())?;
    let api = api(client, &object)?;
    let mut pace = Pace::new();
    loop {
        let began = Instant::now();
        let params = PatchParams::apply(FIELD_MANAGER).force();
        match api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await {
            Ok(_) => return Ok(()),
            Err(source) if Instant::now() > deadline => {
                let kind = object.types.as_ref().map_or("object", |types| &types.kind);
                return Err(KubernetesError::new(format!("apply {kind} {}", object.name_any()), source).to_string());
            }
            Err(_) => {
                pace.took(began.elapsed());
                pace.pause().await;
            }
        }
    }
}

fn api(client: &Client, object: &DynamicObject) -> Result<Api<DynamicObject>, String> {
    let types = object.types.as_ref().ok_or("an object has no kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types).map_err(|source| source.to_string())?);
    Ok(match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}
