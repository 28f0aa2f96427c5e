//! Checks, before anything happens, that events can be performed.

use super::{Action, NodeAction, Planned, Slowdown};
use crate::cluster::{Access, ClusterError, NodeFault, check_component, check_packet_delay};
use crate::workload::{WorkloadError, drain, nodes};

/// Checks that the cluster has what the `events` need. Returns them with the names of the nodes instead of their indexes.
///
/// # Errors
/// [`WorkloadError::Cluster`] when an event acts on the nodes' processes and only the API server can be reached, when there is
/// no such component, when an event is not possible on its node, or when it delays packets and this machine cannot; [`WorkloadError::UnknownNode`];
/// [`WorkloadError::CannotEvict`]; [`WorkloadError::Kubernetes`].
pub async fn check(access: &Access, events: &[Planned]) -> Result<Vec<Planned>, WorkloadError> {
    check_reach(access, events)?;
    let mut named = Vec::new();
    let adds_nodes = events.iter().any(|event| event.action == Action::AddNode);
    for event in events {
        let action = match check_one(access, event.action.clone()).await {
            // It may be one that an event adds.
            Err(WorkloadError::UnknownNode { .. }) if adds_nodes => event.action.clone(),
            checked => checked?,
        };
        named.push(Planned { at: event.at, action });
    }
    let delays = |event: &&Planned| {
        matches!(event.action, Action::SlowPod(Slowdown::Delay(_), _) | Action::Node(_, NodeAction::Delay(..)))
    };
    if let Some(event) = events.iter().find(delays) {
        let (_, toolbox) = access.require_kernels(&event.action.to_string())?;
        check_packet_delay(toolbox).await?;
    }
    Ok(named)
}

/// Checks that the nodes can be reached if one of the `events` acts on their processes. Nothing is asked.
///
/// # Errors
/// [`ClusterError::NoDataPlane`].
pub fn check_reach(access: &Access, events: &[Planned]) -> Result<(), ClusterError> {
    let mut needing = events.iter().filter(|event| event.action.needs_nodes());
    needing.try_for_each(|event| access.require_lab(&event.action.to_string()).map(drop))
}

/// Checks the node and the component of one event.
async fn check_one(access: &Access, action: Action) -> Result<Action, WorkloadError> {
    let action = match action.node() {
        Some(node) => {
            let node = nodes::find(&access.client, node).await?;
            action.on_node(node)
        }
        None => action,
    };
    if let Some(component) = action.component() {
        let cluster = access.require_lab(&action.to_string())?;
        check_component(cluster, &component.name, component.node.as_deref())?;
    }
    if let Action::Node(node, of_node) = &action {
        check_node(access, node, *of_node, &action.to_string()).await?;
    }
    Ok(action)
}

/// Checks that an action is possible on this node.
async fn check_node(access: &Access, node: &str, action: NodeAction, what: &str) -> Result<(), WorkloadError> {
    match action {
        NodeAction::Remove if access.require_lab(what)?.first().node.name == node => {
            return Err(ClusterError::ControlPlaneNode { node: node.to_owned() }.into());
        }
        NodeAction::Drain(_) | NodeAction::Remove => {
            drain::pods_to_evict(&access.client, node).await?;
        }
        NodeAction::Kill(_) | NodeAction::Restart => {
            let cluster = access.require_lab(what)?;
            access.require_kernels(what)?;
            if cluster.first().node.name == node {
                return Err(ClusterError::ControlPlaneNode { node: node.to_owned() }.into());
            }
        }
        NodeAction::Fault(NodeFault::Partitioned, _) if access.require_lab(what)?.router.is_none() => {
            return Err(ClusterError::NoRouter { what: what.to_owned() }.into());
        }
        _ => {}
    }
    Ok(())
}
