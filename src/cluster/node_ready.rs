//! Waits until a node is Ready, as Kubernetes reports it.

use futures::StreamExt;
use k8s_openapi::api::core::v1 as core;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

use crate::cluster::ClusterError;

use super::plan::BootPlan;
use super::prepare::DEADLINE;

/// Waits until the node's Ready condition is true.
pub(super) async fn node_ready(client: &Client, plan: &BootPlan) -> Result<(), ClusterError> {
    let nodes: Api<core::Node> = Api::all(client.clone());
    let config = watcher::Config::default().fields(&format!("metadata.name={}", plan.name));
    let mut events = watcher(nodes, config).default_backoff().applied_objects().boxed();
    let watch = async {
        let mut last = "it has not registered".to_owned();
        let deadline = tokio::time::sleep(DEADLINE);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                () = &mut deadline => return Err(last),
                event = events.next() => match event {
                    Some(Ok(node)) => match not_ready(&node) {
                        None => return Ok(()),
                        Some(why) => last = why,
                    },
                    Some(Err(source)) => last = source.to_string(),
                    None => return Err(last),
                },
            }
        }
    };
    watch.await.map_err(|why| plan.failure("kubelet", format!("did not make its node Ready ({why})")))
}

/// Why a node is not Ready, as Kubernetes reports it; `None` when it is Ready.
fn not_ready(node: &core::Node) -> Option<String> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.and_then(|all| all.iter().find(|condition| condition.type_ == "Ready"));
    match ready {
        Some(condition) if condition.status == "True" => None,
        Some(condition) => Some(condition.message.clone().unwrap_or_else(|| "no reason given".into())),
        None => Some("it has no status yet".into()),
    }
}
