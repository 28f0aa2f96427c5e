//! Scales the controller of the subject, and waits until the change has reached the rules of every node.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::admission::is_forbidden;
use super::backends::listed_as_ready;
use super::controller::{Controller, ControllerKind};
use super::endpoint::{external_ips, host_name};
use super::exposure::{cluster_ip, is_headless, node_port};
use super::observe::{Observed, View};
use super::pods::{is_active, is_ready};
use super::proxy_rules::{Programmed, programmed};
use super::rollout::{Verdict, Watch};
use super::room::require_room_in_lab;
use super::router;
use super::scale_pace::{self, Pace};
use super::subject::Subject;
use super::{FIELD_MANAGER, unchanged};
use crate::cluster::Access;
use crate::config::Replicas;
use crate::kubernetes_error::KubernetesError;
use crate::platform;
use crate::progress::{Progress, Step};
use crate::shutdown::Shutdown;
use crate::workload::{ScaleObstacle, WorkloadError};

/// How often the rules are read, since they cannot be watched.
pub(super) const REREAD: Duration = Duration::from_millis(20);

/// The result of scaling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScaleOutcome {
    /// The number of pods before.
    pub from: u32,
    /// The number of pods now.
    pub to: u32,
    /// Seconds from the request until exactly these pods were ready.
    pub ready_seconds: f64,
    /// Seconds from the request until every node sent connections to exactly these pods; `None` where the nodes' rules cannot
    /// be read.
    pub programmed_seconds: Option<f64>,
    /// Pods that started or ended per second; `None` if there were none, or if it took less than half a second.
    pub pods_per_second: Option<f64>,
    /// How many of the machine's processors the lab used in that time, in the mean; `None` where that is not known.
    pub processors_used: Option<f64>,
}

