//! Agents that are left over, for example after this program was killed.

use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::job::delete;
use super::{COMPONENT, MANAGED_BY};
use crate::kubernetes_error::KubernetesError;
use crate::progress::Progress;
use crate::workload::WorkloadError;

/// Deletes all Jobs of agents in `namespace`, or in all namespaces. Returns how many there were.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn delete_leftovers(
    client: &Client,
    namespace: Option<&str>,
    progress: &Progress,
) -> Result<usize, WorkloadError> {
    let jobs: Api<Job> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let of_agents = format!("{}={},{}={}", COMPONENT.0, COMPONENT.1, MANAGED_BY.0, MANAGED_BY.1);
    let listed = jobs.list(&ListParams::default().labels(&of_agents)).await;
    let listed = listed.map_err(|source| KubernetesError::new("list the Jobs of agents", source))?.items;
    for job in &listed {
        let (namespace, name) = (job.namespace().unwrap_or_default(), job.name_any());
        let step = progress.step(format!("delete the Job {namespace}/{name}"));
        delete(client, &namespace, &name).await?;
        step.done();
    }
    Ok(listed.len())
}
