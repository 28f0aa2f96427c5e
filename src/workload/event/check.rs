//! Checks, before anything happens, that events can be performed.

use super::{Action, Planned, Slowdown};
use crate::cluster::{Access, check_packet_delay};
use crate::workload::WorkloadError;

/// Checks that the cluster has what the `events` need.
///
/// # Errors
/// [`WorkloadError::Cluster`] when an event acts on the nodes' processes and only the API server can be reached, or when it
/// delays a pod and this machine cannot.
pub async fn check(access: &Access, events: &[Planned]) -> Result<(), WorkloadError> {
    for event in events.iter().filter(|event| event.action.needs_nodes()) {
        access.require_lab(&event.action.to_string())?;
    }
    let delays = |event: &&Planned| matches!(event.action, Action::SlowPod(Slowdown::Delay(_), _));
    if let Some(event) = events.iter().find(delays) {
        let (_, toolbox) = access.require_kernels(&event.action.to_string())?;
        check_packet_delay(toolbox).await?;
    }
    Ok(())
}
