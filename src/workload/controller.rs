//! The controllers that create pods: Deployments, StatefulSets, DaemonSets and ReplicaSets.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DynamicObject, ListParams};
use kube::core::Selector;
use kube::{Api, Client, ResourceExt};

use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// The kinds of controllers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControllerKind {
    /// Replaces its pods by rolling updates.
    Deployment,
    /// Pods with stable names, replaced in order.
    StatefulSet,
    /// One pod on each node.
    DaemonSet,
    /// Pods that are not replaced when its template changes.
    ReplicaSet,
}

impl fmt::Display for ControllerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
        })
    }
}

/// A controller, by name. Its namespace is that of the Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Controller {
    /// Its kind.
    pub kind: ControllerKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The labels of its pods, as `kubectl --selector` takes them.
    pub selector: String,
}

impl fmt::Display for Controller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// A controller of a namespace, with its pod template.
pub(super) struct Candidate {
    pub(super) controller: Controller,
    pub(super) pod: PodTemplateSpec,
}

impl Candidate {
    /// Whether its pods have these labels.
    pub(super) fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        let own = self.pod.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        labels.iter().all(|(key, value)| own.and_then(|own| own.get(key)) == Some(value))
    }
}

/// All controllers in `namespace` that no other controller owns.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub(super) async fn candidates(client: &Client, namespace: &str) -> Result<Vec<Candidate>, WorkloadError> {
    let all = ListParams::default();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let stateful_sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let daemon_sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    let replica_sets: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
    let (deployments, stateful_sets, daemon_sets, replica_sets) = futures::try_join!(
        deployments.list(&all),
        stateful_sets.list(&all),
        daemon_sets.list(&all),
        replica_sets.list(&all)
    )
    .map_err(|source| KubernetesError::new(format!("list the controllers in namespace {namespace}"), source))?;
    let mut found = Vec::new();
    for (name, spec) in deployments.items.into_iter().map(|found| (found.name_any(), found.spec)) {
        let Some(spec) = spec else { continue };
        found.extend(candidate(ControllerKind::Deployment, namespace, name, &spec.selector, spec.template));
    }
    for (name, spec) in stateful_sets.items.into_iter().map(|found| (found.name_any(), found.spec)) {
        let Some(spec) = spec else { continue };
        found.extend(candidate(ControllerKind::StatefulSet, namespace, name, &spec.selector, spec.template));
    }
    for (name, spec) in daemon_sets.items.into_iter().map(|found| (found.name_any(), found.spec)) {
        let Some(spec) = spec else { continue };
        found.extend(candidate(ControllerKind::DaemonSet, namespace, name, &spec.selector, spec.template));
    }
    let of_nobody = replica_sets.items.into_iter().filter(|set| set.owner_references().is_empty());
    for (name, spec) in of_nobody.map(|found| (found.name_any(), found.spec)) {
        let Some(spec) = spec else { continue };
        let template = spec.template.unwrap_or_default();
        found.extend(candidate(ControllerKind::ReplicaSet, namespace, name, &spec.selector, template));
    }
    Ok(found)
}

fn candidate(
    kind: ControllerKind,
    namespace: &str,
    name: String,
    selector: &LabelSelector,
    pod: PodTemplateSpec,
) -> Option<Candidate> {
    let selector = Selector::try_from(selector.clone()).ok()?.to_string();
    Some(Candidate { controller: Controller { kind, namespace: namespace.to_owned(), name, selector }, pod })
}

/// The controller that a manifest describes, in `namespace`; `None` if it describes something else.
pub(super) fn candidate_of(namespace: &str, object: &DynamicObject) -> Option<Candidate> {
    let types = object.types.as_ref()?;
    let kind = match (types.api_version.as_str(), types.kind.as_str()) {
        ("apps/v1", "Deployment") => ControllerKind::Deployment,
        ("apps/v1", "StatefulSet") => ControllerKind::StatefulSet,
        ("apps/v1", "DaemonSet") => ControllerKind::DaemonSet,
        ("apps/v1", "ReplicaSet") => ControllerKind::ReplicaSet,
        _ => return None,
    };
    let spec = object.data.get("spec")?;
    let selector: LabelSelector = serde_json::from_value(spec.get("selector")?.clone()).ok()?;
    let template = serde_json::from_value(spec.get("template")?.clone()).ok()?;
    candidate(kind, namespace, object.name_any(), &selector, template)
}
