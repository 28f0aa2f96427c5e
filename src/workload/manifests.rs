//! The workload's manifests as typed values: the embedded files of `manifests/`, or the files of a directory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config;
use crate::workload::WorkloadError;

const NAMESPACE: &str = include_str!("../../manifests/namespace.yaml");
const SERVICE_ACCOUNT: &str = include_str!("../../manifests/serviceaccount.yaml");
const DEPLOYMENT: &str = include_str!("../../manifests/deployment.yaml");
const SERVICE: &str = include_str!("../../manifests/service.yaml");
const DISRUPTION_BUDGET: &str = include_str!("../../manifests/poddisruptionbudget.yaml");

/// The objects of the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifests {
    /// Its namespace, with Pod Security `restricted`.
    pub namespace: Namespace,
    /// The pods' identity, without a token.
    pub service_account: ServiceAccount,
    /// The pods.
    pub deployment: Deployment,
    /// The Service that balances the load between the pods.
    pub service: Service,
    /// How many pods may be evicted at once.
    pub disruption_budget: PodDisruptionBudget,
}

impl Manifests {
    /// Reads the manifests in `directory`, or the embedded ones.
    ///
    /// # Errors
    /// [`WorkloadError::Manifest`] when a file is missing or invalid, or when the other verbs would not find the object.
    pub fn load(directory: Option<&Path>) -> Result<Self, WorkloadError> {
        let manifests = Self {
            namespace: parse(directory, "namespace.yaml", NAMESPACE)?,
            service_account: parse(directory, "serviceaccount.yaml", SERVICE_ACCOUNT)?,
            deployment: parse(directory, "deployment.yaml", DEPLOYMENT)?,
            service: parse(directory, "service.yaml", SERVICE)?,
            disruption_budget: parse(directory, "poddisruptionbudget.yaml", DISRUPTION_BUDGET)?,
        };
        match manifests.stranger() {
            None => Ok(manifests),
            Some((file, why)) => Err(WorkloadError::Manifest { file: place(directory, file), why }),
        }
    }

    /// The first file whose object the other verbs would not find, because they expect fixed names and labels, and why.
    fn stranger(&self) -> Option<(&'static str, String)> {
        let service = self.service.spec.clone().unwrap_or_default();
        let port = service.ports.unwrap_or_default().into_iter().next().unwrap_or_default();
        let pod = self.deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone()).unwrap_or_default();
        let selected = self.deployment.spec.clone().unwrap_or_default().selector.match_labels;
        let budget = self.disruption_budget.spec.clone().unwrap_or_default().selector.unwrap_or_default().match_labels;
        let (account, workload) = (self.service_account.metadata.clone(), config::NAMESPACE);
        let wanted = [
            ("namespace.yaml", "its name", self.namespace.metadata.name.clone(), workload),
            ("serviceaccount.yaml", "its namespace", account.namespace, workload),
            ("deployment.yaml", "its namespace", self.deployment.metadata.namespace.clone(), workload),
            ("deployment.yaml", "its name", self.deployment.metadata.name.clone(), config::WORKLOAD),
            ("deployment.yaml", "its selector", selected.map(selector), super::SELECTOR),
            ("deployment.yaml", "its pods' labels", pod.labels.map(chosen), super::SELECTOR),
            ("service.yaml", "its namespace", self.service.metadata.namespace.clone(), workload),
            ("service.yaml", "its name", self.service.metadata.name.clone(), config::WORKLOAD),
            ("service.yaml", "its type", service.type_, "LoadBalancer"),
            ("service.yaml", "its selector", service.selector.map(selector), super::SELECTOR),
            ("service.yaml", "its first port's name", port.name, super::PORT_NAME),
            ("poddisruptionbudget.yaml", "its namespace", self.disruption_budget.metadata.namespace.clone(), workload),
            ("poddisruptionbudget.yaml", "its selector", budget.map(selector), super::SELECTOR),
        ];
        let strange = wanted.into_iter().find(|(_, _, is, must)| is.as_deref() != Some(*must));
        strange.map(|(file, what, is, must)| {
            (file, format!("expected {what} to be {must}, found {}", is.unwrap_or_else(|| "none".into())))
        })
    }

    /// Sets the image of every container of the Deployment.
    pub fn set_image(&mut self, image: &str) {
        let pod = self.deployment.spec.as_mut().and_then(|spec| spec.template.spec.as_mut());
        for container in pod.into_iter().flat_map(|pod| &mut pod.containers) {
            container.image = Some(image.to_owned());
        }
    }

    /// Sets the number of replicas.
    pub fn set_replicas(&mut self, replicas: i32) {
        if let Some(spec) = &mut self.deployment.spec {
            spec.replicas = Some(replicas);
        }
    }
}

/// The path of a manifest; an embedded one has its path in the source tree.
fn place(directory: Option<&Path>, file: &str) -> PathBuf {
    directory.unwrap_or(Path::new("manifests")).join(file)
}

fn parse<T: DeserializeOwned + Serialize>(
    directory: Option<&Path>,
    file: &str,
    carried: &str,
) -> Result<T, WorkloadError> {
    let place = place(directory, file);
    let text = match directory {
        None => Ok(Cow::Borrowed(carried)),
        Some(_) => fs::read_to_string(&place).map(Cow::Owned).map_err(|source| source.to_string()),
    };
    text.and_then(|text| strict(&text)).map_err(|why| WorkloadError::Manifest { file: place, why })
}

