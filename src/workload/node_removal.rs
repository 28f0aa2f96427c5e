//! Takes a node out of a cluster, so that no request is lost: it gets no new connections and pods, its pods are evicted, and its
//! connections end.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::router::EXCLUDE_LABEL;
use super::scale::some;
use super::{drain, nodes};
use crate::cluster::{self, Cluster, ClusterError, RunningNode};
use crate::kubernetes_error::KubernetesError;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};
use crate::toolbox::Toolbox;
use crate::workload::WorkloadError;

/// How often the connections are counted.
const RECOUNT: Duration = Duration::from_millis(200);

/// The running node that is given by its name or its index.
///
/// # Errors
/// [`WorkloadError::UnknownNode`] with the names of all nodes; [`WorkloadError::Kubernetes`].
pub async fn find_node(client: &Client, cluster: &Cluster, given: &str) -> Result<RunningNode, WorkloadError> {
    let name = nodes::find(client, given).await?;
    let names = || cluster.nodes.iter().map(|running| running.node.name.clone()).collect();
    let found = cluster.nodes.iter().find(|running| running.node.name == name);
    found.cloned().ok_or_else(|| WorkloadError::UnknownNode { given: given.to_owned(), nodes: names() })
}

/// How nodes of a lab are removed.
pub struct NodeRemoval<'a> {
    /// A client for the lab's API server.
    pub client: &'a Client,
    /// The lab as it runs now.
    pub cluster: &'a Cluster,
    /// The programs that read the router's connections.
    pub toolbox: &'a Toolbox,
    /// The longest time to wait for the connections of a node.
    pub grace: Duration,
    /// Where the progress is shown.
    pub progress: &'a Progress,
    /// Interrupts the removal.
    pub shutdown: &'a Shutdown,
}

impl NodeRemoval<'_> {
    /// Takes a node out of the cluster, and removes its sandbox and its object. Returns how many of its connections were cut.
    ///
    /// # Errors
    /// [`WorkloadError::Cluster`] with [`ClusterError::ControlPlaneNode`], [`WorkloadError::CannotEvict`], [`WorkloadError::Deadline`],
    /// [`WorkloadError::Kubernetes`], [`WorkloadError::Interrupted`].
    pub async fn remove(&self, running: &RunningNode) -> Result<usize, WorkloadError> {
        let name = &running.node.name;
        if running.node.is_control_plane() {
            return Err(ClusterError::ControlPlaneNode { node: name.clone() }.into());
        }
        let left = self.take_out(running).await?;
        let step = self.progress.step(format!("remove {name}"));
        cluster::remove_node(self.cluster, &running.node)?;
        forget(self.client, name).await?;
        step.done();
        Ok(left)
    }

    /// Takes a node out of the cluster, and waits until the connections that the router has sent to it have ended; returns how many
    /// are left. If this is interrupted or fails, the node is used as before.
    async fn take_out(&self, running: &RunningNode) -> Result<usize, WorkloadError> {
        let (client, name) = (self.client, &running.node.name);
        drain::pods_to_evict(client, name).await?;
        set_out(client, name, true).await?;
        let work = async {
            let is_last = nodes::is_last_schedulable(client, name).await?;
            let step = self.progress.step(format!("drain {name}"));
            let evicted = drain::evict_all(client, name, is_last, &step).await?;
            step.done_with(format!("{} evicted", some(usize::try_from(evicted).unwrap_or(usize::MAX), "pod")));
            self.connections_ended(running).await
        };
        let done = match shutdown::unless(self.shutdown, Box::pin(work)).await {
            Ok(done) => done,
            Err(interrupted) => Err(interrupted.into()),
        };
        if done.is_err() {
            set_out(client, name, false).await?;
        }
        done
    }

    async fn connections_ended(&self, running: &RunningNode) -> Result<usize, WorkloadError> {
        let step = self.progress.step("wait until its connections have ended");
        let deadline = Instant::now() + self.grace;
        loop {
            match cluster::connections_of(self.cluster, self.toolbox, &running.node).await? {
                0 => {
                    step.done();
                    return Ok(0);
                }
                left if Instant::now() >= deadline => {
                    step.done_with(format!("{} left", some(left, "connection")));
                    return Ok(left);
                }
                left => step.detail(some(left, "connection")),
            }
            sleep(RECOUNT).await;
        }
    }
}

/// Removes the object of a node whose sandbox is gone. Kubernetes then removes the pods that were left there.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
async fn forget(client: &Client, name: &str) -> Result<(), WorkloadError> {
    let nodes: Api<Node> = Api::all(client.clone());
    match nodes.delete(name, &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => {
            Ok(deleted.map(drop).map_err(|source| KubernetesError::new(format!("delete Node {name}"), source))?)
        }
    }
}

/// Lets no new pod and no new connection reach a node, or allows both again.
async fn set_out(client: &Client, name: &str, out: bool) -> Result<(), WorkloadError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let label = if out { json!("") } else { json!(null) };
    let patch = json!({ "metadata": { "labels": { EXCLUDE_LABEL: label } }, "spec": { "unschedulable": out } });
    let patched = nodes.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
    Ok(patched.map(drop).map_err(|source| KubernetesError::new(format!("cordon Node {name}"), source))?)
}
