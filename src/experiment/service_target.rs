//! The Service under test as the target of load.

use super::workplace::Workplace;
use crate::cluster::TemporaryRoutes;
use crate::experiment::ExperimentError;
use crate::progress::Progress;
use crate::workload::{self, Endpoint, Exposure, OriginalPolicy, WorkloadError};
use evenkeel_grpc::SchemaError;

/// What the runs of an experiment need of the Service under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a requirement of its own")]
pub struct Requirements {
    /// What needs an address.
    pub address: AddressUse,
    /// A controller that can be scaled.
    pub scaling: bool,
    /// A pod that is ready before the first run.
    pub pods: bool,
    /// An external traffic policy that can be set.
    pub external_policy: bool,
    /// Whether the load is sent inside of the cluster.
    pub inside: bool,
}

/// What the address of the Service under test is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressUse {
    /// For nothing: the client chooses the pods.
    None,
    /// Only to ask for the methods of gRPC before the first run.
    Reflection,
    /// The Service chooses the pods in a run.
    Load,
}

/// The Service under test, to which load can be sent. A temporary route that this needs is removed when the value is
/// dropped.
pub struct ServiceTarget {
    /// Where the load is sent.
    pub endpoint: Endpoint,
    _route: Option<TemporaryRoutes>,
}

impl ServiceTarget {
    /// Checks that the Service meets the `requirements`, and then adds the route that is needed to reach it.
    ///
    /// # Errors
    /// [`WorkloadError::Headless`] when it has no address; [`WorkloadError::NoEndpoints`];
    /// [`WorkloadError::Unsuitable`], [`WorkloadError::ForeignTarget`] and more.
    pub async fn reach(
        workplace: Workplace<'_>,
        requirements: Requirements,
        progress: &Progress,
    ) -> Result<Self, ExperimentError> {
        let Workplace { access, subject, link, ip } = workplace;
        let client = &access.client;
        if requirements.external_policy {
            OriginalPolicy::of(client, subject).await?;
        }
        if requirements.scaling {
            workload::require_scalable(client, subject).await?;
        }
        if requirements.pods {
            workload::backends(client, subject).await?;
        }
        if requirements.inside {
            return Ok(Self { endpoint: workload::inner_endpoint(client, subject).await?, _route: None });
        }
        let endpoint = workload::endpoint(client, subject).await?;
        let unreachable = |what: &str| {
            let why = format!("{what}, and this machine can only reach those of a lab");
            WorkloadError::Unsuitable { service: subject.to_string(), why }
        };
        let route = match endpoint.exposure {
            _ if requirements.address == AddressUse::None => None,
            Exposure::ClusterIp(_) if access.lab().is_none() => {
                return Err(unreachable("it is of type ClusterIP").into());
            }
            Exposure::Headless if access.lab().is_none() => {
                return Err(unreachable("it is headless, so load is sent to the addresses of its pods").into());
            }
            Exposure::ClusterIp(address) => {
                let cluster = access.require_lab("sending load to a cluster IP")?;
                Some(TemporaryRoutes::to_cluster_ip(cluster, address, ip, progress)?)
            }
            Exposure::Headless if requirements.address == AddressUse::Load => {
                return Err(WorkloadError::Headless { service: subject.to_string() }.into());
            }
            Exposure::Headless => {
                let why = format!("{subject} is a headless Service, which has no address");
                return Err(SchemaError::Reflection { why }.into());
            }
            _ => None,
        };
        // The addresses of pods are checked in each run. A cluster that is no lab was named for the load.
        if requirements.address != AddressUse::None && access.lab().is_some() {
            workload::guard(endpoint.target.address, link, ip).await?;
        }
        Ok(Self { endpoint, _route: route })
    }
}
