//! The Service under test, with the controller and the container behind it.

use std::fmt;

use k8s_openapi::api::core::v1::{PodSpec, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::controller::{Candidate, Controller, candidates};
use super::exposure::protocol;
use super::service_name::ServiceName;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// The label of objects that come from Evenkeel's own manifests.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "evenkeel");
/// The annotation that names the container of a pod that kubectl chooses.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Which Service is wanted: the one that was `given`, or else the `remembered` one if it still exists, or else the only
/// Service of type LoadBalancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectWish {
    /// The Service that the user names.
    pub given: Option<ServiceName>,
    /// The Service that the last `deploy` was about.
    pub remembered: Option<ServiceName>,
    /// The only namespace in which it is looked for; `None`: all of them.
    pub namespace: Option<String>,
}

/// The Service that verbs act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// The name of its port; `None` if the only port has no name.
    pub port_name: Option<String>,
    /// The number of its port.
    pub port: u16,
    /// The protocol of its port: `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The labels of its pods, as `kubectl --selector` takes them.
    pub selector: String,
    /// What creates its pods; `None` if no controller does, or if several do.
    pub controller: Option<Controller>,
    /// The container that its port leads to; `None` without a controller.
    pub container: Option<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.service)
    }
}

impl Subject {
    /// The Service that is wanted.
    ///
    /// # Errors
    /// [`WorkloadError::NoWorkload`] or [`WorkloadError::NoBalanced`] when there is no Service; [`WorkloadError::UnknownService`],
    /// [`WorkloadError::SeveralServices`], [`WorkloadError::Unsuitable`] and [`WorkloadError::Kubernetes`].
    pub async fn find(client: &Client, wanted: &SubjectWish) -> Result<Self, WorkloadError> {
        let services: Api<Service> = match &wanted.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let listed = services.list(&ListParams::default()).await;
        let listed = listed.map_err(|source| KubernetesError::new("list Services", source))?.items;
        let chosen = choose(&listed, wanted);
        let (service, port) = chosen.map_err(|error| match (error, &wanted.namespace) {
            (WorkloadError::NoWorkload, Some(namespace)) => {
                WorkloadError::NoBalanced { namespace: namespace.clone(), services: testable(&listed) }
            }
            (error, _) => error,
        })?;
        let found = candidates(client, &service.namespace().unwrap_or_default()).await?;
        resolve(service, port, &found)
    }

    /// How a user names it.
    #[must_use]
    pub fn name(&self) -> ServiceName {
        ServiceName {
            namespace: Some(self.namespace.clone()),
            name: self.service.clone(),
            port: Some(self.port_name.clone().unwrap_or_else(|| self.port.to_string())),
        }
    }

    /// The controller of its pods.
    ///
    /// # Errors
    /// [`WorkloadError::Unsuitable`] when there is none, or more than one.
    pub(super) fn require_controller(&self) -> Result<&Controller, WorkloadError> {
        self.controller.as_ref().ok_or_else(|| WorkloadError::Unsuitable {
            service: self.to_string(),
            why: "its pods do not belong to exactly one Deployment, StatefulSet, DaemonSet or ReplicaSet".into(),
        })
    }

    /// The container that its port leads to.
    ///
    /// # Errors
    /// As [`Subject::require_controller`].
    pub(super) fn require_container(&self) -> Result<&str, WorkloadError> {
        self.require_controller()?;
        self.container.as_deref().ok_or(WorkloadError::NoWorkload)
    }
}

/// The subject with this Service and port, and with the one of the `candidates` that creates its pods.
///
/// # Errors
/// [`WorkloadError::Unsuitable`].
pub(super) fn resolve(
    service: &Service,
    port: Option<&str>,
    candidates: &[Candidate],
) -> Result<Subject, WorkloadError> {
    let namespace = service.namespace().unwrap_or_default();
    let unsuitable = |why: &str| WorkloadError::Unsuitable { service: service_name(service), why: why.to_owned() };
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        let name = spec.and_then(|spec| spec.external_name.as_deref()).unwrap_or_default();
        return Err(unsuitable(&format!(
            "it is of type ExternalName, an alias of the DNS name {name}, and has no pods"
        )));
    }
    let labels = spec.and_then(|spec| spec.selector.clone()).unwrap_or_default();
    if labels.is_empty() {
        return Err(unsuitable("it has no selector, so its pods are unknown"));
    }
    let port = port_of(service, port)?;
    let creates = |candidate: &&Candidate| candidate.controller.namespace == namespace && candidate.has(&labels);
    let mut behind = candidates.iter().filter(creates);
    let only = behind.next().filter(|_| behind.next().is_none());
    Ok(Subject {
        namespace,
        service: service.name_any(),
        port_name: port.name.clone(),
        port: u16::try_from(port.port).map_err(|_| unsuitable("its port is not a port number"))?,
        protocol: protocol(port).to_owned(),
        selector: labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
        controller: only.map(|candidate| candidate.controller.clone()),
        container: only.and_then(|candidate| container(candidate, port)),
    })
}

