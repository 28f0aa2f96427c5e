//! The memory that a pod uses, as the kubelet reports it.

use kube::Client;
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// The memory of the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodMemory {
    /// The number of pods whose memory is known.
    pub pods: u64,
    /// The sum of their working sets in bytes, including the pause processes.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct Summary {
    pods: Vec<PodStats>,
}

#[derive(Deserialize)]
struct PodStats {
    #[serde(rename = "podRef")]
    pod: PodReference,
    memory: Option<MemoryStats>,
}

#[derive(Deserialize)]
struct PodReference {
    namespace: String,
}

#[derive(Deserialize)]
struct MemoryStats {
    #[serde(rename = "workingSetBytes")]
    working_set: Option<u64>,
}

/// Asks every node's kubelet for the memory of the pods in `namespace`.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn memory(cluster: &Cluster, client: &Client, namespace: &str) -> Result<PodMemory, WorkloadError> {
    let mut sum = PodMemory { pods: 0, bytes: 0 };
    for node in &cluster.nodes {
        let path = format!("/api/v1/nodes/{}/proxy/stats/summary", node.node.name);
        let action = format!("ask node {} for its pods' memory", node.node.name);
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|source| KubernetesError::new(action.clone(), kube::Error::HttpError(source)))?;
        let summary: Summary = client.request(request).await.map_err(|source| KubernetesError::new(action, source))?;
        let counted = of_namespace(&summary, namespace);
        sum = PodMemory { pods: sum.pods + counted.pods, bytes: sum.bytes + counted.bytes };
    }
    Ok(sum)
}

impl PodMemory {
    /// The mean in bytes; `None` without pods.
    #[must_use]
    pub fn per_pod(self) -> Option<u64> {
        self.bytes.checked_div(self.pods)
    }
}

fn of_namespace(summary: &Summary, namespace: &str) -> PodMemory {
    let ours = summary.pods.iter().filter(|stats| stats.pod.namespace == namespace);
    let sizes: Vec<u64> = ours.filter_map(|stats| stats.memory.as_ref()?.working_set).collect();
    PodMemory { pods: sizes.len() as u64, bytes: sizes.iter().sum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_namespaces_pods_with_a_count_are_counted() {
        let summary = serde_json::from_str(
            r#"{"node": {}, "pods": [
                {"podRef": {"name": "a", "namespace": "evenkeel"}, "memory": {"workingSetBytes": 1000, "rssBytes": 5}},
                {"podRef": {"name": "b", "namespace": "evenkeel"}, "memory": {"workingSetBytes": 2000}},
                {"podRef": {"name": "new", "namespace": "evenkeel"}},
                {"podRef": {"name": "c", "namespace": "kube-system"}, "memory": {"workingSetBytes": 9000}}
            ]}"#,
        );
        let memory = of_namespace(&summary.unwrap(), "evenkeel");
        assert_eq!(memory, PodMemory { pods: 2, bytes: 3000 });
        assert_eq!(memory.per_pod(), Some(1500));
        assert_eq!(PodMemory { pods: 0, bytes: 0 }.per_pod(), None);
    }
}
