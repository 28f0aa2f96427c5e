//! Sets the external traffic policy of a Service for a while, and puts the original one back.

use std::fmt;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::FIELD_MANAGER;
use super::baseline::{PATIENCE, RETRY, is_unavailable};
use super::endpoint::service;
use super::exposure::{Exposure, ServicePolicy, is_headless};
use super::proxy_rules::programmed;
use super::router::unrouted_subject;
use super::scale::REREAD;
use super::subject::Subject;
use crate::cluster::Access;
use crate::kubernetes_error::KubernetesError;
use crate::progress::{Progress, Step};
use crate::shutdown::{Shutdown, unless};
use crate::workload::WorkloadError;

/// A value of `externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalPolicy {
    /// Only pods of the node that a connection reached. They see the client's address.
    Local,
    /// All pods. They see an address of the node that the connection reached.
    Cluster,
}

impl fmt::Display for ExternalPolicy {
    /// As in a manifest.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Local => "Local",
            Self::Cluster => "Cluster",
        })
    }
}

/// The fields of a Service that change with its external traffic policy, as they were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginalPolicy {
    policy: ExternalPolicy,
    /// The port for health checks of a load balancer, which a Service of type LoadBalancer has under the policy Local. The
    /// API server drops it under the policy Cluster, and would then choose another one.
    health_check_port: Option<i32>,
}

impl OriginalPolicy {
    /// The policy of the subject now.
    ///
    /// # Errors
    /// [`WorkloadError::Unsuitable`] when the Service is of a type on which the policy does not act;
    /// [`WorkloadError::NoWorkload`], [`WorkloadError::Kubernetes`].
    pub async fn of(client: &Client, subject: &Subject) -> Result<Self, WorkloadError> {
        let service = service(client, subject).await?.ok_or(WorkloadError::NoWorkload)?;
        Self::in_service(&service).map_err(|why| WorkloadError::Unsuitable { service: subject.to_string(), why })
    }