/// The Service, and the name or number of its port if that was given.
///
/// # Errors
/// As [`Subject::find`].
pub(super) fn choose<'a>(
    services: &'a [Service],
    SubjectWish { given, remembered, .. }: &'a SubjectWish,
) -> Result<(&'a Service, Option<&'a str>), WorkloadError> {
    let named = |name: &ServiceName| -> Vec<&'a Service> {
        let (name, namespace) = (name.name.clone(), name.namespace.clone());
        let matches = |service: &&Service| {
            service.name_any() == name && namespace.as_ref().is_none_or(|ns| service.namespace().as_ref() == Some(ns))
        };
        services.iter().filter(matches).collect()
    };
    if let Some(name) = given {
        return match named(name)[..] {
            [service] => Ok((service, name.port.as_deref())),
            [] => Err(WorkloadError::UnknownService { given: name.to_string(), services: testable(services) }),
            ref several => {
                Err(WorkloadError::SeveralServices { services: several.iter().copied().map(service_name).collect() })
            }
        };
    }
    if let Some((service, name)) = remembered.as_ref().and_then(|name| Some((named(name).first().copied()?, name))) {
        return Ok((service, name.port.as_deref()));
    }
    let balanced: Vec<&Service> = services.iter().filter(|service| is_balanced(service)).collect();
    match balanced[..] {
        [service] => Ok((service, None)),
        [] => Err(WorkloadError::NoWorkload),
        ref several => {
            Err(WorkloadError::SeveralServices { services: several.iter().copied().map(service_name).collect() })
        }
    }
}

/// Whether a Service is of type LoadBalancer.
pub(super) fn is_balanced(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
}

/// The Services with a selector: those that have pods to test.
fn testable(services: &[Service]) -> Vec<String> {
    let selects = |service: &&Service| service.spec.as_ref().is_some_and(|spec| spec.selector.is_some());
    services.iter().filter(selects).map(service_name).collect()
}

fn service_name(service: &Service) -> String {
    format!("{}/{}", service.namespace().unwrap_or_default(), service.name_any())
}

/// The port that `given` names, or the only one. Evenkeel's own Service has the port for load first.
fn port_of<'a>(service: &'a Service, given: Option<&str>) -> Result<&'a ServicePort, WorkloadError> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let is_given = |port: &&ServicePort| {
        given.is_some_and(|given| port.name.as_deref() == Some(given) || port.port.to_string() == given)
    };
    let is_own = service.labels().get(MANAGED_BY.0).is_some_and(|by| by == MANAGED_BY.1);
    let found = match (given, ports) {
        // A number can belong to a TCP port and to a UDP port. Load is sent over TCP.
        (Some(_), _) => ports.iter().filter(is_given).min_by_key(|port| protocol(port) != "TCP"),
        (None, [only]) => Some(only),
        (None, [first, ..]) if is_own => Some(first),
        (None, _) => None,
    };
    found.ok_or_else(|| {
        let called = |port: &ServicePort| port.name.clone().unwrap_or_else(|| port.port.to_string());
        let all = ports.iter().map(called).collect::<Vec<_>>().join(", ");
        let why = match given {
            _ if ports.is_empty() => "it has no port".to_owned(),
            Some(given) => format!("it has no port {given}; its ports are: {all}"),
            None => format!("it has several ports, and none was named: {all}"),
        };
        WorkloadError::Unsuitable { service: service_name(service), why }
    })
}

