//! How connections from outside of the cluster reach a Service, and which of its policies then restrict the choice of pods.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};

/// How connections from outside of the cluster reach a port of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Under an external IP: type LoadBalancer.
    ExternalIp,
    /// Under this port of each node: type `NodePort`.
    NodePort(u16),
    /// Under this address, to which nothing outside of the cluster has a route: type `ClusterIP`.
    ClusterIp(IpAddr),
    /// Only pod by pod: the Service is headless, so it has no address of its own.
    Headless,
}

/// A field of a Service that decides between which pods kube-proxy chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServicePolicy {
    /// `externalTrafficPolicy: Cluster`: all pods.
    ExternalCluster,
    /// `externalTrafficPolicy: Local`: the pods of the node that the connection reached.
    ExternalLocal,
    /// `internalTrafficPolicy: Cluster`: all pods.
    InternalCluster,
    /// `internalTrafficPolicy: Local`: the pods of the node that the connection reached.
    InternalLocal,
    /// `sessionAffinity: ClientIP`: the pod that got the client's first connection.
    ClientIpAffinity,
    /// `trafficDistribution: PreferSameNode`: the pods of the node that the connection reached, if it has any.
    PreferSameNode,
    /// `trafficDistribution: PreferSameZone`: the pods in its zone, if it has any.
    PreferSameZone,
    /// `trafficDistribution: PreferClose`: the older name of the same.
    PreferClose,
}

impl Exposure {
    /// How a port of the Service is reached; `None` if the API server has not given it an address or a node port.
    #[must_use]
    pub fn of(service: &Service, port: u16) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        match spec.type_.as_deref() {
            Some("LoadBalancer") => Some(Self::ExternalIp),
            Some("NodePort") => node_port(service, port).map(Self::NodePort),
            _ if is_headless(service) => Some(Self::Headless),
            _ => cluster_ip(service).map(Self::ClusterIp),
        }
    }

    /// The policies of the Service that act on connections that reach it in this way.
    #[must_use]
    pub fn policies(self, service: &Service) -> Vec<ServicePolicy> {
        let spec = service.spec.as_ref();
        let is_local =
            |policy: fn(&ServiceSpec) -> Option<&String>| spec.and_then(policy).is_some_and(|policy| policy == "Local");
        let traffic = match self {
            Self::ExternalIp | Self::NodePort(_) if is_local(|spec| spec.external_traffic_policy.as_ref()) => {
                ServicePolicy::ExternalLocal
            }
            Self::ExternalIp | Self::NodePort(_) => ServicePolicy::ExternalCluster,
            Self::ClusterIp(_) if is_local(|spec| spec.internal_traffic_policy.as_ref()) => {
                ServicePolicy::InternalLocal
            }
            Self::ClusterIp(_) => ServicePolicy::InternalCluster,
            // kube-proxy does nothing for a headless Service.
            Self::Headless => return Vec::new(),
        };
        let affinity = spec.and_then(|spec| spec.session_affinity.as_deref()) == Some("ClientIP");
        // A traffic policy of Local leaves nothing to prefer.
        let chooses = matches!(traffic, ServicePolicy::ExternalCluster | ServicePolicy::InternalCluster);
        let preference = spec.and_then(preference).filter(|_| chooses);
        let affinity = affinity.then_some(ServicePolicy::ClientIpAffinity);
        std::iter::once(traffic).chain(preference).chain(affinity).collect()
    }
}

/// Which pods the Service prefers.
fn preference(spec: &ServiceSpec) -> Option<ServicePolicy> {
    match spec.traffic_distribution.as_deref()? {
        "PreferSameNode" => Some(ServicePolicy::PreferSameNode),
        "PreferSameZone" => Some(ServicePolicy::PreferSameZone),
        "PreferClose" => Some(ServicePolicy::PreferClose),
        _ => None,
    }
}

/// Whether the Service has no cluster IP by choice, so kube-proxy writes no rules for it.
pub(super) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The Service's cluster IP.
pub(super) fn cluster_ip(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.cluster_ip.as_ref()?.parse().ok()
}

/// The node port of a TCP port of the Service.
pub(super) fn node_port(service: &Service, port: u16) -> Option<u16> {
    let is_it = |found: &&ServicePort| found.port == i32::from(port) && protocol(found) == "TCP";
    let found = service.spec.as_ref()?.ports.iter().flatten().find(is_it)?;
    u16::try_from(found.node_port?).ok().filter(|port| *port > 0)
}

/// The protocol of a port: `TCP`, `UDP` or `SCTP`.
pub(super) fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::ServicePolicy::{
        ClientIpAffinity, ExternalCluster, ExternalLocal, InternalCluster, InternalLocal, PreferSameZone,
    };
    use super::*;

    fn service(spec: Value) -> Service {
        let mut spec = spec;
        spec["ports"] = json!([
            {"name": "dns", "port": 80, "protocol": "UDP", "nodePort": 30079},
            {"name": "http", "port": 80, "nodePort": 30080},
            {"name": "admin", "port": 81},
        ]);
        from_value(json!({"metadata": {"name": "web"}, "spec": spec})).unwrap()
    }

    #[test]
    fn the_type_says_where_a_service_is_reached() {
        let of = |spec| Exposure::of(&service(spec), 80);
        let ip = "10.96.7.9".parse().unwrap();
        assert_eq!(of(json!({"type": "LoadBalancer", "clusterIP": "10.96.7.9"})), Some(Exposure::ExternalIp));
        assert_eq!(of(json!({"type": "NodePort", "clusterIP": "10.96.7.9"})), Some(Exposure::NodePort(30080)));
        assert_eq!(of(json!({"type": "ClusterIP", "clusterIP": "10.96.7.9"})), Some(Exposure::ClusterIp(ip)));
        assert_eq!(of(json!({"clusterIP": "None"})), Some(Exposure::Headless));
        assert_eq!(of(json!({"clusterIP": ""})), None);
        assert_eq!(Exposure::of(&service(json!({"type": "NodePort"})), 81), None, "it has no node port");
    }

    #[test]
    fn only_the_policy_for_the_kind_of_traffic_acts() {
        let of = |spec| {
            let service = service(spec);
            Exposure::of(&service, 80).unwrap().policies(&service)
        };
        let local = |kind: &str| {
            json!({
                "type": kind, "clusterIP": "10.96.7.9", "sessionAffinity": "ClientIP",
                "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local",
            })
        };
        assert_eq!(of(local("LoadBalancer")), [ExternalLocal, ClientIpAffinity]);
        assert_eq!(of(local("NodePort")), [ExternalLocal, ClientIpAffinity]);
        assert_eq!(of(local("ClusterIP")), [InternalLocal, ClientIpAffinity]);
        assert_eq!(of(json!({"type": "NodePort", "sessionAffinity": "None"})), [ExternalCluster]);
        assert_eq!(of(json!({"clusterIP": "10.96.7.9"})), [InternalCluster]);
        assert_eq!(of(json!({"clusterIP": "None", "sessionAffinity": "ClientIP"})), []);
        let near = |policy| {
            json!({
                "type": "LoadBalancer", "trafficDistribution": "PreferSameZone", "externalTrafficPolicy": policy,
            })
        };
        assert_eq!(of(near("Cluster")), [ExternalCluster, PreferSameZone]);
        assert_eq!(of(near("Local")), [ExternalLocal], "only pods of one node are left");
    }
}
