//! The state of the subject's controller that events change, so that it can be restored.

use std::time::Duration;

use k8s_openapi::api::core::v1::EnvVar;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::event::EventContext;
use super::pod_template::{ControllerSpec, patch};
use super::subject::Subject;
use super::{rollout, scale};
use crate::config::Replicas;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// How long requests to an API server that restarts are repeated.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before a request is repeated.
pub(super) const RETRY: Duration = Duration::from_millis(250);

/// The replicas of the controller, and the image and environment of the container behind the subject's port.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    container: String,
    replicas: u32,
    image: String,
    env: Vec<EnvVar>,
}

impl Baseline {
    /// The controller of the subject as it is now.
    ///
    /// # Errors
    /// [`WorkloadError::NoWorkload`], [`WorkloadError::Unsuitable`], [`WorkloadError::Kubernetes`].
    pub async fn now(client: &Client, subject: &Subject) -> Result<Self, WorkloadError> {
        let spec = ControllerSpec::read(client, subject.require_controller()?).await?;
        Self::of(&spec, subject.require_container()?).ok_or(WorkloadError::NoWorkload)
    }

    fn of(spec: &ControllerSpec, name: &str) -> Option<Self> {
        let containers = &spec.pod.spec.as_ref()?.containers;
        let container = containers.iter().find(|container| container.name == name)?;
        Some(Self {
            container: name.to_owned(),
            replicas: spec.replicas,
            image: container.image.clone()?,
            env: container.env.clone().unwrap_or_default(),
        })
    }

    /// The number of replicas.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// The image of the container.
    #[must_use]
    pub fn image(&self) -> &str {
        &self.image
    }

    /// The same with another number of replicas.
    #[must_use]
    pub fn with_replicas(self, replicas: Replicas) -> Self {
        Self { replicas: replicas.get(), ..self }
    }

    /// Restores what differs, and waits for the rollout and the load balancer. After an interruption the controller is still
    /// restored, but nothing is waited for.
    ///
    /// # Errors
    /// [`WorkloadError::Interrupted`] when nothing was waited for; [`WorkloadError::NoWorkload`], [`WorkloadError::RolloutStuck`],
    /// [`WorkloadError::Kubernetes`] and more.
    pub async fn restore(&self, context: &EventContext<'_>) -> Result<(), WorkloadError> {
        let (client, subject) = (&context.access.client, context.subject);
        let deadline = Instant::now() + PATIENCE;
        let changed = loop {
            match self.put_back(client, subject).await {
                Err(error) if is_unavailable(&error) && Instant::now() < deadline => sleep(RETRY).await,
                outcome => break outcome?,
            }
        };
        if changed {
            let controller = subject.require_controller()?;
            Box::pin(rollout(client, controller, context.shutdown, context.progress)).await?;
            scale::settle(context.access, subject, context.progress, context.shutdown).await?;
        }
        Ok(())
    }

    /// Patches the controller if it differs; returns whether it did.
    async fn put_back(&self, client: &Client, subject: &Subject) -> Result<bool, WorkloadError> {
        let Some(change) = self.patch_from(&Self::now(client, subject).await?) else { return Ok(false) };
        patch(client, subject.require_controller()?, &change).await?;
        Ok(true)
    }

    /// The strategic merge patch from `now` to this state; `None` when they are equal.
    fn patch_from(&self, now: &Self) -> Option<Value> {
        let mut spec = json!({});
        if self.replicas != now.replicas {
            spec["replicas"] = json!(self.replicas);
        }
        let mut container = json!({"name": self.container});
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

/// Whether the API server could not be reached, or could not answer at the moment.
pub(super) fn is_unavailable(error: &WorkloadError) -> bool {
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
        let containers = json!([{"name": "sidecar", "image": "other"}, {"name": "server", "image": image, "env": [
            {"name": "DRAIN_SECONDS", "value": drain},
        ]}]);
        let pod = serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap();
        Baseline::of(&ControllerSpec { replicas, pod }, "server").unwrap()
    }

    #[test]
    fn only_what_differs_is_restored() {
        let before = baseline(5, "a:1", "3");
        assert_eq!(before.patch_from(&before), None);
        assert_eq!(before.patch_from(&baseline(2, "a:1", "3")), Some(json!({"spec": {"replicas": 5}})));
        let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "server", "image": "a:1"}]}}}});
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
