//! Finds the resource of each manifest, and its namespace. Nothing is changed.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope};
use kube::{Api, Client, ResourceExt};

use super::order::Phase;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;
use crate::workload::manifest::{Manifest, ManifestPlace};

/// A manifest whose resource is known.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) place: ManifestPlace,
    pub(super) object: DynamicObject,
    pub(super) resource: ApiResource,
    /// `None` for an object of the whole cluster.
    pub(super) namespace: Option<String>,
    /// Whether the cluster has the kind already. Otherwise a definition among the manifests brings it.
    pub(super) is_known: bool,
    /// Whether the namespace exists already. Otherwise it is among the manifests.
    pub(super) has_namespace: bool,
}

impl Resolved {
    pub(super) fn phase(&self) -> Phase {
        Phase::of(&self.resource.group, &self.resource.kind)
    }

    /// "Deployment shop/web".
    pub(super) fn name(&self) -> String {
        let namespace = self.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
        format!("{} {namespace}{}", self.resource.kind, self.object.name_any())
    }

    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        api(client, &self.resource, self.namespace.as_deref())
    }

    /// The error for a manifest that cannot be applied.
    pub(super) fn refused(&self, why: impl std::fmt::Display) -> WorkloadError {
        WorkloadError::Manifest { place: self.place.clone(), why: format!("{}: {why}", self.name()) }
    }
}

/// Access to the objects of a resource.
pub(super) fn api(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Resolves all manifests. Objects without a namespace get `namespace`.
///
/// # Errors
/// [`WorkloadError::Manifest`] for an unknown kind, a namespace that neither exists nor is among the manifests, and an object
/// that occurs twice; [`WorkloadError::Kubernetes`].
pub(super) async fn resolve(
    client: &Client,
    manifests: &[Manifest],
    namespace: &str,
) -> Result<Vec<Resolved>, WorkloadError> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await;
    let discovery =
        discovery.map_err(|source| KubernetesError::new("list the kinds that the cluster knows", source))?;
    let existing = namespaces(client, manifests, namespace).await?;
    let own: Vec<CustomResourceDefinition> = manifests.iter().filter_map(Manifest::typed).collect();
    let created: BTreeSet<&str> = manifests.iter().filter(|m| m.kind() == "Namespace").map(Manifest::name).collect();
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for manifest in manifests {
        let refused = |why: String| WorkloadError::Manifest {
            place: manifest.place.clone(),
            why: format!("{} {}: {why}", manifest.kind(), manifest.name()),
        };
        let (resource, scope, is_known) = kind(manifest, &discovery, &own).ok_or_else(|| {
            refused(format!("the cluster knows no kind {} in {}", manifest.kind(), manifest.api_version()))
        })?;
        let given = manifest.object.metadata.namespace.as_deref().filter(|given| !given.is_empty());
        let namespace = match scope {
            Scope::Cluster if given.is_some() => {
                return Err(refused("it has a namespace, but its kind belongs to the whole cluster".into()));
            }
            Scope::Cluster => None,
            Scope::Namespaced => Some(given.unwrap_or(namespace).to_owned()),
        };
        let has_namespace = namespace.as_ref().is_none_or(|namespace| existing.contains(namespace));
        if let Some(missing) = namespace.as_deref().filter(|namespace| !has_namespace && !created.contains(namespace)) {
            return Err(refused(format!("the namespace {missing} does not exist, and is not among the manifests")));
        }
        if !seen.insert((resource.group.clone(), resource.kind.clone(), namespace.clone(), manifest.name().to_owned()))
        {
            return Err(refused("it is there twice".into()));
        }
        let mut object = manifest.object.clone();
        object.metadata.namespace.clone_from(&namespace);
        all.push(Resolved { place: manifest.place.clone(), object, resource, namespace, is_known, has_namespace });
    }
    all.sort_by_key(Resolved::phase);
    Ok(all)
}

/// The namespaces of the manifests that exist already. They are not listed, since a user may only know some of them.
async fn namespaces(
    client: &Client,
    manifests: &[Manifest],
    namespace: &str,
) -> Result<BTreeSet<String>, WorkloadError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let given = manifests.iter().filter_map(|manifest| manifest.object.metadata.namespace.as_deref());
    let named: BTreeSet<&str> = given.filter(|given| !given.is_empty()).chain([namespace]).collect();
    let mut existing = BTreeSet::new();
    for name in named {
        let exists = match api.get_opt(name).await {
            // A namespace that is being deleted accepts no object.
            Ok(found) => found.is_some_and(|found| found.metadata.deletion_timestamp.is_none()),
            // The answer to each of its objects shows whether it exists.
            Err(kube::Error::Api(status)) if status.code == 403 => true,
            Err(source) => return Err(KubernetesError::new(format!("get Namespace {name}"), source).into()),
        };
        if exists {
            existing.insert(name.to_owned());
        }
    }
    Ok(existing)
}

/// The resource of a manifest, its scope, and whether the cluster knows it already.
fn kind(
    manifest: &Manifest,
    discovery: &Discovery,
    own: &[CustomResourceDefinition],
) -> Option<(ApiResource, Scope, bool)> {
    let types = manifest.object.types.as_ref()?;
    let wanted = GroupVersionKind::try_from(types).ok()?;
    if let Some((resource, capabilities)) = discovery.resolve_gvk(&wanted) {
        return Some((resource, capabilities.scope, true));
    }
    let defines = |definition: &&CustomResourceDefinition| {
        let spec = &definition.spec;
        let serves = spec.versions.iter().any(|version| version.name == wanted.version && version.served);
        spec.group == wanted.group && spec.names.kind == wanted.kind && serves
    };
    let definition = own.iter().find(defines)?;
    let scope = if definition.spec.scope == "Cluster" { Scope::Cluster } else { Scope::Namespaced };
    Some((ApiResource::from_gvk_with_plural(&wanted, &definition.spec.names.plural), scope, false))
}
