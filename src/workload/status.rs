//! The status of the lab: its components as their supervisors report them, everything else from the API server.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use super::pods::pods;
use super::subject::{Subject, SubjectWish};
use super::view::{NodeRow, PodRow, ServiceRow};
use crate::cluster::{self, Cluster, ClusterError, ComponentState, ComponentStatus, LinkChanges};
use crate::config::{ProxyMode, RouterHash, Subnet};
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// The version of the JSON schema of [`Status`].
pub const SCHEMA_VERSION: u32 = 1;

/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything `evenkeel status` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The lab's name.
    pub lab: String,
    /// Where the kubeconfig is.
    pub kubeconfig: String,
    /// The mode of kube-proxy, if it can be read: only root can.
    pub proxy_mode: Option<ProxyMode>,
    /// The lab's addresses on this machine: its link and its external IPs.
    pub subnet: Subnet,
    /// How the router keeps connections on their nodes, in a lab that has a router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_hash: Option<RouterHash>,
    /// What other programs changed on the lab's link on this machine.
    pub link_changes: Option<LinkChanges>,
    /// The nodes, if the API server answers.
    pub nodes: Option<Vec<NodeRow>>,
    /// The components of each node, and of the router.
    pub components: Vec<NodeComponents>,
    /// The workload, if the API server answers.
    #[serde(flatten)]
    pub workload: Option<Workload>,
}

/// One node's components.
#[derive(Clone, Debug, Serialize)]
pub struct NodeComponents {
    /// The node.
    pub node: String,
    /// The components that run there.
    pub components: Vec<ComponentStatus>,
}

/// The workload's pods and Services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// The pods, by name.
    pub pods: Vec<PodRow>,
    /// The Services.
    pub services: Vec<ServiceRow>,
}

/// The lab's status. When the API server does not answer, the components and the error are returned. If a component is no
/// longer restarted, that is the error, since it may be the cause.
///
/// # Errors
/// [`WorkloadError::Io`] when the status of the components cannot be read.
pub async fn status(
    cluster: &Cluster,
    client: Result<Client, ClusterError>,
    wanted: &SubjectWish,
) -> Result<(Status, Option<WorkloadError>), WorkloadError> {
    let components = cluster::components(cluster)?.into_iter().map(|(node, components)| (node.name, components));
    let components = components.chain(cluster::router_components(cluster)?);
    let components = components.map(|(node, components)| NodeComponents { node, components }).collect();
    let shape = cluster::shape(cluster).ok();
    let mut status = Status {
        schema_version: SCHEMA_VERSION,
        lab: cluster.name.to_string(),
        kubeconfig: cluster.paths.kubeconfig().display().to_string(),
        proxy_mode: cluster::proxy_mode(cluster).ok(),
        subnet: cluster.subnet,
        router_hash: shape.filter(|_| cluster.router.is_some()).map(|shape| shape.router_hash),
        link_changes: cluster::link_changes(cluster)?,
        nodes: None,
        components,
        workload: None,
    };
    let told = async {
        let client = client?;
        let of_subject = async { workload(&client, subject(&client, wanted).await?.as_ref()).await };
        futures::try_join!(nodes(&client), of_subject)
    };
    let late = |_| WorkloadError::Deadline {
        what: "an answer of the API server".into(),
        seconds: PATIENCE.as_secs(),
        why: "it accepts connections but does not answer".into(),
    };
    let problem = match tokio::time::timeout(PATIENCE, told).await.map_err(late).flatten() {
        Ok((nodes, workload)) => {
            status.nodes = Some(nodes);
            status.workload = Some(workload);
            None
        }
        Err(error) => Some(error),
    };
    let given_up = given_up(status.components.iter().flat_map(|node| &node.components));
    let not_booted = (!cluster::is_booted(cluster)).then_some(WorkloadError::Cluster(ClusterError::NotBooted));
    let lost = status.link_changes.clone().filter(|changes| changes.removed.is_some());
    let lost = lost.map(|changes| WorkloadError::Cluster(ClusterError::LinkChanged(changes)));
    Ok((status, given_up.or(not_booted).or(lost).or(problem)))
}

/// What can be seen of a cluster through its API server alone.
#[derive(Clone, Debug, Serialize)]
pub struct ForeignStatus {
    /// The nodes, if the user may list them.
    pub nodes: Option<Vec<NodeRow>>,
    /// The workload.
    #[serde(flatten)]
    pub workload: Workload,
}

