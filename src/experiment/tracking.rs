//! Connections per pod from the nodes' connection tracking, for images whose responses do not name the pod.

use std::time::Instant;

use crate::cluster::Access;
use crate::workload::Subject;
use crate::workload::conntrack_table::{ConntrackTable, Destination, pod_names};
use evenkeel_load::RunResult;

/// The connections to the Service or its pods that the nodes tracked before a run.
pub(super) struct Tracking<'a> {
    access: &'a Access,
    subject: &'a Subject,
    destination: Destination,
    before: ConntrackTable,
    at: Instant,
}

impl<'a> Tracking<'a> {
    /// Reads the tables before the run; `None` if they cannot be read.
    pub(super) async fn begin(access: &'a Access, subject: &'a Subject, destination: Destination) -> Option<Self> {
        let before = ConntrackTable::now(access, destination).await.ok()?;
        Some(Self { access, subject, destination, before, at: Instant::now() })
    }

    /// The connections to each pod since then, by name. Empty if a response of `run` named a pod, or if the tables
    /// cannot be read. A pod that is gone is named by its address.
    pub(super) async fn end(self, run: &RunResult) -> Vec<(String, u64)> {
        if run.pods.iter().any(|pod| !pod.name.is_empty()) {
            return Vec::new();
        }
        let Ok(after) = ConntrackTable::now(self.access, self.destination).await else { return Vec::new() };
        let names = pod_names(&self.access.client, self.subject).await.unwrap_or_default();
        let found = after.opened_since(&self.before, self.at.elapsed());
        let by_name = |(pod, count)| (names.get(&pod).cloned().unwrap_or_else(|| pod.to_string()), count);
        found.into_iter().map(by_name).collect()
    }
}
