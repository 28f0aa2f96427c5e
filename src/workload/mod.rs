//! The workload: it is applied, rolled out, scaled, watched and shown. Also the external IPs of its Services, and its volumes.

pub mod admission;
pub mod agents;
pub mod backends;
pub mod baseline;
pub mod cluster_dns;
pub mod component_logs;
pub mod conntrack_table;
pub mod controller;
mod controller_state;
pub mod deployment;
mod drain;
pub mod endpoint;
mod error;
pub mod event;
pub mod exposure;
pub mod external_ip;
mod external_policy;
mod guard;
mod headless;
mod job;
pub mod logs;
pub mod manifest;
pub mod memory;
pub mod node_removal;
mod nodes;
mod observe;
pub mod pod_counters;
mod pod_events;
mod pod_places;
mod pod_template;
mod pods;
pub mod proxy_rules;
pub mod rights;
pub mod rollout;
mod rollout_failure;
mod room;
pub mod router;
pub mod scale;
mod scale_pace;
pub mod service_name;
pub mod status;
pub mod subject;
pub mod view;
pub mod volume;
mod waiting_container;

pub use error::{ScaleObstacle, WorkloadError};

use crate::kubernetes_error::KubernetesError;

pub use backends::{backends, backends_as_they_change, only_backend};
pub use baseline::Baseline;
pub use endpoint::{Endpoint, endpoint, inner_endpoint};
pub use exposure::{Exposure, ServicePolicy};
pub use external_policy::{ExternalPolicy, OriginalPolicy, acting_policies};
pub use guard::guard;
pub use headless::headless_name;
pub use job::job;
pub use pod_counters::{PodCounters, pod_counters};
pub use pod_places::{NodePlace, PodPlace, node_places, pod_places, with_later};
pub use pod_template::replicas;
pub use pods::is_active;
pub use rollout::rollout;
pub use room::require_room_in_lab;
pub use scale::{ScaleOutcome, require_scalable, scale};
pub use service_name::ServiceName;
pub use status::status;
pub use subject::{Subject, SubjectWish};

/// The field manager of everything that Evenkeel applies or patches.
pub const FIELD_MANAGER: &str = "evenkeel";

/// The error for a change of a controller that failed: the controller may not exist.
fn unchanged(action: String, source: kube::Error) -> WorkloadError {
    match &source {
        kube::Error::Api(status) if status.is_not_found() => WorkloadError::NoWorkload,
        _ => KubernetesError::new(action, source).into(),
    }
}
