//! The target of the load: the address under which the Service is reached from outside of the cluster.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{LoadBalancerIngress, Node, Service};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use super::backends::nodes_with_backends;
use super::exposure::{Exposure, ServicePolicy, cluster_ip, is_headless};
use super::nodes;
use super::subject::Subject;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;
use evenkeel_load::Target;

/// How long a Service may wait for its external IP.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where load for a Service is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address and the `Host` header. The address is 0.0.0.0 if the Service is headless: load is then sent to the pods.
    pub target: Target,
    /// How the Service is reached.
    pub exposure: Exposure,
    /// The policies of the Service that act on this load.
    pub policies: Vec<ServicePolicy>,
}

impl Endpoint {
    /// Whether this machine needs a route to reach the Service.
    #[must_use]
    pub fn needs_route(&self) -> bool {
        matches!(self.exposure, Exposure::ClusterIp(_))
    }
}

/// Where load for the Service is sent. Waits until a Service of type LoadBalancer has an external IP.
///
/// # Errors
/// [`WorkloadError::NoWorkload`] when there is no Service; [`WorkloadError::Unsuitable`] when no load can be sent to it;
/// [`WorkloadError::Deadline`] when it gets no external IP.
pub async fn endpoint(client: &Client, subject: &Subject) -> Result<Endpoint, WorkloadError> {
    let unsuitable = |why: String| WorkloadError::Unsuitable { service: subject.to_string(), why };
    let service = over_tcp(client, subject).await?;
    let exposure = Exposure::of(&service, subject.port);
    let exposure = exposure.ok_or_else(|| unsuitable("it has no cluster IP or node port for this port".into()))?;
    let policies = exposure.policies(&service);
    let target = match exposure {
        Exposure::ExternalIp => external_ip(client, &service, subject).await?,
        Exposure::NodePort(port) => target((node(client, subject).await?, port).into()),
        Exposure::ClusterIp(ip) => target((ip, subject.port).into()),
        Exposure::Headless => {
            // Clients inside the cluster find the pods by this name.
            let name = format!("{}.{}.svc.cluster.local", subject.service, subject.namespace);
            let host = if subject.port == 80 { name } else { format!("{name}:{}", subject.port) };
            Target { host, ..target((Ipv4Addr::UNSPECIFIED, subject.port).into()) }
        }
    };
    Ok(Endpoint { target, exposure, policies })
}

/// Where pods of the cluster send load for the Service: to its cluster IP, by its DNS name.
///
/// # Errors
/// [`WorkloadError::NoWorkload`]; [`WorkloadError::Headless`] or [`WorkloadError::Unsuitable`] when it has no cluster IP.
pub async fn inner_endpoint(client: &Client, subject: &Subject) -> Result<Endpoint, WorkloadError> {
    let service = over_tcp(client, subject).await?;
    if is_headless(&service) {
        return Err(WorkloadError::Headless { service: subject.to_string() });
    }
    let unsuitable = || WorkloadError::Unsuitable { service: subject.to_string(), why: "it has no cluster IP".into() };
    let ip = cluster_ip(&service).ok_or_else(unsuitable)?;
    let exposure = Exposure::ClusterIp(ip);
    let name = format!("{}.{}.svc", subject.service, subject.namespace);
    let host = if subject.port == 80 { name } else { format!("{name}:{}", subject.port) };
    let target = Target { host, ..target((ip, subject.port).into()) };
    Ok(Endpoint { target, exposure, policies: exposure.policies(&service) })
}

/// The Service of a subject, whose port is a TCP port.
async fn over_tcp(client: &Client, subject: &Subject) -> Result<Service, WorkloadError> {
    if subject.protocol != "TCP" {
        let port = subject.port_name.clone().unwrap_or_else(|| subject.port.to_string());
        let why = format!("its port {port} is a {} port, and load is sent over TCP", subject.protocol);
        return Err(WorkloadError::Unsuitable { service: subject.to_string(), why });
    }
    service(client, subject).await?.ok_or(WorkloadError::NoWorkload)
}

/// The Service of a subject; `None` when there is none.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub(super) async fn service(client: &Client, subject: &Subject) -> Result<Option<Service>, WorkloadError> {
    let services: Api<Service> = Api::namespaced(client.clone(), &subject.namespace);
    let found = services.get_opt(&subject.service).await;
    Ok(found.map_err(|source| KubernetesError::new(format!("get Service {subject}"), source))?)
}

