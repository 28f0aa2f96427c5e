//! The addresses of the pods behind the Service, from its EndpointSlices.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client};

use super::observe::ConstantBackoff;
use super::subject::Subject;
use crate::kubernetes_error::KubernetesError;
use crate::workload::WorkloadError;

/// How long to wait before a broken watch is opened again.
const AGAIN: Duration = Duration::from_millis(200);

/// The addresses and ports of the ready endpoints of the subject.
///
/// # Errors
/// [`WorkloadError::Kubernetes`]; [`WorkloadError::NoEndpoints`] when none is ready.
pub async fn backends(client: &Client, subject: &Subject) -> Result<Vec<SocketAddr>, WorkloadError> {
    let found = listed_as_ready(subject, &slices(client, subject).await?);
    if !found.is_empty() {
        return Ok(found.into_iter().collect());
    }
    Err(WorkloadError::NoEndpoints {
        service: subject.to_string(),
        port: subject.port_name.clone().unwrap_or_else(|| subject.port.to_string()),
        selector: subject.selector.clone(),
    })
}

/// The names of the nodes that have a ready endpoint of the subject.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub(super) async fn nodes_with_backends(client: &Client, subject: &Subject) -> Result<BTreeSet<String>, WorkloadError> {
    let slices = slices(client, subject).await?;
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    Ok(endpoints.filter(|endpoint| is_ready(endpoint)).filter_map(|endpoint| endpoint.node_name.clone()).collect())
}

/// The pod that gets all connections to the subject: that of its only ready endpoint.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn only_backend(client: &Client, subject: &Subject) -> Result<Option<String>, WorkloadError> {
    Ok(only_pod(&slices(client, subject).await?))
}

fn only_pod(slices: &[EndpointSlice]) -> Option<String> {
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    let mut pods: Vec<Option<String>> = endpoints
        .filter(|endpoint| is_ready(endpoint))
        .map(|endpoint| endpoint.target_ref.as_ref().and_then(|pod| pod.name.clone()))
        .collect();
    pods.dedup();
    match &pods[..] {
        [only] => only.clone(),
        _ => None,
    }
}

/// The EndpointSlices of the subject.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub(super) async fn slices(client: &Client, subject: &Subject) -> Result<Vec<EndpointSlice>, WorkloadError> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &subject.namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={}", subject.service));
    let listed = slices.list(&of_service).await;
    Ok(listed.map_err(|source| KubernetesError::new("list EndpointSlices", source))?.items)
}

/// Whether an endpoint gets new connections.
pub(super) fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
}

/// The same as [`backends`] at first, and again after each change; the list may be empty. While the API server cannot be
/// reached, no change is reported. The stream never ends.
pub fn backends_as_they_change(client: &Client, subject: &Subject) -> impl Stream<Item = Vec<SocketAddr>> + use<> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &subject.namespace);
    let of_service = watcher::Config::default().labels(&format!("kubernetes.io/service-name={}", subject.service));
    let (store, writer) = reflector::store();
    let subject = subject.clone();
    let events = watcher(slices, of_service).backoff(ConstantBackoff(AGAIN)).reflect(writer);
    events.filter_map(move |event| {
        let changed =
            matches!(event, Ok(watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_)));
        let found =
            changed.then(|| listed_as_ready(&subject, store.state().iter().map(AsRef::as_ref)).into_iter().collect());
        std::future::ready(found)
    })
}

/// The ready addresses in EndpointSlices, with the port that the subject's port leads to.
pub(super) fn listed_as_ready<'a>(
    subject: &Subject,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
) -> BTreeSet<SocketAddr> {
    let name = subject.port_name.as_deref().unwrap_or_default();
    let mut found = BTreeSet::new();
    for slice in slices {
        let ports = slice.ports.iter().flatten().filter(|port| port.name.as_deref().unwrap_or_default() == name);
        for port in ports.filter_map(|port| u16::try_from(port.port?).ok()) {
            let endpoints = slice.endpoints.iter().flatten();
            let ready = endpoints.filter(|endpoint| is_ready(endpoint));
            let ips = ready.flat_map(|endpoint| &endpoint.addresses).filter_map(|text| text.parse::<IpAddr>().ok());
            found.extend(ips.map(|ip| SocketAddr::new(ip, port)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::subject::tests::own;

    #[test]
    fn the_only_ready_endpoint_names_its_pod() {
        let slices = |ready: [bool; 2], names: [&str; 2]| {
            let endpoint = |at: usize| {
                let pod = serde_json::json!({"kind": "Pod", "name": names[at]});
                serde_json::json!({"addresses": ["10.244.0.5"], "conditions": {"ready": ready[at]}, "targetRef": pod})
            };
            let endpoints = [endpoint(0), endpoint(1)];
            let slice = serde_json::json!({"metadata": {}, "addressType": "IPv4", "endpoints": endpoints});
            only_pod(&[serde_json::from_value(slice).unwrap()])
        };
        assert_eq!(slices([true, false], ["a", "b"]).as_deref(), Some("a"));
        // A pod of a Service with two families of addresses is listed in a slice of each.
        assert_eq!(slices([true, true], ["a", "a"]).as_deref(), Some("a"));
        assert_eq!(slices([true, true], ["a", "b"]), None);
        assert_eq!(slices([false, false], ["a", "b"]), None);
    }

    #[test]
    fn endpoints_that_are_not_ready_are_no_backends() {
        let slice = serde_json::json!({"metadata": {}, "addressType": "IPv4",
        "ports": [{"name": "http", "port": 3000}], "endpoints": [
            {"addresses": ["10.244.0.5"], "conditions": {"ready": true}},
            {"addresses": ["10.244.0.6"], "conditions": {"ready": false, "serving": true, "terminating": true}},
            {"addresses": ["10.244.0.7"]},
        ]});
        let found = listed_as_ready(&own(), [&serde_json::from_value(slice).unwrap()]);
        assert_eq!(
            found.into_iter().map(|a| a.to_string()).collect::<Vec<_>>(),
            ["10.244.0.5:3000", "10.244.0.7:3000"]
        );
    }
}
