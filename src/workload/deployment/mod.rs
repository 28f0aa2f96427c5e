//! Deploys manifests: resolves their kinds, checks them, and applies them.

mod apply;
mod apply_set;
mod change;
mod images;
mod order;
mod resolve;

pub use apply::{Deployed, deploy, existing};
pub use apply_set::{prune, undeploy};
pub use change::{move_to, set_image, set_replicas, subject_of};
pub use images::{ContainerImage, container_images, set_pull_policy};