/// Parses a manifest, and refuses fields that the type does not know. Such fields would never reach the API server, which
/// would refuse them.
fn strict<T: DeserializeOwned + Serialize>(text: &str) -> Result<T, String> {
    let parsed: T = serde_saphyr::from_str(text).map_err(|source| source.to_string())?;
    let given: Value = serde_saphyr::from_str(text).map_err(|source| source.to_string())?;
    let kept = serde_json::to_value(&parsed).map_err(|source| source.to_string())?;
    lost(&given, &kept, "").map_or(Ok(parsed), |field| Err(format!("unknown field {field}")))
}

/// The first field of `given` that is missing in `kept`.
fn lost(given: &Value, kept: &Value, path: &str) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            given.iter().filter(|(_, value)| !value.is_null()).find_map(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                kept.get(name).map_or_else(|| Some(path.clone()), |kept| lost(value, kept, &path))
            })
        }
        (Value::Array(given), Value::Array(kept)) => given
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(at, (given, kept))| lost(given, kept, &format!("{path}[{at}]"))),
        _ => None,
    }
}

/// Labels as `kubectl --selector` takes them.
fn selector(labels: BTreeMap<String, String>) -> String {
    labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Those of a pod's labels that the selector uses.
fn chosen(mut labels: BTreeMap<String, String>) -> String {
    labels.retain(|key, _| super::SELECTOR.split([',', '=']).any(|part| part == key));
    selector(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_parsing_keeps_every_field() {
        fn same(text: &str, typed: &impl Serialize) {
            let plain: Value = serde_saphyr::from_str(text).unwrap();
            assert_eq!(plain, serde_json::to_value(typed).unwrap());
        }
        let manifests = Manifests::load(None).unwrap();
        same(NAMESPACE, &manifests.namespace);
        same(SERVICE_ACCOUNT, &manifests.service_account);
        same(DEPLOYMENT, &manifests.deployment);
        same(SERVICE, &manifests.service);
        same(DISRUPTION_BUDGET, &manifests.disruption_budget);
    }

    #[test]
    fn image_and_replicas_are_set() {
        let mut manifests = Manifests::load(None).unwrap();
        manifests.set_image("evenkeel.local/server:abc");
        manifests.set_replicas(7);
        let spec = manifests.deployment.spec.unwrap();
        assert_eq!(spec.replicas, Some(7));
        let images: Vec<_> = spec.template.spec.unwrap().containers.into_iter().map(|c| c.image).collect();
        assert_eq!(images, [Some("evenkeel.local/server:abc".to_owned())]);
    }

    /// A directory with the embedded manifests, of which `file` is changed.
    fn directory(file: &str, change: impl Fn(&str) -> String) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("namespace.yaml", NAMESPACE),
            ("serviceaccount.yaml", SERVICE_ACCOUNT),
            ("deployment.yaml", DEPLOYMENT),
            ("service.yaml", SERVICE),
            ("poddisruptionbudget.yaml", DISRUPTION_BUDGET),
        ] {
            let text = if name == file { change(text) } else { text.to_owned() };
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn a_directory_replaces_the_embedded_manifests() {
        let directory = directory("deployment.yaml", |text| text.replace("replicas: 2", "replicas: 7"));
        let given = Manifests::load(Some(directory.path())).unwrap();
        let mut own = Manifests::load(None).unwrap();
        assert_ne!(given, own);
        own.set_replicas(7);
        assert_eq!(given, own);
    }

    #[test]
    fn manifests_that_the_verbs_would_not_find_are_refused() {
        let refused = |file: &str, change: &dyn Fn(&str) -> String| {
            let directory = directory(file, change);
            let error = Manifests::load(Some(directory.path())).unwrap_err();
            assert!(matches!(error, WorkloadError::Manifest { .. }), "{error}");
            error.to_string()
        };
        let renamed = |text: &str| text.replace("name: server", "name: mine");
        for file in ["deployment.yaml", "service.yaml"] {
            let said = refused(file, &renamed);
            assert!(said.contains(file) && said.contains("mine"), "{said}");
        }
        let elsewhere = |text: &str| text.replace("namespace: evenkeel", "namespace: default");
        for file in ["serviceaccount.yaml", "deployment.yaml", "service.yaml", "poddisruptionbudget.yaml"] {
            assert!(refused(file, &elsewhere).contains("found default"));
        }
        assert!(refused("service.yaml", &|text| text.replace("LoadBalancer", "ClusterIP")).contains("ClusterIP"));
        let typo = |text: &str| text.replace("periodSeconds: 10", "periodsSeconds: 10");
        let field = "unknown field spec.template.spec.containers[0].livenessProbe.periodsSeconds";
        assert!(refused("deployment.yaml", &typo).contains(field));
        assert!(refused("service.yaml", &|_| "{".to_owned()).contains("service.yaml cannot be used"));
        assert!(refused("namespace.yaml", &|_| "kind: Namespace".to_owned()).contains("namespace.yaml"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let directory = directory("none", str::to_owned);
        fs::remove_file(directory.path().join("service.yaml")).unwrap();
        let error = Manifests::load(Some(directory.path())).unwrap_err().to_string();
        assert!(error.contains("service.yaml") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn the_server_has_finished_before_its_grace_period_ends() {
        let pod = Manifests::load(None).unwrap().deployment.spec.unwrap().template.spec.unwrap();
        let env = pod.containers[0].env.as_ref().unwrap();
        let seconds = |name: &str| {
            let value = env.iter().find(|variable| variable.name == name).and_then(|variable| variable.value.as_ref());
            value.unwrap_or_else(|| panic!("no {name}")).parse::<i64>().unwrap()
        };
        assert!(seconds("DRAIN_SECONDS") + seconds("FINISH_SECONDS") < pod.termination_grace_period_seconds.unwrap());
    }
}