/// The container that has the Service's target port, or the only one, or the one that kubectl chooses.
fn container(candidate: &Candidate, port: &ServicePort) -> Option<String> {
    let spec: &PodSpec = candidate.pod.spec.as_ref()?;
    let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
    let leads = |container: &&k8s_openapi::api::core::v1::Container| {
        container.ports.iter().flatten().any(|port| match &target {
            IntOrString::Int(number) => port.container_port == *number,
            IntOrString::String(name) => port.name.as_ref() == Some(name),
        })
    };
    let annotations = candidate.pod.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    let default = annotations.and_then(|annotations| annotations.get(DEFAULT_CONTAINER));
    let found = spec.containers.iter().find(leads);
    let found = found.or_else(|| spec.containers.iter().find(|container| Some(&container.name) == default));
    found.or_else(|| spec.containers.first()).map(|container| container.name.clone())
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::workload::controller::ControllerKind;

    /// The Service of Evenkeel's own manifests.
    pub(in crate::workload) fn own() -> Subject {
        Subject {
            namespace: "evenkeel".into(),
            service: "server".into(),
            port_name: Some("http".into()),
            port: 80,
            protocol: "TCP".into(),
            selector: "app=server".into(),
            controller: None,
            container: None,
        }
    }

    fn service(namespace: &str, name: &str, kind: &str, ports: &Value) -> Service {
        let spec = json!({"type": kind, "selector": {"app": name}, "ports": ports});
        from_value(json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec})).unwrap()
    }

    fn http() -> Value {
        json!([{"name": "http", "port": 80, "targetPort": "web"}])
    }

    fn chosen(services: &[Service], given: Option<&str>, remembered: Option<&str>) -> Result<String, WorkloadError> {
        let name = |text: &str| text.parse::<ServiceName>().unwrap();
        let wish = SubjectWish { given: given.map(name), remembered: remembered.map(name), namespace: None };
        choose(services, &wish).map(|(service, _)| service_name(service))
    }

    #[test]
    fn the_given_service_comes_before_the_remembered_and_the_only_one() {
        let services = [
            service("shop", "web", "LoadBalancer", &http()),
            service("shop", "backend", "ClusterIP", &http()),
            service("other", "backend", "ClusterIP", &http()),
        ];
        assert_eq!(chosen(&services, None, None).unwrap(), "shop/web");
        assert_eq!(chosen(&services, None, Some("shop/backend")).unwrap(), "shop/backend");
        assert_eq!(chosen(&services, None, Some("shop/gone")).unwrap(), "shop/web");
        assert_eq!(chosen(&services, Some("other/backend"), Some("shop/web")).unwrap(), "other/backend");
        let several = chosen(&services, Some("backend"), None).unwrap_err();
        assert!(matches!(several, WorkloadError::SeveralServices { ref services } if services.len() == 2), "{several}");
        let unknown = chosen(&services, Some("nope"), Some("shop/web")).unwrap_err().to_string();
        assert!(unknown.contains("nope") && unknown.contains("shop/web"), "{unknown}");
        assert!(matches!(chosen(&[], None, None), Err(WorkloadError::NoWorkload)));
        let both = [services[0].clone(), service("b", "web", "LoadBalancer", &http())];
        assert!(matches!(chosen(&both, None, None), Err(WorkloadError::SeveralServices { .. })));
    }

    fn candidate(kind: ControllerKind, labels: &Value, containers: &Value) -> Candidate {
        let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
        let (namespace, name, selector) = ("shop".to_owned(), "c".to_owned(), String::new());
        Candidate { controller: Controller { kind, namespace, name, selector }, pod: from_value(pod).unwrap() }
    }

    #[test]
    fn the_port_leads_to_a_container_and_sidecars_are_left_alone() {
        let web = service("shop", "web", "LoadBalancer", &http());
        let containers = json!([
            {"name": "log-shipper"},
            {"name": "app", "ports": [{"name": "web", "containerPort": 9898}]},
        ]);
        let labels = json!({"app": "web", "tier": "front"});
        let found = resolve(&web, None, &[candidate(ControllerKind::StatefulSet, &labels, &containers)]).unwrap();
        assert_eq!(found.container.as_deref(), Some("app"));
        assert_eq!(found.controller.unwrap().kind, ControllerKind::StatefulSet);
        let other = candidate(ControllerKind::Deployment, &json!({"app": "other"}), &containers);
        assert_eq!(resolve(&web, None, &[other]).unwrap().controller, None);
        let two =
            [ControllerKind::Deployment, ControllerKind::DaemonSet].map(|kind| candidate(kind, &labels, &containers));
        let none = resolve(&web, None, &two).unwrap();
        assert!(none.require_controller().unwrap_err().to_string().contains("exactly one"));
    }

    #[test]
    fn one_of_several_ports_must_be_named() {
        let ports = json!([{"name": "http", "port": 9898}, {"name": "grpc", "port": 9999}]);
        let mut two = service("shop", "web", "LoadBalancer", &ports);
        let why = |service: &Service, port| resolve(service, port, &[]).unwrap_err().to_string();
        assert!(why(&two, None).contains("several ports, and none was named: http, grpc"));
        assert!(why(&two, Some("ssh")).contains("no port ssh"));
        assert_eq!(resolve(&two, Some("grpc"), &[]).unwrap().port, 9999);
        assert_eq!(resolve(&two, Some("9898"), &[]).unwrap().port_name.as_deref(), Some("http"));
        two.labels_mut().insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
        assert_eq!(resolve(&two, None, &[]).unwrap().port, 9898);
        two.spec.as_mut().unwrap().selector = None;
        assert!(why(&two, None).contains("no selector"));
    }
}
