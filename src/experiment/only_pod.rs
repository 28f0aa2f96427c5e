//! The pod that answered all requests of a run, where the Service has only one endpoint and responses do not name their pod.

use crate::cluster::Access;
use crate::workload::{Subject, only_backend};
use evenkeel_load::RunResult;

/// The only pod before a run. It is asked for where nothing else tells the pods of connections: without the nodes' connection
/// tracking.
pub(super) struct OnlyPod<'a> {
    access: &'a Access,
    subject: &'a Subject,
    name: String,
}

impl<'a> OnlyPod<'a> {
    /// The pod before a run; `None` if there are several, or if the nodes' connection tracking can be read.
    pub(super) async fn before(access: &'a Access, subject: &'a Subject) -> Option<Self> {
        if access.lab().is_some() {
            return None;
        }
        let name = only_backend(&access.client, subject).await.ok()??;
        Some(Self { access, subject, name })
    }

    /// Names the pod in a run whose responses name none, if it is still the only one.
    pub(super) async fn name_in(self, run: &mut RunResult) {
        let [pod] = &mut run.pods[..] else { return };
        if !pod.name.is_empty() {
            return;
        }
        let now = only_backend(&self.access.client, self.subject).await;
        if now.is_ok_and(|now| now.as_ref() == Some(&self.name)) {
            pod.name = self.name;
        }
    }
}
