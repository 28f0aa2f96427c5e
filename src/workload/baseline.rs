//! The state of the workload's Deployment that events change, so that it can be restored.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::event::EventContext;
use super::{FIELD_MANAGER, rollout, scale, unchanged};
use crate::config::{NAMESPACE, Replicas, WORKLOAD};
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// How long requests to an API server that restarts are repeated.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before a request is repeated.
const RETRY: Duration = Duration::from_millis(250);

/// The replicas of the Deployment, and the image and environment of the workload's container.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    replicas: u32,
    image: String,
    env: Vec<EnvVar>,
}

impl Baseline {
    /// The Deployment as it is now.
    ///
    /// # Errors
    /// [`WorkloadError::NoWorkload`], [`WorkloadError::Kubernetes`].
    pub async fn now(client: &Client) -> Result<Self, WorkloadError> {
        let found = deployments(client).get_opt(WORKLOAD).await;
        let found =
            found.map_err(|source| KubernetesError::new(format!("get Deployment {NAMESPACE}/{WORKLOAD}"), source))?;
        found.as_ref().and_then(Self::of).ok_or(WorkloadError::NoWorkload)
    }

    fn of(deployment: &Deployment) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let containers = &spec.template.spec.as_ref()?.containers;
        let container: &Container = containers.iter().find(|container| container.name == WORKLOAD)?;
        Some(Self {
            replicas: spec.replicas.unwrap_or(1).unsigned_abs(),
            image: container.image.clone()?,
            env: container.env.clone().unwrap_or_default(),
        })
    }

    /// The number of replicas.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// The image of the workload's container.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The same with another number of replicas.
    #[must_use]
    pub fn with_replicas(self, replicas: Replicas) -> Self {
        Self { replicas: replicas.get(), ..self }
    }

    /// Restores what differs, and waits for the rollout and the load balancer. After an interruption the Deployment is still
    /// restored, but nothing is waited for.
    ///
    /// # Errors
    /// [`WorkloadError::Interrupted`] when nothing was waited for; [`WorkloadError::NoWorkload`], [`WorkloadError::RolloutStuck`],
    /// [`WorkloadError::Kubernetes`] and more.
    pub async fn restore(&self, context: &EventContext<'_>) -> Result<(), WorkloadError> {
        let client = &context.access.client;
        let deadline = Instant::now() + PATIENCE;
        let changed = loop {
            match self.put_back(client).await {
                Err(error) if is_unavailable(&error) && Instant::now() < deadline => sleep(RETRY).await,
                outcome => break outcome?,
            }
        };
        if changed {
            Box::pin(rollout(client, context.shutdown, context.progress)).await?;
            scale::settle(context.access, context.progress, context.shutdown).await?;
        }
        Ok(())
    }

    /// Patches the Deployment if it differs; returns whether it did.
    async fn put_back(&self, client: &Client) -> Result<bool, WorkloadError> {
        let Some(patch) = self.patch_from(&Self::now(client).await?) else { return Ok(false) };
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = deployments(client).patch(WORKLOAD, &params, &Patch::Strategic(patch)).await;
        patched.map_err(|source| unchanged(format!("change Deployment {NAMESPACE}/{WORKLOAD}"), source))?;
        Ok(true)
    }

    /// The strategic merge patch from `now` to this state; `None` when they are equal.
    fn patch_from(&self, now: &Self) -> Option<Value> {
        let mut spec = json!({});
        if self.replicas != now.replicas {
            spec["replicas"] = json!(self.replicas);
        }
        let mut container = json!({"name": WORKLOAD});
        if self.image != now.image {
            container["image"] = json!(self.image);
        }
        if self.env != now.env {
            // Without the directive, variables that were added would remain.
            let directive = std::iter::once(json!({"$patch": "replace"}));
            container["env"] = directive.chain(self.env.iter().map(|variable| json!(variable))).collect();
        }
        if container.get("image").is_some() || container.get("env").is_some() {
            spec["template"] = json!({"spec": {"containers": [container]}});
        }
        (self != now).then(|| json!({ "spec": spec }))
    }
}

fn deployments(client: &Client) -> Api<Deployment> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// Whether the API server could not be reached, or could not answer at the moment.
fn is_unavailable(error: &WorkloadError) -> bool {
    match error {
        WorkloadError::Kubernetes(KubernetesError { source, .. }) => match source.as_ref() {
            kube::Error::Api(status) => status.code >= 500 || status.code == 429,
            _ => true,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(replicas: u32, image: &str, drain: &str) -> Baseline {
        let containers = json!([{"name": "sidecar", "image": "other"}, {"name": WORKLOAD, "image": image, "env": [
            {"name": "DRAIN_SECONDS", "value": drain},
        ]}]);
        let spec = json!({"replicas": replicas, "selector": {}, "template": {"spec": {"containers": containers}}});
        Baseline::of(&serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap()).unwrap()
    }

    #[test]
    fn only_what_differs_is_restored() {
        let before = baseline(5, "a:1", "3");
        assert_eq!(before.patch_from(&before), None);
        assert_eq!(before.patch_from(&baseline(2, "a:1", "3")), Some(json!({"spec": {"replicas": 5}})));
        let image = json!({"spec": {"template": {"spec": {"containers": [{"name": WORKLOAD, "image": "a:1"}]}}}});
        assert_eq!(before.patch_from(&baseline(5, "b:2", "3")), Some(image));
        let all = before.patch_from(&baseline(2, "b:2", "0")).unwrap();
        let container = &all["spec"]["template"]["spec"]["containers"][0];
        assert_eq!((&all["spec"]["replicas"], &container["image"]), (&5.into(), &"a:1".into()));
        assert_eq!(container["env"], json!([{"$patch": "replace"}, {"name": "DRAIN_SECONDS", "value": "3"}]));
    }

    #[test]
    fn only_requests_to_an_unavailable_api_server_are_repeated() {
        let status = |code| kube::core::Status::failure("no", "No").with_code(code).boxed();
        let error = |code| WorkloadError::from(KubernetesError::new("get Deployment", kube::Error::Api(status(code))));
        assert!(is_unavailable(&error(503)) && is_unavailable(&error(429)));
        assert!(!is_unavailable(&error(403)) && !is_unavailable(&WorkloadError::NoWorkload));
    }
}
