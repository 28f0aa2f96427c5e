//! The workload: it is applied, rolled out, scaled, watched and shown. Also the external IPs of its Services.

pub mod apply;
pub mod backends;
pub mod baseline;
pub mod component_logs;
pub mod conntrack_table;
pub mod endpoint;
mod error;
pub mod event;
pub mod external_ip;
mod guard;
pub mod logs;
pub mod manifests;
pub mod memory;
mod observe;
pub mod pod_counters;
mod pods;
pub mod proxy_rules;
pub mod rollout;
mod rollout_failure;
pub mod scale;
pub mod status;
pub mod view;

pub use error::WorkloadError;

use crate::kubernetes_error::KubernetesError;

pub use apply::apply;
pub use backends::{backends, backends_as_they_change};
pub use baseline::Baseline;
pub use endpoint::endpoint;
pub use guard::guard;
pub use pod_counters::{PodCounters, pod_counters};
pub use pods::is_active;
pub use rollout::rollout;
pub use scale::{ScaleOutcome, scale};
pub use status::status;

/// The field manager of everything that Evenkeel applies or patches.
pub const FIELD_MANAGER: &str = "evenkeel";
/// The label selector of the workload's pods and ReplicaSets.
pub const SELECTOR: &str = "app.kubernetes.io/name=server,app.kubernetes.io/part-of=evenkeel";
/// The name of the Service's only port.
pub const PORT_NAME: &str = "http";

/// The error for a change of the workload's Deployment that failed: the Deployment may not exist.
fn unchanged(action: String, source: kube::Error) -> WorkloadError {
    match &source {
        kube::Error::Api(status) if status.is_not_found() => WorkloadError::NoWorkload,
        _ => KubernetesError::new(action, source).into(),
    }
}
