//! Server-side apply of manifests. The API server checks all of them before the first one is applied.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, ResourceExt};

use super::apply_set::{ApplySet, label};
use super::order::Phase;
use super::resolve::{Resolved, resolve};
use crate::kubernetes_error::KubernetesError;
use crate::progress::Progress;
use crate::workload::controller::{Controller, candidate_of};
use crate::workload::manifest::Manifest;
use crate::workload::scale::some;
use crate::workload::{FIELD_MANAGER, WorkloadError};

/// How many objects are sent to the API server at once.
const AT_ONCE: usize = 8;
/// How long a new kind may take until the API server serves it.
const ESTABLISHED: Duration = Duration::from_secs(20);

/// What was applied.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// The controllers among the objects, whose rollouts can be followed.
    pub controllers: Vec<Controller>,
    /// The Jobs among the objects, with namespace and name.
    pub jobs: Vec<(String, String)>,
    pub(super) set: ApplySet,
}

/// Applies `manifests`. Objects without a namespace are put into `namespace`. What was applied is recorded in the namespace
/// `record`.
///
/// # Errors
/// [`WorkloadError::Manifest`] when a manifest is refused before anything was changed; [`WorkloadError::Kubernetes`].
pub async fn deploy(
    client: &Client,
    manifests: &[Manifest],
    namespace: &str,
    record: &str,
    progress: &Progress,
) -> Result<Deployed, WorkloadError> {
    let step = progress.step("apply the manifests");
    let mut resolved = resolve(client, manifests, namespace).await?;
    let set = ApplySet::of(&resolved, record);
    for one in &mut resolved {
        label(&mut one.object, record);
    }
    stream::iter(&resolved)
        .map(|one| check(client, one, record))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    set.begin(client).await?;
    for phase in Phase::ALL {
        let now = resolved.iter().filter(|one| one.phase() == phase);
        stream::iter(now).map(|one| apply(client, one)).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    }
    step.done_with(some(resolved.len(), "object"));
    let jobs = resolved.iter().filter(|one| one.resource.group == "batch" && one.resource.kind == "Job");
    Ok(Deployed {
        controllers: resolved.iter().filter_map(controller).collect(),
        jobs: jobs.filter_map(|job| Some((job.namespace.clone()?, job.object.name_any()))).collect(),
        set,
    })
}

/// The objects among the manifests that exist in the cluster already.
///
/// # Errors
/// As [`deploy`].
pub async fn existing(client: &Client, manifests: &[Manifest], namespace: &str) -> Result<Vec<String>, WorkloadError> {
    let resolved = resolve(client, manifests, namespace).await?;
    let known = resolved.iter().filter(|one| one.is_known && one.has_namespace);
    let exists = |one: &Resolved| {
        let (api, object, name) = (one.api(client), one.object.name_any(), one.name());
        async move {
            let found = api.get_metadata_opt(&object).await;
            let found = found.map_err(|source| KubernetesError::new(format!("get {name}"), source))?;
            Ok::<_, KubernetesError>(found.map(|_| name))
        }
    };
    let found: Vec<Option<String>> = stream::iter(known).map(exists).buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

fn parameters() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force().validation_strict()
}

/// Asks the API server whether it would apply an object.
async fn check(client: &Client, one: &Resolved, record: &str) -> Result<(), WorkloadError> {
    if !one.is_known {
        return Ok(());
    }
    let mut object = one.object.clone();
    let mut namespace = one.namespace.clone();
    if !one.has_namespace {
        // The namespace does not exist yet. Most of what can be wrong with an object is wrong in any namespace.
        namespace = Some(record.to_owned());
        object.metadata.namespace.clone_from(&namespace);
    }
    let api = super::resolve::api(client, &one.resource, namespace.as_deref());
    match api.patch(&object.name_any(), &parameters().dry_run(), &Patch::Apply(&object)).await {
        Ok(_) => Ok(()),
        // Whether the user may create it in its own namespace shows when that exists.
        Err(kube::Error::Api(status)) if status.code == 403 && !one.has_namespace => Ok(()),
        Err(kube::Error::Api(status)) => match refusal(status.code, &status.message) {
            Some(why) => Err(one.refused(why)),
            None => Err(KubernetesError::new(format!("check {}", one.name()), kube::Error::Api(status)).into()),
        },
        Err(source) => Err(KubernetesError::new(format!("check {}", one.name()), source).into()),
    }
}

/// Why the API server refuses an object; `None` if the object is not the cause of an error.
fn refusal(code: u16, message: &str) -> Option<&str> {
    // Fields that the schema does not know, and values of another type. The API server reports them as an error of its own.
    const UNTYPED: &str = "failed to create typed patch object (";
    match message.strip_prefix(UNTYPED).and_then(|rest| rest.split_once("): ")) {
        Some((_, why)) => Some(why),
        None => (400..500).contains(&code).then_some(message),
    }
}

async fn apply(client: &Client, one: &Resolved) -> Result<(), WorkloadError> {
    let applied = one.api(client).patch(&one.object.name_any(), &parameters(), &Patch::Apply(&one.object)).await;
    applied.map_err(|source| KubernetesError::new(format!("apply {} ({})", one.name(), one.place), source))?;
    if one.phase() == Phase::Definitions {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let name = one.object.name_any();
        let established = await_condition(definitions, &name, conditions::is_crd_established());
        let established = tokio::time::timeout(ESTABLISHED, established).await;
        established
            .map_err(|_| WorkloadError::Deadline {
                what: format!("the API server to serve {name}"),
                seconds: ESTABLISHED.as_secs(),
                why: "the definition is not established".into(),
            })?
            .map_err(|source| one.refused(source))?;
    }
    Ok(())
}

fn controller(one: &Resolved) -> Option<Controller> {
    Some(candidate_of(one.namespace.as_deref()?, &one.object)?.controller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_object_is_told_from_a_failed_server() {
        let untyped = "failed to create typed patch object (default/web; apps/v1, Kind=Deployment): .spec.x: field not declared in schema";
        assert_eq!(refusal(500, untyped), Some(".spec.x: field not declared in schema"));
        assert_eq!(refusal(422, "spec is invalid"), Some("spec is invalid"));
        assert_eq!(refusal(500, "etcdserver: request timed out"), None);
    }
}
