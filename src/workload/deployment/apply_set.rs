//! The objects that belong together, as KEP-3659 describes it: each has a label with the name of the set, and a parent object
//! lists their kinds and namespaces. So they are found again, also by `kubectl apply --prune --applyset`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client, ResourceExt};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::apply::Deployed;
use super::order::Phase;
use super::resolve::{Resolved, api};
use crate::kubernetes_error::KubernetesError;
use crate::progress::Progress;
use crate::workload::scale::some;
use crate::workload::{FIELD_MANAGER, WorkloadError};

/// The name of the parent object.
const PARENT: &str = "evenkeel-deployed";
/// The label of a member.
const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// The label of the parent.
const ID: &str = "applyset.kubernetes.io/id";
/// The annotation with the tool that owns the set.
const TOOLING: &str = "applyset.kubernetes.io/tooling";
/// The annotation with the kinds of the members.
const KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// The annotation with the namespaces of the members, except for the parent's own.
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
/// How long removed objects may take to disappear.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long to wait before the API server is asked again.
const REREAD: Duration = Duration::from_millis(100);

/// The members of one `deploy`, and the kinds and namespaces of all members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ApplySet {
    /// The namespace of the parent object.
    home: String,
    /// Kinds as in the annotation: `Deployment.apps`, `Service`.
    kinds: BTreeSet<String>,
    namespaces: BTreeSet<String>,
    /// The members: kind, namespace and name.
    members: BTreeSet<(String, Option<String>, String)>,
}

/// Marks an object as a member.
pub(super) fn label(object: &mut DynamicObject, home: &str) {
    object.labels_mut().insert(PART_OF.to_owned(), id(home));
}

impl ApplySet {
    pub(super) fn of(resolved: &[Resolved], home: &str) -> Self {
        let mut set = Self { home: home.to_owned(), ..Self::default() };
        for one in resolved {
            let kind = group_kind(&one.resource.group, &one.resource.kind);
            set.namespaces.extend(one.namespace.clone());
            set.members.insert((kind.clone(), one.namespace.clone(), one.object.name_any()));
            set.kinds.insert(kind);
        }
        set
    }

    /// Adds the kinds and namespaces to the parent, before the first member is applied.
    pub(super) async fn begin(&self, client: &Client) -> Result<(), WorkloadError> {
        let mut all = parent(client, &self.home).await?.unwrap_or_else(|| Self::of(&[], &self.home));
        all.kinds.extend(self.kinds.iter().cloned());
        all.namespaces.extend(self.namespaces.iter().cloned());
        all.write(client).await
    }

    async fn write(&self, client: &Client) -> Result<(), WorkloadError> {
        let join = |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(",");
        let mut others = self.namespaces.clone();
        others.remove(&self.home);
        let annotations = [
            (TOOLING, format!("evenkeel/{}", env!("CARGO_PKG_VERSION"))),
            (KINDS, join(&self.kinds)),
            (NAMESPACES, join(&others)),
        ];
        let metadata = ObjectMeta {
            name: Some(PARENT.to_owned()),
            namespace: Some(self.home.clone()),
            labels: Some(BTreeMap::from([(ID.to_owned(), id(&self.home))])),
            annotations: Some(annotations.map(|(key, value)| (key.to_owned(), value)).into()),
            ..ObjectMeta::default()
        };
        let parent = ConfigMap { metadata, ..ConfigMap::default() };
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let applied = parents(client, &self.home).patch(PARENT, &params, &Patch::Apply(&parent)).await;
        applied.map(drop).map_err(|source| KubernetesError::new("record what is deployed", source).into())
    }
}

/// Removes what an earlier `deploy` applied and `deployed` does not contain.
///
/// # Errors
/// [`WorkloadError::Kubernetes`]; [`WorkloadError::Deadline`] when an object does not disappear.
pub async fn prune(client: &Client, deployed: &Deployed, progress: &Progress) -> Result<(), WorkloadError> {
    let step = progress.step("remove what is no longer deployed");
    let removed = remove(client, &deployed.set).await?;
    deployed.set.write(client).await?;
    step.done_with(some(removed, "object"));
    Ok(())
}

/// Removes everything that `deploy` applied and recorded in the namespace `record`; returns the number of objects.
///
/// # Errors
/// As [`prune`]; [`WorkloadError::NoWorkload`] when nothing is deployed.
pub async fn undeploy(client: &Client, record: &str, progress: &Progress) -> Result<usize, WorkloadError> {
    if parent(client, record).await?.is_none() {
        return Err(WorkloadError::NoWorkload);
    }
    let step = progress.step("remove what is deployed");
    let removed = remove(client, &ApplySet::of(&[], record)).await?;
    let deleted = parents(client, record).delete(PARENT, &DeleteParams::default()).await;
    deleted.map_err(|source| KubernetesError::new("remove the record of what is deployed", source))?;
    step.done_with(some(removed, "object"));
    Ok(removed)
}

