//! The headless Service whose DNS name has the addresses of a subject's pods.

use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::exposure::is_headless;
use super::subject::Subject;
use crate::config::CLUSTER_DOMAIN;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// The DNS name of the subject if it is headless, or else of the first headless Service that selects the same pods.
///
/// # Errors
/// [`WorkloadError::NoHeadless`] when there is none; [`WorkloadError::Kubernetes`].
pub async fn headless_name(client: &Client, subject: &Subject) -> Result<String, WorkloadError> {
    let services: Api<Service> = Api::namespaced(client.clone(), &subject.namespace);
    let listed = services.list(&ListParams::default()).await;
    let listed = listed.map_err(|source| KubernetesError::new("list Services", source))?.items;
    let found = headless_among(&listed, &subject.service);
    let found = found.ok_or_else(|| WorkloadError::NoHeadless {
        namespace: subject.namespace.clone(),
        service: subject.service.clone(),
    })?;
    Ok(format!("{found}.{}.svc.{CLUSTER_DOMAIN}", subject.namespace))
}

/// The Service of this name if it is headless, or else the first headless one with the same selector.
fn headless_among(services: &[Service], name: &str) -> Option<String> {
    let subject = services.iter().find(|service| service.name_any() == name)?;
    let selector = |service: &Service| service.spec.as_ref().and_then(|spec| spec.selector.clone());
    let same = |service: &&Service| is_headless(service) && selector(service) == selector(subject);
    let own = std::iter::once(subject).filter(|subject| is_headless(subject));
    own.chain(services.iter().filter(same)).next().map(ResourceExt::name_any)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_headless_service_has_the_same_selector() {
        let service = |name: &str, app: &str, ip: &str| -> Service {
            let spec = json!({"clusterIP": ip, "selector": {"app": app}});
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
        };
        let services = [
            service("other", "db", "None"),
            service("web", "web", "10.96.7.9"),
            service("web-pods", "web", "None"),
            service("web-too", "web", "None"),
        ];
        let of = |name| headless_among(&services, name);
        assert_eq!(of("web").as_deref(), Some("web-pods"));
        assert_eq!(of("web-too").as_deref(), Some("web-too"));
        assert_eq!(headless_among(&services[..2], "web"), None);
    }
}