/// The status of a cluster that is no lab: the Service that is wanted, or all Services and pods of the namespace.
///
/// # Errors
/// [`WorkloadError::Kubernetes`], and as [`Subject::find`] for a Service that is given.
pub async fn foreign(client: &Client, wanted: &SubjectWish, namespace: &str) -> Result<ForeignStatus, WorkloadError> {
    let workload = match subject(client, wanted).await? {
        Some(subject) => workload(client, Some(&subject)).await?,
        None => workload_of(client, namespace).await?,
    };
    Ok(ForeignStatus { nodes: nodes(client).await.ok(), workload })
}

/// All pods and Services of a namespace.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn workload_of(client: &Client, namespace: &str) -> Result<Workload, WorkloadError> {
    let refused = |source| KubernetesError::new(format!("list pods and Services in {namespace}"), source);
    let (pods, services) = (
        Api::<core::Pod>::namespaced(client.clone(), namespace),
        Api::<core::Service>::namespaced(client.clone(), namespace),
    );
    let all = ListParams::default();
    let (pods, services) = futures::try_join!(pods.list(&all), services.list(&all)).map_err(refused)?;
    Ok(rows(&pods.items, &services.items))
}

fn given_up<'a>(components: impl Iterator<Item = &'a ComponentStatus>) -> Option<WorkloadError> {
    let dead: Vec<_> = components.filter(|component| component.state == ComponentState::GivenUp).collect();
    let first = dead.first()?.name.clone();
    let told = |component: &&ComponentStatus| match &component.last_exit {
        Some(exit) => format!("{} ({exit})", component.name),
        None => component.name.clone(),
    };
    Some(WorkloadError::GivenUp { components: dead.iter().map(told).collect(), first })
}

async fn nodes(client: &Client) -> Result<Vec<NodeRow>, WorkloadError> {
    let api: Api<core::Node> = Api::all(client.clone());
    let nodes = api.list(&ListParams::default()).await.map_err(|source| KubernetesError::new("list nodes", source))?;
    Ok(nodes.items.iter().map(|node| NodeRow::new(node, Timestamp::now())).collect())
}

/// The subject's pods and the Services of its namespace, as `kubectl get` shows them. Without a subject, these are all pods and
/// Services but those of the cluster itself.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn workload(client: &Client, subject: Option<&Subject>) -> Result<Workload, WorkloadError> {
    let refused = |source| KubernetesError::new("list pods and Services", source);
    let all = ListParams::default();
    let (pods, services) = if let Some(subject) = subject {
        let services: Api<core::Service> = Api::namespaced(client.clone(), &subject.namespace);
        let services = async { Ok(services.list(&all).await.map_err(refused)?.items) };
        futures::try_join!(pods(client, subject), services)?
    } else {
        let (pods, services) = (Api::<core::Pod>::all(client.clone()), Api::<core::Service>::all(client.clone()));
        let (pods, services) = futures::try_join!(pods.list(&all), services.list(&all)).map_err(refused)?;
        let pods = pods.items.into_iter().filter(|pod| !is_of_cluster(pod)).collect();
        (pods, services.items.into_iter().filter(|service| !is_of_cluster(service)).collect())
    };
    Ok(rows(&pods, &services))
}

fn rows(pods: &[core::Pod], services: &[core::Service]) -> Workload {
    let now = Timestamp::now();
    let mut pods: Vec<PodRow> = pods.iter().map(|pod| PodRow::new(pod, now)).collect();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Workload { pods, services: services.iter().map(|service| ServiceRow::new(service, now)).collect() }
}

/// Whether an object belongs to the cluster itself: the Services of its DNS and of its API server.
fn is_of_cluster(object: &impl ResourceExt) -> bool {
    let namespace = object.namespace().unwrap_or_default();
    namespace == "kube-system" || (namespace == "default" && object.name_any() == "kubernetes")
}

/// The subject, or `None` if none was given and it is not clear which one is meant.
async fn subject(client: &Client, wanted: &SubjectWish) -> Result<Option<Subject>, WorkloadError> {
    match Subject::find(client, wanted).await {
        Ok(subject) => Ok(Some(subject)),
        Err(
            WorkloadError::NoWorkload
            | WorkloadError::NoBalanced { .. }
            | WorkloadError::SeveralServices { .. }
            | WorkloadError::Unsuitable { .. },
        ) if wanted.given.is_none() => Ok(None),
        Err(error) => Err(error),
    }
}
