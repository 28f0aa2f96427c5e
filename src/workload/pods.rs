//! The workload's pods, as the API server lists them.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::SELECTOR;
use crate::config::NAMESPACE;
use crate::error::Error;
use crate::kubernetes_error::KubernetesError;

/// All of them, those on their way out too.
///
/// # Errors
/// [`Error::Kubernetes`].
pub(super) async fn pods(client: &Client) -> Result<Vec<Pod>, Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let listed = pods.list(&ListParams::default().labels(SELECTOR)).await;
    Ok(listed.map_err(|source| KubernetesError::new("list pods", source))?.items)
}
