//! The manifests in the program: those of Evenkeel's own server.

use super::{Manifest, document};
use crate::workload::WorkloadError;

/// The files of `manifests/`, with their names.
const OWN: [(&str, &str); 5] = [
    ("manifests/namespace.yaml", include_str!("../../../manifests/namespace.yaml")),
    ("manifests/serviceaccount.yaml", include_str!("../../../manifests/serviceaccount.yaml")),
    ("manifests/deployment.yaml", include_str!("../../../manifests/deployment.yaml")),
    ("manifests/service.yaml", include_str!("../../../manifests/service.yaml")),
    ("manifests/poddisruptionbudget.yaml", include_str!("../../../manifests/poddisruptionbudget.yaml")),
];

/// The objects of Evenkeel's own workload.
///
/// # Errors
/// [`WorkloadError::Manifest`] if one is invalid.
pub fn own() -> Result<Vec<Manifest>, WorkloadError> {
    let mut manifests = Vec::new();
    for (file, text) in OWN {
        manifests.extend(document::parse(file, text)?);
    }
    Ok(manifests)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;

    use super::*;

    #[test]
    fn the_server_has_finished_before_its_grace_period_ends() {
        let manifests = own().unwrap();
        let deployment: Deployment = manifests.iter().find_map(Manifest::typed).unwrap();
        let pod = deployment.spec.unwrap().template.spec.unwrap();
        let env = pod.containers[0].env.as_ref().unwrap();
        let seconds = |name: &str| {
            let value = env.iter().find(|variable| variable.name == name).and_then(|variable| variable.value.as_ref());
            value.unwrap_or_else(|| panic!("no {name}")).parse::<i64>().unwrap()
        };
        assert!(seconds("DRAIN_SECONDS") + seconds("FINISH_SECONDS") < pod.termination_grace_period_seconds.unwrap());
    }

    #[test]
    fn typed_parsing_keeps_every_field() {
        for manifest in own().unwrap() {
            let typed: Option<serde_json::Value> = match manifest.kind() {
                "Namespace" => manifest.typed::<k8s_openapi::api::core::v1::Namespace>().map(|o| serde_json::json!(o)),
                "ServiceAccount" => {
                    manifest.typed::<k8s_openapi::api::core::v1::ServiceAccount>().map(|o| serde_json::json!(o))
                }
                "Deployment" => manifest.typed::<Deployment>().map(|o| serde_json::json!(o)),
                "Service" => manifest.typed::<k8s_openapi::api::core::v1::Service>().map(|o| serde_json::json!(o)),
                _ => {
                    manifest.typed::<k8s_openapi::api::policy::v1::PodDisruptionBudget>().map(|o| serde_json::json!(o))
                }
            };
            assert_eq!(typed.unwrap(), serde_json::json!(manifest.object), "{}", manifest.place);
        }
    }
}
