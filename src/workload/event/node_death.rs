//! Events that kill all processes of a node, and start it again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kube::Api;
use tokio::time::{Instant, sleep};

use super::act::{EventContext, settle};
use super::node::running;
use super::node_watch::NodeWatch;
use crate::cluster::{self, ClusterError, Node};
use crate::progress::Progress;
use crate::workload::WorkloadError;
use crate::workload::pods::{is_active, is_ready, pods};

/// How often the API server is asked.
const REREAD: Duration = Duration::from_millis(200);
/// How long the kubelet of a node that was started again may take to report its state, and that of the pods.
const PATIENCE: Duration = Duration::from_secs(120);

/// A node whose processes were killed.
pub(super) struct KilledNode {
    node: Node,
    /// When, by the clock of Kubernetes' timestamps.
    at: Timestamp,
}

/// Kills all processes of a node.
pub(super) fn kill(context: &EventContext<'_>, name: &str) -> Result<KilledNode, WorkloadError> {
    let cluster = context.access.require_lab("killing a node")?;
    let now = cluster::find(&cluster.name, &cluster.paths)?;
    let node = running(&now.nodes, name)?.node.clone();
    let at = Timestamp::now();
    cluster::kill_node(&now, &node)?;
    Ok(KilledNode { node, at })
}

/// Kills all processes of a node that may have none.
pub(super) fn kill_if_running(context: &EventContext<'_>, name: &str) -> Result<KilledNode, WorkloadError> {
    let cluster = context.access.require_lab("restarting a node")?;
    match kill(context, name) {
        Err(WorkloadError::Cluster(ClusterError::NodeIsDown { .. })) => {}
        killed => return killed,
    }
    let index = Node::index_in(name).ok_or_else(|| ClusterError::NodeIsDown { node: name.to_owned() })?;
    Ok(KilledNode { node: Node::new(&cluster.name, cluster.subnet, index), at: Timestamp::now() })
}

/// Starts a node again, and waits until its pods run again, every pod is ready, and every node balances between exactly these.
pub(super) async fn start(
    context: &EventContext<'_>,
    watch: &NodeWatch<'_>,
    killed: &KilledNode,
) -> Result<(), WorkloadError> {
    let what = "starting a node";
    let cluster = context.access.require_lab(what)?;
    let (_, toolbox) = context.access.require_kernels(what)?;
    let now = cluster::find(&cluster.name, &cluster.paths)?;
    let started = cluster::start_node(&now, toolbox, &killed.node, &Progress::silent(), context.shutdown).await;
    if let Err(error) = started {
        // What was started of it must not look like a node.
        let _ = cluster::kill_node(&now, &killed.node);
        return Err(error.into());
    }
    until_reported(context, killed).await?;
    watch.until_ready().await?;
    settle(context).await?;
    watch.read_route().await;
    Ok(())
}

/// Waits until the kubelet has reported its own state and that of its pods. Until then, the API server has those from before.
async fn until_reported(context: &EventContext<'_>, killed: &KilledNode) -> Result<(), WorkloadError> {
    let nodes: Api<core::Node> = Api::all(context.access.client.clone());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let node = nodes.get(&killed.node.name).await.ok();
        let is_reported = node.is_some_and(|node| heartbeat(&node).is_some_and(|at| at > killed.at));
        if is_reported && has_new_pods(context, killed).await? {
            return Ok(());
        }
        if Instant::now() > deadline {
            let why = if is_reported { "its pods do not run again" } else { "its kubelet has not reported its state" };
            let what = format!("the restart of {}", killed.node.name);
            return Err(WorkloadError::Deadline { what, seconds: PATIENCE.as_secs(), why: why.into() });
        }
        sleep(REREAD).await;
    }
}

/// When the kubelet last reported that the node is Ready or not.
fn heartbeat(node: &core::Node) -> Option<Timestamp> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    ready.last_heartbeat_time.as_ref().map(|time| time.0)
}

/// Whether every pod of the subject that is still on the node runs in a container that was started since.
async fn has_new_pods(context: &EventContext<'_>, killed: &KilledNode) -> Result<bool, WorkloadError> {
    let pods = pods(&context.access.client, context.subject).await?;
    let there = |pod: &&core::Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(killed.node.name.as_str())
    };
    Ok(pods.iter().filter(there).filter(|pod| is_active(pod)).all(|pod| is_ready(pod) && is_new(pod, killed.at)))
}

fn is_new(pod: &core::Pod, since: Timestamp) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let mut started = statuses.map(|status| {
        let running = status.state.as_ref().and_then(|state| state.running.as_ref());
        running.and_then(|running| running.started_at.as_ref()).map(|time| time.0)
    });
    // These times have whole seconds.
    started.all(|started| started.is_some_and(|started| started.as_second() >= since.as_second()))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_pod_is_new_when_all_its_containers_were_started_since() {
        let since: Timestamp = "2026-01-01T00:00:10.9Z".parse().unwrap();
        let pod = |started: &[&str]| {
            let status = |at: &&str| {
                json!({"name": "x", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": at}}})
            };
            let statuses: Vec<_> = started.iter().map(status).collect();
            is_new(&from_value(json!({"metadata": {}, "status": {"containerStatuses": statuses}})).unwrap(), since)
        };
        assert!(pod(&["2026-01-01T00:00:10Z", "2026-01-01T00:00:12Z"]));
        assert!(!pod(&["2026-01-01T00:00:09Z", "2026-01-01T00:00:12Z"]));
    }
}
