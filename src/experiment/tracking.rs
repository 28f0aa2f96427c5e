//! The connections of a run in the nodes' connection tracking: their pods, for images whose responses do not name them, and
//! which source address the pods saw.

use std::time::Instant;

use crate::cluster::Access;
use crate::workload::Subject;
use crate::workload::conntrack_table::{ConntrackTable, Destination, pod_names};
use evenkeel_load::RunResult;
use evenkeel_measure::ClientAddress;

/// The connections to the Service or its pods that the nodes tracked before a run.
pub(super) struct Tracking<'a> {
    access: &'a Access,
    subject: &'a Subject,
    destination: Destination,
    before: ConntrackTable,
    at: Instant,
}

/// What the tables tell of a run.
#[derive(Default)]
pub(super) struct Tracked {
    /// The connections to each pod, by name. Empty if responses named their pods, or if the tables cannot be read. A pod that
    /// is gone is named by its address.
    pub(super) pods: Vec<(String, u64)>,
    /// Which source address the pods saw, if that was asked for.
    pub(super) client_address: Option<ClientAddress>,
}

impl<'a> Tracking<'a> {
    /// Reads the tables before the run; `None` if they cannot be read.
    pub(super) async fn begin(access: &'a Access, subject: &'a Subject, destination: Destination) -> Option<Self> {
        let before = ConntrackTable::now(access, destination).await.ok()?;
        Some(Self { access, subject, destination, before, at: Instant::now() })
    }

    /// The connections of `run`, and if `sees_client`, which source address the pods saw.
    pub(super) async fn end(self, run: &RunResult, sees_client: bool) -> Tracked {
        let is_named = run.pods.iter().any(|pod| !pod.name.is_empty());
        if is_named && !sees_client {
            return Tracked::default();
        }
        let Ok(after) = ConntrackTable::now(self.access, self.destination).await else { return Tracked::default() };
        let elapsed = self.at.elapsed();
        let (kept, replaced) = after.addresses_since(&self.before, elapsed);
        let client_address = ClientAddress::of(kept, replaced).filter(|_| sees_client);
        if is_named {
            return Tracked { client_address, ..Tracked::default() };
        }
        let names = pod_names(&self.access.client, self.subject).await.unwrap_or_default();
        let by_name = |(pod, count)| (names.get(&pod).cloned().unwrap_or_else(|| pod.to_string()), count);
        let pods = after.opened_since(&self.before, elapsed).into_iter().map(by_name).collect();
        Tracked { pods, client_address }
    }
}