/// Scales the controller of the subject to `replicas`, and waits until exactly that many pods are ready and every node
/// balances between exactly these. Where the nodes' rules cannot be read, the wait ends when the pods are ready and listed in
/// the EndpointSlices.
///
/// # Errors
/// [`WorkloadError::NoWorkload`] when nothing is deployed; [`WorkloadError::Unsuitable`] or [`WorkloadError::Unscalable`] when the subject cannot be scaled;
/// [`WorkloadError::LittleRoom`] when a lab has no room for so many; [`WorkloadError::RolloutStuck`] when pods cannot start;
/// [`WorkloadError::Deadline`].
pub async fn scale(
    access: &Access,
    subject: &Subject,
    replicas: Replicas,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<ScaleOutcome, WorkloadError> {
    if let Some(cluster) = access.lab() {
        require_room_in_lab(cluster, &access.client, subject, replicas).await?;
    }
    let step = progress.step(format!("scale to {replicas}"));
    let began = Instant::now();
    let used_before = scale_pace::used_now(access);
    let from = set(&access.client, subject, replicas).await?;
    let (ready, all) = match settled(access, subject, Some(replicas), &step, shutdown, began).await {
        // The controller would go on asking for pods, and get them at any later time.
        Err(WorkloadError::RolloutStuck { reason }) if is_forbidden(&reason) && from < replicas.get() => {
            set_back(&access.client, subject, from, progress).await;
            return Err(WorkloadError::RolloutStuck { reason });
        }
        settled => settled?,
    };
    let used = scale_pace::used_now(access).zip(used_before).and_then(|(now, before)| now.checked_sub(before));
    let pace = Pace::new(from.abs_diff(replicas.get()), all, used, platform::processors());
    step.done_with(match &pace {
        _ if from == replicas.get() => format!("it was {from} already"),
        Some(pace) => format!("from {from}; {pace}"),
        None => format!("from {from}"),
    });
    let (ready_seconds, programmed_seconds) = (ready.as_secs_f64(), access.kernels().map(|_| all.as_secs_f64()));
    Ok(ScaleOutcome {
        from,
        to: replicas.get(),
        ready_seconds,
        programmed_seconds,
        pods_per_second: pace.map(|pace| pace.pods_per_second),
        processors_used: pace.and_then(|pace| pace.processors_used),
    })
}

/// Waits until every node balances between exactly the pods of the subject that are ready, under its addresses. Where the
/// nodes' rules cannot be read, the wait ends when the pods are ready and listed in the EndpointSlices.
///
/// # Errors
/// As [`scale`].
pub async fn settle(
    access: &Access,
    subject: &Subject,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<(), WorkloadError> {
    let step = progress.step("program the load balancer");
    settled(access, subject, None, &step, shutdown, Instant::now()).await?;
    step.done();
    Ok(())
}

/// Sets the number of replicas; returns the previous number.
async fn set(client: &Client, subject: &Subject, replicas: Replicas) -> Result<u32, WorkloadError> {
    require_scalable(client, subject).await?;
    let controller = subject.require_controller()?;
    match controller.kind {
        ControllerKind::Deployment => set_scale::<Deployment>(client, controller, replicas).await,
        ControllerKind::StatefulSet => set_scale::<StatefulSet>(client, controller, replicas).await,
        ControllerKind::ReplicaSet => set_scale::<ReplicaSet>(client, controller, replicas).await,
        ControllerKind::DaemonSet => Err(unscalable(controller, ScaleObstacle::DaemonSet)),
    }
}

/// Sets the number of replicas to what it was.
async fn set_back(client: &Client, subject: &Subject, from: u32, progress: &Progress) {
    let Ok(before) = from.to_string().parse() else { return };
    match set(client, subject, before).await {
        Ok(_) => {
            progress.note(format!("set back to {}, because the namespace forbids more", some(from as usize, "pod")));
        }
        Err(error) => progress.note(format!("could not be set back to {}: {error}", some(from as usize, "pod"))),
    }
}

/// The error for a controller that cannot be scaled.
pub(super) fn unscalable(controller: &Controller, why: ScaleObstacle) -> WorkloadError {
    WorkloadError::Unscalable { controller: controller.to_string(), why }
}

/// Refuses a subject that has no controller, or whose controller has no replicas to set, or whose replicas a
/// HorizontalPodAutoscaler sets.
///
/// # Errors
/// [`WorkloadError::Unsuitable`], [`WorkloadError::Unscalable`], [`WorkloadError::Kubernetes`].
pub async fn require_scalable(client: &Client, subject: &Subject) -> Result<(), WorkloadError> {
    let controller = subject.require_controller()?;
    if controller.kind == ControllerKind::DaemonSet {
        return Err(unscalable(controller, ScaleObstacle::DaemonSet));
    }
    let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &controller.namespace);
    let listed = autoscalers.list(&ListParams::default()).await;
    let listed = listed.map_err(|source| KubernetesError::new("list HorizontalPodAutoscalers", source))?.items;
    let is_target = |autoscaler: &&HorizontalPodAutoscaler| {
        let target = &autoscaler.spec.scale_target_ref;
        target.kind == controller.kind.to_string() && target.name == controller.name
    };
    match listed.iter().find(is_target) {
        None => Ok(()),
        Some(autoscaler) => {
            let (namespace, name) = (controller.namespace.clone(), autoscaler.name_any());
            Err(unscalable(controller, ScaleObstacle::Autoscaler { namespace, name }))
        }
    }
}

async fn set_scale<K>(client: &Client, controller: &Controller, replicas: Replicas) -> Result<u32, WorkloadError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned,
{
    let objects: Api<K> = Api::namespaced(client.clone(), &controller.namespace);
    let refused = |source| unchanged(format!("scale {controller} to {replicas}"), source);
    let before = objects.get_scale(&controller.name).await.map_err(refused)?;
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas.get()}}));
    objects.patch_scale(&controller.name, &params, &patch).await.map_err(refused)?;
    Ok(before.spec.and_then(|spec| spec.replicas).map_or(0, i32::unsigned_abs))
}

async fn settled(
    access: &Access,
    subject: &Subject,
    replicas: Option<Replicas>,
    step: &Step,
    shutdown: &Shutdown,
    began: Instant,
) -> Result<(Duration, Duration), WorkloadError> {
    let mut observed = Observed::subject(&access.client, subject);
    let what = "balancing between exactly the pods asked for";
    let mut watch = Watch::new(what, &access.client, &subject.namespace, shutdown);
    let mut ready = None;
    loop {
        let view = watch.until(&mut observed, step, |view| judge(view, subject, replicas)).await?;
        let ready = *ready.get_or_insert_with(|| began.elapsed());
        match unprogrammed(access, subject, &view).await? {
            None => return Ok((ready, began.elapsed())),
            Some(why) => watch.still(step, &why)?,
        }
        tokio::select! {
            () = observed.changed() => {}
            () = tokio::time::sleep(REREAD) => {}
        }
    }
}

