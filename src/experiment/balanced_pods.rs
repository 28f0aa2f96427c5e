//! The pods between which the client balances, as they change.

use futures::StreamExt;

use super::route_guard::RouteGuard;
use crate::cluster::Access;
use crate::experiment::ExperimentError;
use crate::workload::{self, Subject};
use evenkeel_load::Addresses;

/// The pods between which the client balances.
pub(super) struct BalancedPods<'a> {
    access: &'a Access,
    subject: &'a Subject,
    route_guard: RouteGuard<'a>,
    pub(super) addresses: Addresses,
}

impl<'a> BalancedPods<'a> {
    /// The pods that are ready now. Each must be reached through the lab's link.
    pub(super) async fn find(
        access: &'a Access,
        subject: &'a Subject,
        mut route_guard: RouteGuard<'a>,
    ) -> Result<BalancedPods<'a>, ExperimentError> {
        let backends = workload::backends(&access.client, subject).await?;
        route_guard.check(&backends).await?;
        Ok(Self { access, subject, route_guard, addresses: Addresses::new(&backends) })
    }

    /// Updates the addresses when the Service's EndpointSlices change; it ends only with an error.
    pub(super) async fn follow(&mut self) -> Result<(), ExperimentError> {
        let mut changes = std::pin::pin!(workload::backends_as_they_change(&self.access.client, self.subject));
        while let Some(backends) = changes.next().await {
            self.route_guard.check(&backends).await?;
            self.addresses.set(&backends);
        }
        Ok(())
    }
}