/// The address of a node, if possible of one that has a ready pod of the subject: with the policy Local, other nodes drop
/// connections.
async fn node(client: &Client, subject: &Subject) -> Result<IpAddr, WorkloadError> {
    let mut nodes = nodes::list(client).await?;
    let with_pods = nodes_with_backends(client, subject).await?;
    nodes.sort_by_key(|node| !with_pods.contains(&node.name_any()));
    let found = nodes.iter().find_map(address);
    found
        .ok_or_else(|| WorkloadError::Unsuitable { service: subject.to_string(), why: "no node has an address".into() })
}

/// The address of a node inside of the cluster's own network.
pub(super) fn internal_ip(node: &Node) -> Option<IpAddr> {
    of_type(node, "InternalIP")
}

/// The address of a node: the one outside of the cluster's own network, if it has one.
fn address(node: &Node) -> Option<IpAddr> {
    of_type(node, "ExternalIP").or_else(|| of_type(node, "InternalIP"))
}

fn of_type(node: &Node, kind: &str) -> Option<IpAddr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    addresses.iter().find(|address| address.type_ == kind)?.address.parse().ok()
}

async fn external_ip(client: &Client, service: &Service, subject: &Subject) -> Result<Target, WorkloadError> {
    if let Some(target) = of_service(service, subject.port) {
        return Ok(target);
    }
    if let Some(name) = host_name(service) {
        return named(name, subject.port).await;
    }
    let services: Api<Service> = Api::namespaced(client.clone(), &subject.namespace);
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
    Some(target((external_ips(service).next()?, port).into()))
}

/// The target at the name that some cloud's load balancers have instead of an address.
async fn named(name: &str, port: u16) -> Result<Target, WorkloadError> {
    let unresolved = |why: String| WorkloadError::Name { name: name.to_owned(), why };
    let found = tokio::net::lookup_host((name, port)).await.map_err(|source| unresolved(source.to_string()))?;
    let address = found.min_by_key(|address| !address.is_ipv4());
    let address = address.ok_or_else(|| unresolved("it has no address".into()))?;
    let host = if port == 80 { name.to_owned() } else { format!("{name}:{port}") };
    Ok(Target { host, ..target(address) })
}

/// The target at an address, with the address as its `Host`.
fn target(address: SocketAddr) -> Target {
    let host = if address.port() == 80 { address.ip().to_string() } else { address.to_string() };
    Target { address, host, path: "/".into(), tls: None }
}

/// The external IPs in a Service's status.
pub(super) fn external_ips(service: &Service) -> impl Iterator<Item = IpAddr> {
    ingress(service).iter().filter_map(|ingress| ingress.ip.as_ref()?.parse().ok())
}

/// The DNS name in a Service's status that its load balancer has instead of an IP.
pub(super) fn host_name(service: &Service) -> Option<&str> {
    ingress(service).iter().find_map(|ingress| ingress.hostname.as_deref().filter(|name| !name.is_empty()))
}

fn ingress(service: &Service) -> &[LoadBalancerIngress] {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default()
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

    #[tokio::test]
    async fn a_load_balancer_may_have_a_name_instead_of_an_ip() {
        let service: Service = serde_json::from_str(
            r#"{"spec":{"ports":[{"port":81}]},"status":{"loadBalancer":{"ingress":[{"hostname":"localhost"}]}}}"#,
        )
        .unwrap();
        assert_eq!((of_service(&service, 81), host_name(&service)), (None, Some("localhost")));
        let target = named("localhost", 81).await.unwrap();
        assert_eq!((target.address.port(), target.host.as_str()), (81, "localhost:81"));
        let unknown = named("does-not-exist.invalid", 81).await.unwrap_err();
        assert!(matches!(unknown, WorkloadError::Name { .. }), "{unknown}");
    }

    #[test]
    fn a_node_is_reached_at_its_external_ip_if_it_has_one() {
        let node = |addresses: serde_json::Value| {
            let node = serde_json::json!({"metadata": {}, "status": {"addresses": addresses}});
            address(&serde_json::from_value(node).unwrap()).map(|ip| ip.to_string())
        };
        let internal = serde_json::json!({"type": "InternalIP", "address": "10.0.0.7"});
        let external = serde_json::json!({"type": "ExternalIP", "address": "192.0.2.7"});
        assert_eq!(node(serde_json::json!([internal])).as_deref(), Some("10.0.0.7"));
        assert_eq!(node(serde_json::json!([internal, external])).as_deref(), Some("192.0.2.7"));
        assert_eq!(node(serde_json::json!([])), None);
    }

    #[test]
    fn a_service_without_an_ip_is_no_endpoint() {
        let service: Service =
            serde_json::from_str(r#"{"spec":{"ports":[{"port":80}]},"status":{"loadBalancer":{}}}"#).unwrap();
        assert_eq!(of_service(&service, 80), None);
    }
}
