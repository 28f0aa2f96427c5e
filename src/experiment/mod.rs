//! Runs of a test with scaling, events and comparison around them: the plan of a trial, how its runs are made in a
//! cluster, and the soak, which tests every promise under load.

mod agents;
mod balanced_pods;
mod client_pods;
mod components_watch;
pub mod environment;
mod error;
mod grpc_call;
mod live_line;
mod observation;
mod only_pod;
mod place;
mod places;
mod policies;
mod proxied;
mod resolved_pods;
mod route_guard;
pub mod run_data;
mod series;
mod service_target;
mod single_run;
pub mod soak;
mod tracking;
mod trial;
mod workplace;

pub use error::ExperimentError;

pub use agents::Agents;
pub use environment::Environment;
pub use grpc_call::GrpcCall;
pub use place::Place;
pub use series::{Series, SeriesResult};
pub use service_target::{AddressUse, Requirements, ServiceTarget};
pub use trial::{Case, LONGEST_RUN, Trial};
pub use workplace::Workplace;
