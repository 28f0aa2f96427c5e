//! The counters of each pod, from the kubelet and the kernel.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::pods::{has_ended, pods};
use super::subject::Subject;
use crate::cluster::{Access, PodCgroup};
use crate::workload::WorkloadError;

/// A pod's counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCounters {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// How often its containers were restarted.
    pub restarts: u32,
    /// The kernel's counters.
    pub cgroup: PodCgroup,
}

impl PodCounters {
    /// The same pod with the current counters of the kernel.
    #[must_use]
    pub fn again(&self, access: &Access) -> Self {
        Self { cgroup: cgroup(access, &self.uid), ..self.clone() }
    }
}

/// The counters of all pods of the subject that have not ended, by name. Where the nodes cannot be reached, the counters
/// of the kernel are absent.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn pod_counters(access: &Access, subject: &Subject) -> Result<Vec<PodCounters>, WorkloadError> {
    let listed = pods(&access.client, subject).await?;
    let counters = |pod: &Pod| {
        let uid = pod.uid()?;
        let cgroup = cgroup(access, &uid);
        Some(PodCounters { name: pod.name_any(), uid, restarts: restarts(pod), cgroup })
    };
    let mut counters: Vec<PodCounters> = listed.iter().filter(|pod| !has_ended(pod)).filter_map(counters).collect();
    counters.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(counters)
}

fn cgroup(access: &Access, uid: &str) -> PodCgroup {
    access.lab().map(|cluster| PodCgroup::read(cluster, uid)).unwrap_or_default()
}

fn restarts(pod: &Pod) -> u32 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count.unsigned_abs()).sum()
}
