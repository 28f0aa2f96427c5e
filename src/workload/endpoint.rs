//! The target of the load: the Service's external IP.

use std::net::IpAddr;
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

use super::subject::Subject;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;
use evenkeel_load::Target;

/// How long a Service may wait for its external IP.
const PATIENCE: Duration = Duration::from_secs(10);

/// The Service as the target of a load. Waits until the Service has an external IP.
///
/// # Errors
/// [`WorkloadError::NoWorkload`] when there is no Service; [`WorkloadError::Unsuitable`] when it can have no external IP; [`WorkloadError::Deadline`] when it gets no external IP.
pub async fn endpoint(client: &Client, subject: &Subject) -> Result<Target, WorkloadError> {
    let services: Api<Service> = Api::namespaced(client.clone(), &subject.namespace);
    let found = services.get_opt(&subject.service).await;
    let found = found.map_err(|source| KubernetesError::new(format!("get Service {subject}"), source))?;
    let service = found.ok_or(WorkloadError::NoWorkload)?;
    let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()).unwrap_or("ClusterIP");
    if kind != "LoadBalancer" {
        let why =
            format!("it is of type {kind}, and load is sent to external IPs, which only the type LoadBalancer has");
        return Err(WorkloadError::Unsuitable { service: subject.to_string(), why });
    }
    if let Some(endpoint) = of_service(&service, subject.port) {
        return Ok(endpoint);
    }
    let config = watcher::Config::default().fields(&format!("metadata.name={}", subject.service));
    let changes = watcher(services, config).default_backoff().applied_objects();
    let waiting = async {
        let mut found =
            std::pin::pin!(changes.try_filter_map(|service| async move { Ok(of_service(&service, subject.port)) }));
        loop {
            match found.try_next().await {
                Ok(Some(endpoint)) => return Some(endpoint),
                Ok(None) => return None,
                Err(_) => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.ok().flatten().ok_or_else(|| WorkloadError::Deadline {
        what: format!("an external IP for Service {subject}"),
        seconds: PATIENCE.as_secs(),
        why: "its status has no IP; `kubectl describe service` shows whether the pool is exhausted".into(),
    })
}

/// The external IP of a Service with this port; `None` when it has no external IP.
fn of_service(service: &Service, port: u16) -> Option<Target> {
    let ip = external_ips(service).next()?;
    let host = if port == 80 { ip.to_string() } else { format!("{ip}:{port}") };
    Some(Target { address: (ip, port).into(), host, path: "/".into(), tls: None })
}

/// The external IPs in a Service's status.
pub(super) fn external_ips(service: &Service) -> impl Iterator<Item = IpAddr> {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    ingress.iter().filter_map(|ingress| ingress.ip.as_ref()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_with_an_ip_is_a_target() {
        let service: Service = serde_json::from_str(
            r#"{"spec":{"ports":[{"port":80}]},"status":{"loadBalancer":{"ingress":[{"ip":"198.18.1.1","ipMode":"VIP"}]}}}"#,
        )
        .unwrap();
        let endpoint = of_service(&service, 80).unwrap();
        assert_eq!(endpoint.address, "198.18.1.1:80".parse().unwrap());
        assert_eq!(endpoint.to_string(), "http://198.18.1.1/");
    }

    #[test]
    fn a_service_without_an_ip_is_no_endpoint() {
        let service: Service =
            serde_json::from_str(r#"{"spec":{"ports":[{"port":80}]},"status":{"loadBalancer":{}}}"#).unwrap();
        assert_eq!(of_service(&service, 80), None);
    }
}
