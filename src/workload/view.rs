//! Kubernetes objects as the rows that `kubectl get` shows, as values for tables and JSON.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::Serialize;

use super::endpoint::{external_ips, host_name};
use crate::config::ZONE_LABEL;

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// `Ready`, `NotReady` or `Unknown`.
    pub status: String,
    /// The kubelet's version.
    pub version: String,
    /// Its address on the lab's link.
    pub address: Option<String>,
    /// The zone that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Its age in seconds.
    pub age_seconds: u64,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PodRow {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The number of containers that are ready.
    pub ready: usize,
    /// The number of containers.
    pub containers: usize,
    /// Its status as kubectl shows it: `Running`, `ContainerCreating`, `CrashLoopBackOff`, `Terminating`.
    pub status: String,
    /// How often its containers were restarted.
    pub restarts: i32,
    /// Seconds since a container last ended.
    pub last_restart_seconds: Option<u64>,
    /// Its address.
    pub address: Option<String>,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its age in seconds.
    pub age_seconds: u64,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `LoadBalancer`, `ClusterIP`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its cluster IP.
    pub cluster_ip: Option<String>,
    /// Its external IPs.
    pub external_ips: Vec<String>,
    /// Its ports as kubectl writes them: `80/TCP`, `80:30080/TCP`.
    pub ports: Vec<String>,
    /// Its age in seconds.
    pub age_seconds: u64,
}

impl NodeRow {
    /// The row of a node.
    #[must_use]
    pub fn new(node: &core::Node, now: Timestamp) -> Self {
        let status = node.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        let ready = match ready.map(|condition| condition.status.as_str()) {
            Some("True") => "Ready",
            Some("False") => "NotReady",
            _ => "Unknown",
        };
        let cordoned = node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
        let address = status.addresses.into_iter().flatten().find(|address| address.type_ == "InternalIP");
        Self {
            zone: node.labels().get(ZONE_LABEL).cloned(),
            name: node.name_any(),
            status: format!("{ready}{}", if cordoned { ",SchedulingDisabled" } else { "" }),
            version: status.node_info.map(|info| info.kubelet_version).unwrap_or_default(),
            address: address.map(|address| address.address),
            age_seconds: seconds_since(node.creation_timestamp().as_ref(), now),
        }
    }
}

impl PodRow {
    /// The row of a pod.
    #[must_use]
    pub fn new(pod: &core::Pod, now: Timestamp) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let ended = containers
            .iter()
            .filter_map(|container| container.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            ready: containers.iter().filter(|container| container.ready).count(),
            containers: pod.spec.as_ref().map_or(containers.len(), |spec| spec.containers.len()),
            status: summary(pod, status.phase, status.reason, &containers),
            restarts: containers.iter().map(|container| container.restart_count).sum(),
            last_restart_seconds: ended.max_by_key(|end| end.0).map(|end| seconds_since(Some(end), now)),
            address: status.pod_ip,
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            age_seconds: seconds_since(pod.creation_timestamp().as_ref(), now),
        }
    }
}

/// The STATUS column, by kubectl's rules for pods without init containers.
fn summary(
    pod: &core::Pod,
    phase: Option<String>,
    reason: Option<String>,
    containers: &[core::ContainerStatus],
) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".into();
    }
    let of_container = |container: &core::ContainerStatus| {
        let state = container.state.as_ref()?;
        if let Some(waiting) = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone()) {
            return Some(waiting);
        }
        let end = state.terminated.as_ref()?;
        end.reason.clone().filter(|reason| !reason.is_empty()).or_else(|| {
            Some(
                end.signal
                    .filter(|signal| *signal != 0)
                    .map_or_else(|| format!("ExitCode:{}", end.exit_code), |signal| format!("Signal:{signal}")),
            )
        })
    };
    containers.iter().find_map(of_container).or(reason).or(phase).unwrap_or_else(|| "Unknown".into())
}