/// Removes all members that are not in `keep`, workloads first; returns their number when all have disappeared.
async fn remove(client: &Client, keep: &ApplySet) -> Result<usize, WorkloadError> {
    let Some(recorded) = parent(client, &keep.home).await? else { return Ok(0) };
    let discovery = Discovery::new(client.clone()).run_aggregated().await;
    let discovery =
        discovery.map_err(|source| KubernetesError::new("list the kinds that the cluster knows", source))?;
    let mut found = Vec::new();
    for kind in &recorded.kinds {
        let Some((resource, scope)) = resource(kind, &discovery) else { continue };
        let places: Vec<Option<String>> = match scope {
            Scope::Cluster => vec![None],
            Scope::Namespaced => recorded.namespaces.iter().cloned().map(Some).collect(),
        };
        for namespace in places {
            let labelled = ListParams::default().labels(&format!("{PART_OF}={}", id(&keep.home)));
            let listed = api(client, &resource, namespace.as_deref()).list(&labelled).await;
            let listed = listed.map_err(|source| KubernetesError::new(format!("list {kind}"), source))?.items;
            let is_left =
                |object: &DynamicObject| !keep.members.contains(&(kind.clone(), namespace.clone(), object.name_any()));
            let left = listed.into_iter().filter(is_left).map(|object| object.name_any());
            found.extend(left.map(|name| (resource.clone(), namespace.clone(), name)));
        }
    }
    found.sort_by_key(|(resource, ..)| std::cmp::Reverse(Phase::of(&resource.group, &resource.kind)));
    for (resource, namespace, name) in &found {
        match api(client, resource, namespace.as_deref()).delete(name, &DeleteParams::foreground()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(source) => return Err(KubernetesError::new(format!("delete {} {name}", resource.kind), source).into()),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for (resource, namespace, name) in &found {
        let objects = api(client, resource, namespace.as_deref());
        let read = |source| KubernetesError::new(format!("get {} {name}", resource.kind), source);
        while objects.get_metadata_opt(name).await.map_err(read)?.is_some() {
            if Instant::now() > deadline {
                return Err(WorkloadError::Deadline {
                    what: format!("the end of {} {name}", resource.kind),
                    seconds: PATIENCE.as_secs(),
                    why: "it is still there".into(),
                });
            }
            sleep(REREAD).await;
        }
    }
    Ok(found.len())
}

/// What the parent object records; `None` without a parent.
async fn parent(client: &Client, home: &str) -> Result<Option<ApplySet>, WorkloadError> {
    let found = parents(client, home).get_opt(PARENT).await;
    let found = found.map_err(|source| KubernetesError::new("read what is deployed", source))?;
    Ok(found.map(|parent| {
        let list = |name: &str| {
            let text = parent.annotations().get(name).cloned().unwrap_or_default();
            text.split(',').filter(|value| !value.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let mut namespaces = list(NAMESPACES);
        namespaces.insert(home.to_owned());
        ApplySet { home: home.to_owned(), kinds: list(KINDS), namespaces, members: BTreeSet::new() }
    }))
}

fn parents(client: &Client, home: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), home)
}

/// The resource of a kind as in the annotation; `None` if the cluster no longer knows it.
fn resource(kind: &str, discovery: &Discovery) -> Option<(ApiResource, Scope)> {
    let (kind, group) = kind.split_once('.').unwrap_or((kind, ""));
    let group = discovery.get(group)?;
    let found = group.resources_by_stability().into_iter().find(|(resource, _)| resource.kind == kind);
    let (resource, capabilities) = found?;
    let wanted = GroupVersionKind::gvk(&resource.group, &resource.version, &resource.kind);
    Some((ApiResource::from_gvk_with_plural(&wanted, &resource.plural), capabilities.scope))
}

fn group_kind(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// The name of the set: a hash of the parent's name, namespace, kind and group, as KEP-3659 defines it.
fn id(home: &str) -> String {
    let parent = format!("{PARENT}.{home}.ConfigMap.");
    format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(Sha256::digest(parent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_set_is_a_label() {
        let id = id("default");
        assert!(id.len() <= 63 && id.starts_with("applyset-") && id.ends_with("-v1"), "{id}");
    }

    #[test]
    fn kinds_are_written_with_their_group() {
        assert_eq!(group_kind("apps", "Deployment"), "Deployment.apps");
        assert_eq!(group_kind("", "Service"), "Service");
    }
}
