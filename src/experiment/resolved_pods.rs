//! The pods that a DNS name has, as a client with a balancer of its own finds them.
//!
//! The name is resolved before the run, and again when a connection was opened again, but not sooner than the client of
//! gRPC for Go does (`MinResolutionInterval` of its resolver `dns`). So new pods get no requests while all connections
//! are kept.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::route_guard::RouteGuard;
use super::workplace::Workplace;
use crate::cluster::TemporaryRoutes;
use crate::config::DNS_SERVICE;
use crate::experiment::ExperimentError;
use crate::progress::Progress;
use crate::workload::cluster_dns::addresses_of;
use crate::workload::{WorkloadError, backends, headless_name};
use evenkeel_load::Addresses;

/// The shortest time between two resolutions.
const BETWEEN: Duration = Duration::from_secs(30);
/// How often the connections are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The port of DNS.
const PORT: u16 = 53;

/// The pods that a name was resolved to.
pub(super) struct ResolvedPods<'a> {
    name: String,
    port: u16,
    route_guard: RouteGuard<'a>,
    resolved: Instant,
    pub(super) addresses: Addresses,
    /// The route to the cluster's DNS server.
    _route: TemporaryRoutes,
}

impl<'a> ResolvedPods<'a> {
    /// Resolves the name of the headless Service. Each pod must be reached through the lab's link.
    pub(super) async fn find(
        Workplace { access, subject, link, ip }: Workplace<'a>,
        progress: &Progress,
    ) -> Result<ResolvedPods<'a>, ExperimentError> {
        let name = headless_name(&access.client, subject).await?;
        // A DNS name has no port; that of the pods is the same in all of them.
        let port = backends(&access.client, subject).await?.first().map_or(subject.port, SocketAddr::port);
        let cluster = access.require_lab("round robin over DNS")?;
        let route = TemporaryRoutes::to_cluster_ip(cluster, DNS_SERVICE.into(), ip, progress)?;
        let (route_guard, resolved) = (RouteGuard::new(link.to_owned(), ip), Instant::now());
        let mut pods = Self { name, port, route_guard, resolved, addresses: Addresses::new(&[]), _route: route };
        let found = pods.resolve().await?;
        if found.is_empty() {
            let why = "it has no address, because no pod is ready".to_owned();
            return Err(WorkloadError::Name { name: pods.name, why }.into());
        }
        pods.addresses.set(&found);
        Ok(pods)
    }

    async fn resolve(&mut self) -> Result<Vec<SocketAddr>, ExperimentError> {
        self.resolved = Instant::now();
        let found = addresses_of(&self.name, (DNS_SERVICE, PORT).into()).await?;
        let found: Vec<SocketAddr> = found.into_iter().map(|address| (address, self.port).into()).collect();
        self.route_guard.check(&found).await?;
        Ok(found)
    }

    /// Resolves the name again where a client would; it ends only with an error. A name that has no address any more, or
    /// that cannot be resolved, leaves the addresses as they are.
    pub(super) async fn follow(&mut self) -> Result<(), ExperimentError> {
        let mut seen = self.addresses.reopened();
        loop {
            sleep(LOOK).await;
            let reopened = self.addresses.reopened();
            if reopened == seen || self.resolved.elapsed() < BETWEEN {
                continue;
            }
            seen = reopened;
            match self.resolve().await {
                Ok(found) if found.is_empty() => {}
                Ok(found) => self.addresses.set(&found),
                Err(ExperimentError::Workload(WorkloadError::Name { .. })) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