impl ServiceRow {
    /// The row of a Service.
    #[must_use]
    pub fn new(service: &core::Service, now: Timestamp) -> Self {
        let spec = service.spec.clone().unwrap_or_default();
        let port = |port: core::ServicePort| {
            let protocol = port.protocol.unwrap_or_else(|| "TCP".into());
            let node_port = port.node_port.filter(|port| *port != 0).map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{node_port}/{protocol}", port.port)
        };
        Self {
            namespace: service.namespace().unwrap_or_default(),
            name: service.name_any(),
            kind: spec.type_.unwrap_or_else(|| "ClusterIP".into()),
            cluster_ip: spec.cluster_ip,
            external_ips: external_names(service),
            ports: spec.ports.into_iter().flatten().map(port).collect(),
            age_seconds: seconds_since(service.creation_timestamp().as_ref(), now),
        }
    }
}

/// The addresses of a load balancer, or its name.
fn external_names(service: &core::Service) -> Vec<String> {
    let ips = external_ips(service).map(|ip| ip.to_string());
    ips.chain(host_name(service).map(str::to_owned)).collect()
}

fn seconds_since(time: Option<&Time>, now: Timestamp) -> u64 {
    time.and_then(|time| u64::try_from(now.duration_since(time.0).as_secs()).ok()).unwrap_or(0)
}

/// An age as kubectl writes it: `45s`, `3m12s`, `17m`, `4h5m`, `2d3h`, `12d`.
#[must_use]
pub fn human_age(seconds: u64) -> String {
    let two = |first: u64, first_unit: char, second: u64, second_unit: char| {
        if second == 0 { format!("{first}{first_unit}") } else { format!("{first}{first_unit}{second}{second_unit}") }
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-01-01T00:10:00Z".parse().unwrap()
    }

    #[test]
    fn ages_are_written_as_by_kubectl() {
        let ages = [(0, "0s"), (119, "119s"), (120, "2m"), (192, "3m12s"), (1020, "17m"), (10_799, "179m")];
        let more = [(10_800, "3h"), (14_700, "4h5m"), (90_000, "25h"), (183_600, "2d3h"), (1_036_800, "12d")];
        for (seconds, text) in ages.into_iter().chain(more) {
            assert_eq!(human_age(seconds), text);
        }
    }

    fn row(metadata: &Value, state: &Value) -> PodRow {
        let pod = json!({"metadata": metadata, "spec": {"containers": [{"name": "server"}], "nodeName": "lab-0"}, "status": {
            "phase": "Running", "podIP": "10.244.0.5", "containerStatuses": [{
                "name": "server", "image": "", "imageID": "", "ready": true, "restartCount": 2, "state": state,
                "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:09:00Z"}},
            }],
        }});
        PodRow::new(&from_value(pod).unwrap(), now())
    }

    #[test]
    fn a_running_pod() {
        let metadata = json!({"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let row = row(&metadata, &json!({"running": {}}));
        assert_eq!((row.ready, row.containers, row.status.as_str()), (1, 1, "Running"));
        assert_eq!((row.restarts, row.last_restart_seconds, row.age_seconds), (2, Some(60), 600));
    }

    #[test]
    fn a_pod_that_waits_has_ended_or_terminates() {
        let metadata = json!({"name": "p"});
        assert_eq!(row(&metadata, &json!({"waiting": {"reason": "CrashLoopBackOff"}})).status, "CrashLoopBackOff");
        assert_eq!(row(&metadata, &json!({"terminated": {"exitCode": 3}})).status, "ExitCode:3");
        let going = json!({"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        assert_eq!(row(&going, &json!({"running": {}})).status, "Terminating");
    }

    #[test]
    fn a_service() {
        let service = from_value(json!({"metadata": {"name": "server"}, "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.7.7",
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "nodePort": 30081}],
        }, "status": {"loadBalancer": {"ingress": [{"ip": "198.18.1.1"}]}}}));
        let row = ServiceRow::new(&service.unwrap(), now());
        assert_eq!(row.external_ips, ["198.18.1.1"]);
        assert_eq!(row.ports, ["80/TCP", "81:30081/TCP"]);
    }
}
