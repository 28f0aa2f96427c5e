//! The workload's manifests as typed values: the files under `manifests/`, embedded.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::de::DeserializeOwned;

use crate::error::Error;

const NAMESPACE: &str = include_str!("../../manifests/namespace.yaml");
const SERVICE_ACCOUNT: &str = include_str!("../../manifests/serviceaccount.yaml");
const DEPLOYMENT: &str = include_str!("../../manifests/deployment.yaml");
const SERVICE: &str = include_str!("../../manifests/service.yaml");
const DISRUPTION_BUDGET: &str = include_str!("../../manifests/poddisruptionbudget.yaml");

/// Everything the workload consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// Where it lives, with Pod Security `restricted`.
    pub namespace: Namespace,
    /// The pods' identity, without a token.
    pub service_account: ServiceAccount,
    /// The pods.
    pub deployment: Deployment,
    /// What balances the load between them.
    pub service: Service,
    /// How many of them may be evicted at once.
    pub disruption_budget: PodDisruptionBudget,
}

impl Manifests {
    /// What the program carries.
    ///
    /// # Errors
    /// [`Error::Manifest`] when a file is not what its name says.
    pub fn embedded() -> Result<Self, Error> {
        Ok(Self {
            namespace: parse("namespace.yaml", NAMESPACE)?,
            service_account: parse("serviceaccount.yaml", SERVICE_ACCOUNT)?,
            deployment: parse("deployment.yaml", DEPLOYMENT)?,
            service: parse("service.yaml", SERVICE)?,
            disruption_budget: parse("poddisruptionbudget.yaml", DISRUPTION_BUDGET)?,
        })
    }

    /// Sets the image of every container of the Deployment.
    pub fn set_image(&mut self, image: &str) {
        let pod = self.deployment.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
        for container in pod.into_iter().flat_map(|pod| &mut pod.containers) {
            container.image = Some(image.to_owned());
        }
    }

    /// Sets how many pods there shall be.
    pub fn set_replicas(&mut self, replicas: i32) {
        if let Some(spec) = &mut self.deployment.spec {
            spec.replicas = Some(replicas);
        }
    }
}

fn parse<T: DeserializeOwned>(file: &'static str, text: &str) -> Result<T, Error> {
    serde_saphyr::from_str(text).map_err(|source| Error::Manifest { file, why: source.to_string() })
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::Value;

    use super::*;

    #[test]
    fn typed_parsing_loses_nothing_of_the_files() {
        fn same(text: &str, typed: &impl Serialize) {
            let plain: Value = serde_saphyr::from_str(text).unwrap();
            assert_eq!(plain, serde_json::to_value(typed).unwrap());
        }
        let manifests = Manifests::embedded().unwrap();
        same(NAMESPACE, &manifests.namespace);
        same(SERVICE_ACCOUNT, &manifests.service_account);
        same(DEPLOYMENT, &manifests.deployment);
        same(SERVICE, &manifests.service);
        same(DISRUPTION_BUDGET, &manifests.disruption_budget);
    }

    #[test]
    fn image_and_replicas_are_set_on_the_value() {
        let mut manifests = Manifests::embedded().unwrap();
        manifests.set_image("evenkeel.local/server:abc");
        manifests.set_replicas(7);
        let spec = manifests.deployment.spec.unwrap();
        assert_eq!(spec.replicas, Some(7));
        let images: Vec<_> = spec.template.spec.unwrap().containers.into_iter().map(|c| c.image).collect();
        assert_eq!(images, [Some("evenkeel.local/server:abc".to_owned())]);
    }

    #[test]
    fn names_and_selectors_agree_with_the_code() {
        let manifests = Manifests::embedded().unwrap();
        let selector = |labels: &std::collections::BTreeMap<String, String>| {
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        };
        assert_eq!(manifests.namespace.metadata.name.as_deref(), Some(crate::config::NAMESPACE));
        assert_eq!(manifests.deployment.metadata.name.as_deref(), Some(crate::config::WORKLOAD));
        assert_eq!(manifests.service.metadata.name.as_deref(), Some(crate::config::WORKLOAD));
        let service = manifests.service.spec.unwrap();
        assert_eq!(selector(&service.selector.unwrap()), super::super::SELECTOR);
        assert_eq!(service.ports.unwrap()[0].name.as_deref(), Some(super::super::PORT_NAME));
        let deployment = manifests.deployment.spec.unwrap();
        assert_eq!(selector(&deployment.selector.match_labels.unwrap()), super::super::SELECTOR);
        let budget = manifests.disruption_budget.spec.unwrap();
        assert_eq!(selector(&budget.selector.unwrap().match_labels.unwrap()), super::super::SELECTOR);
    }

    #[test]
    fn the_drain_ends_before_the_grace_period() {
        let pod = Manifests::embedded().unwrap().deployment.spec.unwrap().template.spec.unwrap();
        let env = pod.containers[0].env.as_ref().unwrap();
        let drain = env.iter().find(|e| e.name == "DRAIN_SECONDS").and_then(|e| e.value.as_ref()).unwrap();
        assert!(drain.parse::<i64>().unwrap() + 2 <= pod.termination_grace_period_seconds.unwrap());
    }
}