    /// The error is why the Service has no policy.
    fn in_service(service: &Service) -> Result<Self, String> {
        let acts = "and externalTrafficPolicy only acts on Services of type LoadBalancer and NodePort";
        let default = ServiceSpec::default();
        let spec = service.spec.as_ref().unwrap_or(&default);
        match spec.type_.as_deref().unwrap_or("ClusterIP") {
            "LoadBalancer" | "NodePort" => {}
            _ if is_headless(service) => return Err(format!("it is headless, {acts}")),
            kind => return Err(format!("it is of type {kind}, {acts}")),
        }
        let is_local = spec.external_traffic_policy.as_deref() == Some("Local");
        let policy = if is_local { ExternalPolicy::Local } else { ExternalPolicy::Cluster };
        Ok(Self { policy, health_check_port: spec.health_check_node_port.filter(|port| *port != 0) })
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> ExternalPolicy {
        self.policy
    }

    /// Sets `policy`, and waits until the rules of every node and the routes of the router follow it. Where these cannot be read, nothing is
    /// waited for.
    ///
    /// # Errors
    /// [`WorkloadError::Kubernetes`]; [`WorkloadError::Deadline`] when a node does not follow; [`WorkloadError::Interrupted`].
    pub async fn set(
        &self,
        access: &Access,
        subject: &Subject,
        policy: ExternalPolicy,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Result<(), WorkloadError> {
        let step = progress.step(format!("set externalTrafficPolicy {policy} on Service {subject}"));
        self.patch(&access.client, subject, policy).await?;
        unless(shutdown, followed(access, subject, policy, &step)).await??;
        step.done();
        Ok(())
    }

    /// Puts this policy back, and waits until rules and routes follow it, also after an interruption. A Service that
    /// is gone, or of another type now, is left alone.
    ///
    /// # Errors
    /// As [`OriginalPolicy::set`].
    pub async fn restore(&self, access: &Access, subject: &Subject, progress: &Progress) -> Result<(), WorkloadError> {
        let step = progress.step(format!("put back externalTrafficPolicy {} on Service {subject}", self.policy));
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.put_back(&access.client, subject).await {
                Err(error) if is_unavailable(&error) && Instant::now() < deadline => sleep(RETRY).await,
                Ok(false) => break,
                outcome => {
                    outcome?;
                    followed(access, subject, self.policy, &step).await?;
                    break;
                }
            }
        }
        step.done();
        Ok(())
    }

    /// Returns whether there is a Service that can have the policy.
    async fn put_back(&self, client: &Client, subject: &Subject) -> Result<bool, WorkloadError> {
        let now = service(client, subject).await?.map(|service| Self::in_service(&service));
        let Some(Ok(now)) = now else { return Ok(false) };
        if now != *self {
            self.patch(client, subject, self.policy).await?;
        }
        Ok(true)
    }

    async fn patch(&self, client: &Client, subject: &Subject, policy: ExternalPolicy) -> Result<(), WorkloadError> {
        let services: Api<Service> = Api::namespaced(client.clone(), &subject.namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = services.patch(&subject.service, &params, &Patch::Merge(self.change_to(policy))).await;
        let action = || format!("set externalTrafficPolicy {policy} on Service {subject}");
        patched.map_err(|source| KubernetesError::new(action(), source))?;
        Ok(())
    }

    /// The smallest patch for this policy that also keeps the original port for health checks.
    fn change_to(&self, policy: ExternalPolicy) -> Value {
        let mut spec = json!({"externalTrafficPolicy": policy.to_string()});
        if let (ExternalPolicy::Local, Some(port)) = (policy, self.health_check_port) {
            spec["healthCheckNodePort"] = json!(port);
        }
        json!({ "spec": spec })
    }
}

/// The policies that act on connections to the subject now.
///
/// # Errors
/// [`WorkloadError::NoWorkload`], [`WorkloadError::Kubernetes`].
pub async fn acting_policies(client: &Client, subject: &Subject) -> Result<Vec<ServicePolicy>, WorkloadError> {
    let service = service(client, subject).await?.ok_or(WorkloadError::NoWorkload)?;
    Ok(Exposure::of(&service, subject.port).map(|exposure| exposure.policies(&service)).unwrap_or_default())
}

/// Waits until the rules of every node and the routes of the router follow `policy`.
async fn followed(
    access: &Access,
    subject: &Subject,
    policy: ExternalPolicy,
    step: &Step,
) -> Result<(), WorkloadError> {
    let began = Instant::now();
    // Rules and routes cannot be watched.
    while let Some(why) = lagging(access, subject, policy).await? {
        if began.elapsed() > PATIENCE {
            let what = format!("externalTrafficPolicy {policy} of Service {subject}");
            return Err(WorkloadError::Deadline { what, seconds: PATIENCE.as_secs(), why });
        }
        step.detail(why);
        sleep(REREAD).await;
    }
    Ok(())
}

/// What does not follow `policy` yet. A node that has no endpoints for the Service has no rules that could.
async fn lagging(access: &Access, subject: &Subject, policy: ExternalPolicy) -> Result<Option<String>, WorkloadError> {
    let Some((nodes, toolbox)) = access.kernels() else { return Ok(None) };
    for node in &nodes {
        let rules = programmed(node, toolbox, subject).await?;
        if rules.external_policy.is_some_and(|found| found != policy) {
            return Ok(Some(format!("the rules on node {} do not follow it yet", node.node.name)));
        }
    }
    unrouted_subject(access, subject).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(spec: &Value) -> Result<OriginalPolicy, String> {
        OriginalPolicy::in_service(&serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap())
    }

    #[test]
    fn the_port_for_health_checks_belongs_to_local() {
        let local = original(&json!({
            "type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31_500,
        }));
        let local = local.unwrap();
        let with_port = json!({"spec": {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31_500}});
        let cluster = json!({"spec": {"externalTrafficPolicy": "Cluster"}});
        assert_eq!(local.policy(), ExternalPolicy::Local);
        assert_eq!(local.change_to(ExternalPolicy::Local), with_port);
        assert_eq!(local.change_to(ExternalPolicy::Cluster), cluster);
        let node_port = original(&json!({"type": "NodePort", "externalTrafficPolicy": "Cluster"})).unwrap();
        assert_eq!(node_port.policy(), ExternalPolicy::Cluster);
        assert_eq!(node_port.change_to(ExternalPolicy::Local), json!({"spec": {"externalTrafficPolicy": "Local"}}));
    }

    #[test]
    fn other_types_have_no_external_policy() {
        for (spec, words) in [
            (json!({"clusterIP": "10.96.7.9"}), "it is of type ClusterIP, and"),
            (json!({"type": "ClusterIP", "clusterIP": "None"}), "it is headless, and"),
        ] {
            let why = original(&spec).unwrap_err();
            assert!(why.starts_with(words), "{why}");
        }
    }
}