/// Whether exactly the wanted number of pods is ready and listed as endpoints.
fn judge(view: &View, subject: &Subject, replicas: Option<Replicas>) -> Verdict {
    let wanted = replicas.map_or_else(|| super::rollout::wanted(view), |replicas| replicas.get() as usize);
    let active: Vec<&Pod> = view.pods.iter().map(AsRef::as_ref).filter(|pod| is_active(pod)).collect();
    let ready = active.iter().filter(|pod| is_ready(pod)).count();
    let listed = listed_as_ready(subject, view.slices.iter().map(AsRef::as_ref)).len();
    if active.len() > wanted {
        Verdict::Waiting(format!("{}, {} more than asked", some(active.len(), "pod"), active.len() - wanted))
    } else if ready != wanted {
        Verdict::Waiting(format!("{ready} of {wanted} pods ready"))
    } else if listed != wanted {
        Verdict::Waiting(format!("{listed} of {wanted} endpoints listed"))
    } else if wanted > 0 && view.service.as_ref().is_none_or(|service| lacks_address(service)) {
        Verdict::Waiting("the Service has no external IP yet".into())
    } else {
        Verdict::Done
    }
}

/// "1 pod", "3 pods".
pub(super) fn some(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Whether a Service of type LoadBalancer has no external IP yet.
fn lacks_address(service: &Service) -> bool {
    let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
    kind == Some("LoadBalancer") && external_ips(service).next().is_none() && host_name(service).is_none()
}

/// The first difference between `view` and the rules of a node; `None` when all agree, or when no rules can be read.
async fn unprogrammed(access: &Access, subject: &Subject, view: &View) -> Result<Option<String>, WorkloadError> {
    let Some((cluster, toolbox)) = access.lab_now() else { return Ok(None) };
    if view.service.as_ref().is_some_and(|service| is_headless(service)) {
        return Ok(None);
    }
    let wanted = listed_as_ready(subject, view.slices.iter().map(AsRef::as_ref));
    let entries: Vec<Entry> = view.service.iter().flat_map(|service| entries(service, subject.port)).collect();
    for node in &cluster.nodes {
        let rules = programmed(node, toolbox, subject).await?;
        if let Some(difference) = difference(&rules, &wanted, &entries) {
            return Ok(Some(format!("{difference} on node {}", node.node.name)));
        }
    }
    match &view.service {
        Some(service) => router::unrouted(&access.client, &cluster, toolbox, service, &view.slices).await,
        None => Ok(None),
    }
}

/// An address or a port under which a node accepts connections to the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    ExternalIp(IpAddr),
    ClusterIp(IpAddr),
    NodePort(u16),
}

impl Entry {
    fn is_in(self, rules: &Programmed) -> bool {
        match self {
            Self::ExternalIp(ip) | Self::ClusterIp(ip) => rules.addresses.contains(&ip),
            Self::NodePort(port) => rules.node_ports.contains(&port),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExternalIp(ip) => write!(formatter, "external IP {ip}"),
            Self::ClusterIp(ip) => write!(formatter, "cluster IP {ip}"),
            Self::NodePort(port) => write!(formatter, "node port {port}"),
        }
    }
}

/// Everything under which a node accepts connections to a port of the Service.
fn entries(service: &Service, port: u16) -> Vec<Entry> {
    let external = external_ips(service).map(Entry::ExternalIp);
    let cluster = cluster_ip(service).map(Entry::ClusterIp);
    external.chain(cluster).chain(node_port(service, port).map(Entry::NodePort)).collect()
}

