//! Where the load of a run is sent.

use super::workplace::Workplace;
use crate::workload::{Endpoint, ServicePolicy};
use evenkeel_load::Target;

/// A target of load, and what is known of it.
#[derive(Clone)]
pub struct Place<'a> {
    /// The target.
    pub target: Target,
    /// The cluster and the Service at the target; `None` if it is not in a cluster.
    pub workplace: Option<Workplace<'a>>,
    /// The policies of the Service that act on the load.
    pub policies: Vec<ServicePolicy>,
}

impl<'a> Place<'a> {
    /// A target outside of any cluster.
    #[must_use]
    pub fn outside(target: Target) -> Self {
        Self { target, workplace: None, policies: Vec::new() }
    }

    /// The Service of a workplace, which is reached at `endpoint`.
    #[must_use]
    pub fn of_service(workplace: Workplace<'a>, endpoint: Endpoint) -> Self {
        Self { target: endpoint.target, workplace: Some(workplace), policies: endpoint.policies }
    }

    /// The name of the Service: `namespace/name:port`.
    #[must_use]
    pub fn service(&self) -> Option<String> {
        self.workplace.map(|workplace| workplace.subject.name().to_string())
    }
}
