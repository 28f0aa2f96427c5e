//! Checks, before anything happens, that events can be performed.

use super::Planned;
use crate::cluster::Access;
use crate::workload::WorkloadError;

/// Checks that the cluster has what the `events` need.
///
/// # Errors
/// [`WorkloadError::Cluster`] when an event acts on the nodes' processes and only the API server can be reached.
pub fn check(access: &Access, events: &[Planned]) -> Result<(), WorkloadError> {
    for event in events.iter().filter(|event| event.action.needs_nodes()) {
        access.require_lab(&event.action.to_string())?;
    }
    Ok(())
}