fn difference(rules: &Programmed, wanted: &BTreeSet<SocketAddr>, entries: &[Entry]) -> Option<String> {
    if rules.backends != *wanted {
        let (have, extra) = (wanted.intersection(&rules.backends).count(), rules.backends.difference(wanted).count());
        let extra = if extra > 0 { format!(", and {} too many", some(extra, "endpoint")) } else { String::new() };
        return Some(format!("{have} of {} endpoints programmed{extra}", wanted.len()));
    }
    // The rules for a Service without endpoints are elsewhere.
    let missing = entries.iter().find(|entry| !entry.is_in(rules)).filter(|_| !wanted.is_empty());
    missing.map(|entry| format!("the {entry} is not programmed yet"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::{Value, from_value};

    use super::*;
    use crate::workload::subject::tests::own;

    fn pod(ready: bool, going: bool) -> Arc<Pod> {
        let mut pod = json!({"metadata": {}, "status": {"conditions": [
            {"type": "Ready", "status": if ready { "True" } else { "False" }},
        ]}});
        if going {
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        Arc::new(from_value(pod).unwrap())
    }

    fn slice(endpoints: &Value) -> Arc<EndpointSlice> {
        let ports = json!([{"name": "http", "port": 3000}]);
        let slice = json!({"metadata": {}, "addressType": "IPv4", "endpoints": endpoints, "ports": ports});
        Arc::new(from_value(slice).unwrap())
    }

    fn service(ingress: &Value) -> Option<Arc<Service>> {
        let status = json!({"loadBalancer": {"ingress": ingress}});
        from_value(json!({"metadata": {}, "spec": {"type": "LoadBalancer"}, "status": status})).ok().map(Arc::new)
    }

    fn two() -> Option<Replicas> {
        "2".parse().ok()
    }

    #[test]
    fn scaling_is_done_when_pods_and_endpoints_agree() {
        let waiting = |text: &str| Verdict::Waiting(text.into());
        let listed = |addresses: &[&str]| slice(&addresses.iter().map(|a| json!({"addresses": [a]})).collect());
        let mut view = View {
            pods: vec![pod(true, false), pod(false, false)],
            service: service(&json!([{"ip": "198.18.1.1"}])),
            ..View::default()
        };
        assert_eq!(judge(&view, &own(), two()), waiting("1 of 2 pods ready"));
        view.pods = vec![pod(true, false), pod(true, false), pod(true, false)];
        assert_eq!(judge(&view, &own(), two()), waiting("3 pods, 1 more than asked"));
        view.pods = vec![pod(true, false), pod(true, false), pod(true, true)];
        view.slices = vec![listed(&["10.244.0.5"])];
        assert_eq!(judge(&view, &own(), two()), waiting("1 of 2 endpoints listed"));
        view.slices = vec![listed(&["10.244.0.5", "10.244.0.6"])];
        assert_eq!(judge(&view, &own(), two()), Verdict::Done);
        let evicted = crate::workload::pods::tests::evicted("old", "2026-01-01T00:00:00Z");
        view.pods.push(Arc::new(evicted));
        assert_eq!(judge(&view, &own(), two()), Verdict::Done, "a pod that was evicted and replaced is ignored");
        view.service = service(&json!([]));
        assert_eq!(judge(&view, &own(), two()), waiting("the Service has no external IP yet"));
    }

    #[test]
    fn rules_must_hold_exactly_the_endpoints_and_every_address() {
        let set = |addresses: &[&str]| addresses.iter().map(|a| a.parse().unwrap()).collect::<BTreeSet<SocketAddr>>();
        let ips: [IpAddr; 2] = ["198.18.1.1", "10.96.9.9"].map(|ip| ip.parse().unwrap());
        let entries = entries(
            &from_value(json!({
                "spec": {"clusterIP": ips[1], "ports": [{"port": 80, "nodePort": 30080}]},
                "status": {"loadBalancer": {"ingress": [{"ip": ips[0]}]}},
            }))
            .unwrap(),
            80,
        );
        let wanted = set(&["10.244.0.5:3000", "10.244.0.6:3000"]);
        let rules = |backends: &[&str], ips: &[IpAddr], node_port: Option<u16>| Programmed {
            backends: set(backends),
            addresses: ips.iter().copied().collect(),
            node_ports: node_port.into_iter().collect(),
            external_policy: None,
        };
        let said = |rules: &Programmed| difference(rules, &wanted, &entries);
        assert_eq!(said(&rules(&["10.244.0.5:3000"], &[], None)).unwrap(), "1 of 2 endpoints programmed");
        assert_eq!(
            said(&rules(&["10.244.0.5:3000", "10.244.0.6:3000", "10.244.0.7:3000"], &ips, None)).unwrap(),
            "2 of 2 endpoints programmed, and 1 endpoint too many"
        );
        let all = ["10.244.0.5:3000", "10.244.0.6:3000"];
        let missing = |ips: &[IpAddr], node_port| said(&rules(&all, ips, node_port));
        assert_eq!(missing(&[], None).unwrap(), "the external IP 198.18.1.1 is not programmed yet");
        assert_eq!(missing(&ips[..1], None).unwrap(), "the cluster IP 10.96.9.9 is not programmed yet");
        assert_eq!(missing(&ips, None).unwrap(), "the node port 30080 is not programmed yet");
        assert_eq!(missing(&ips, Some(30080)), None);
    }
}
