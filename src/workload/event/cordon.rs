//! Cordons nodes, and uncordons them when a run is interrupted.

use std::cell::RefCell;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};
use tokio::time::timeout;

use super::EventContext;
use crate::cluster::{Access, Cluster, NodeChange, NodeRecord, node_records};
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// How long the undo after an interruption may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The nodes that a run has cordoned.
#[derive(Default)]
pub(super) struct Cordons(RefCell<Vec<Cordoned>>);

/// A node that was not cordoned before.
struct Cordoned {
    node: String,
    /// With it, the next verb uncordons the node if this program is killed. Only a lab has one.
    record: Option<NodeRecord>,
}

impl Cordons {
    /// Cordons a node; returns whether it was not cordoned before.
    pub(super) async fn cordon(&self, access: &Access, node: &str) -> Result<bool, WorkloadError> {
        let nodes: Api<Node> = Api::all(access.client.clone());
        let failed = |source| KubernetesError::new(format!("cordon the node {node}"), source);
        let before = nodes.get(node).await.map_err(failed)?;
        if before.spec.is_some_and(|spec| spec.unschedulable == Some(true)) {
            return Ok(false);
        }
        let record = access.lab().map(|cluster| NodeRecord::make(cluster, NodeChange::Cordoned, node)).transpose()?;
        self.0.borrow_mut().push(Cordoned { node: node.to_owned(), record });
        nodes.cordon(node).await.map_err(failed)?;
        Ok(true)
    }

    /// Uncordons a node.
    pub(super) async fn uncordon(&self, access: &Access, node: &str) -> Result<(), WorkloadError> {
        uncordon(&access.client, node).await?;
        let mut cordoned = self.0.borrow_mut();
        let undone = cordoned.extract_if(.., |cordoned| cordoned.node == node);
        undone.filter_map(|cordoned| cordoned.record).try_for_each(|record| record.remove())?;
        Ok(())
    }

    /// Uncordons a node if it `is_new` that it is cordoned.
    pub(super) async fn uncordon_if(&self, is_new: bool, access: &Access, node: &str) -> Result<(), WorkloadError> {
        if is_new { self.uncordon(access, node).await } else { Ok(()) }
    }

    /// Whether the run has cordoned nodes that are still cordoned.
    pub(super) fn are_there(&self) -> bool {
        !self.0.borrow().is_empty()
    }

    /// Ends the run: the nodes stay cordoned, unless it was interrupted.
    pub(super) async fn end(self, context: &EventContext<'_>) {
        for Cordoned { node, record } in self.0.into_inner() {
            let undone = if context.shutdown.is_cancelled() {
                match timeout(PATIENCE, uncordon(&context.access.client, &node)).await {
                    Ok(undone) => undone,
                    Err(_) => Err(WorkloadError::Deadline {
                        what: format!("uncordoning {node}"),
                        seconds: PATIENCE.as_secs(),
                        why: "the API server has not answered".into(),
                    }),
                }
            } else {
                Ok(())
            };
            let ended = undone.and_then(|()| Ok(record.map_or(Ok(()), |record| record.remove())?));
            if let Err(error) = ended {
                context.progress.note(format!("the node {node} may still be cordoned: {error}"));
            }
        }
    }
}

/// Uncordons the nodes that a test cordoned which was killed; returns their names.
///
/// # Errors
/// [`WorkloadError::Kubernetes`] and [`WorkloadError::Io`].
pub async fn undo_cordons(cluster: &Cluster, client: &Client) -> Result<Vec<String>, WorkloadError> {
    let mut undone = Vec::new();
    for record in node_records(cluster).into_iter().filter(|record| record.change == NodeChange::Cordoned) {
        match uncordon(client, &record.node).await {
            // The node was removed since.
            Err(WorkloadError::UnknownNode { .. }) => {}
            uncordoned => {
                uncordoned?;
                undone.push(record.node.clone());
            }
        }
        record.remove()?;
    }
    Ok(undone)
}

async fn uncordon(client: &Client, node: &str) -> Result<(), WorkloadError> {
    let nodes: Api<Node> = Api::all(client.clone());
    match nodes.uncordon(node).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => {
            Err(WorkloadError::UnknownNode { given: node.to_owned(), nodes: Vec::new() })
        }
        Err(source) => Err(KubernetesError::new(format!("uncordon the node {node}"), source).into()),
    }
}
