//! What the kubelet and the scheduler report about pods that do not become ready, and controllers about pods that they may not
//! create.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

/// How long a refusal must last to count: a quota may be full until another pod ends, and an admission
/// plugin may wait for its cache.
pub(super) const REFUSAL: SignedDuration = SignedDuration::from_secs(3);
/// What the API server answers a controller, which then tries again, for other reasons than its pods: the controller's token was
/// refused because the clock jumped, or the API server or etcd had too much to do.
const PASSING: [&str; 3] = [
    "Unauthorized",
    "Timeout: request did not complete within requested timeout - context deadline exceeded",
    "etcdserver: request timed out",
];
/// How old a pod must be before a missing object counts: it may be applied a moment later than the pod.
const MISSING: SignedDuration = SignedDuration::from_secs(5);

/// The newest warning about pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodWarning {
    /// The pod, and the words of the kubelet or scheduler.
    pub(super) text: String,
    /// Whether the pod refers to something that does not exist, so that it cannot start.
    pub(super) is_missing: bool,
}

/// The newest warning about one of `pods`; `None` if there is none, or if the API server does not answer.
pub(super) async fn newest_warning(
    client: &Client,
    namespace: &str,
    pods: &[&Pod],
    now: Timestamp,
) -> Option<PodWarning> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let of_pods = ListParams::default().fields("involvedObject.kind=Pod,type=Warning");
    let listed = events.list(&of_pods).await.ok()?.items;
    warning(&listed, pods, now)
}

fn warning(events: &[Event], pods: &[&Pod], now: Timestamp) -> Option<PodWarning> {
    let last =
        |event: &Event| event.last_timestamp.as_ref().or(event.metadata.creation_timestamp.as_ref()).map(|at| at.0);
    let pod_of = |event: &Event| {
        let uid = event.involved_object.uid.as_ref()?;
        pods.iter().find(|pod| pod.metadata.uid.as_ref() == Some(uid)).copied()
    };
    let (event, pod) =
        events.iter().filter_map(|event| Some((event, pod_of(event)?))).max_by_key(|(event, _)| last(event))?;
    let message = event.message.as_deref().or(event.reason.as_deref()).unwrap_or_default().trim();
    let is_old = pod.creation_timestamp().is_some_and(|created| now.duration_since(created.0) >= MISSING);
    let is_missing = event.reason.as_deref() == Some("FailedMount") && message.ends_with("not found") && is_old;
    Some(PodWarning { text: format!("pod {}: {message}", pod.name_any()), is_missing })
}

/// Why a controller may not create its pods: the words of the API server, once it has refused them for a while; `None` if it
/// has not since `since`, or if the API server does not answer. A Deployment's ReplicaSet has a condition for this; other
/// kinds only have events.
pub(super) async fn refusal(
    client: &Client,
    namespace: &str,
    (kind, name): (&str, &str),
    since: Timestamp,
    now: Timestamp,
) -> Option<String> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let fields = format!("involvedObject.kind={kind},involvedObject.name={name},type=Warning,reason=FailedCreate");
    let listed = events.list(&ListParams::default().fields(&fields)).await.ok()?.items;
    refused(&listed, since, now)
}

/// Whether a controller's message about pods that it could not create will pass by itself.
pub(super) fn is_passing(message: &str) -> bool {
    let ends =
        |with: &&str| message.strip_suffix(*with).is_some_and(|rest| rest.is_empty() || rest.ends_with("error: "));
    PASSING.iter().any(ends)
}

fn refused(events: &[Event], since: Timestamp, now: Timestamp) -> Option<String> {
    let last = |event: &Event| event.last_timestamp.as_ref().map(|at| at.0);
    let first = |event: &Event| event.first_timestamp.as_ref().map(|at| at.0);
    // Their times are whole seconds.
    let began = since - SignedDuration::from_secs(1);
    let event =
        events.iter().filter(|event| last(event).is_some_and(|at| at >= began)).max_by_key(|event| last(event))?;
    let from = first(event).map_or(since, |first| first.max(since));
    let message = event.message.as_deref().unwrap_or_default().trim();
    (now.duration_since(from) >= REFUSAL && !is_passing(message)).then(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn event(uid: &str, reason: &str, message: &str, at: &str) -> Event {
        let object = json!({"kind": "Pod", "uid": uid});
        let event = json!({"metadata": {}, "involvedObject": object, "reason": reason, "message": message, "lastTimestamp": at});
        from_value(event).unwrap()
    }

    fn pod(name: &str, created: &str) -> Pod {
        let metadata: Value = json!({"name": name, "uid": format!("uid-{name}"), "creationTimestamp": created});
        from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn a_refusal_counts_when_it_lasts() {
        let saying = |message: &str, first: &str, last: &str| {
            from_value::<Event>(json!({
                "metadata": {}, "involvedObject": {}, "message": message, "firstTimestamp": first, "lastTimestamp": last,
            }))
            .unwrap()
        };
        let refusal = |first: &str, last: &str| saying("pods \"web-0\" is forbidden: exceeded quota", first, last);
        let (since, now) = ("2026-01-01T00:00:05.5Z".parse().unwrap(), "2026-01-01T00:00:10Z".parse().unwrap());
        let new = refusal("2026-01-01T00:00:05Z", "2026-01-01T00:00:05Z");
        assert!(refused(std::slice::from_ref(&new), since, now).unwrap().ends_with("exceeded quota"));
        let short = refusal("2026-01-01T00:00:08Z", "2026-01-01T00:00:09Z");
        assert_eq!(refused(&[short], since, now), None);
        let earlier = refusal("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z");
        assert_eq!(refused(&[earlier], since, now), None, "it is of an earlier deploy");
        let slow = "create Pod web-0 in StatefulSet web failed error: Timeout: request did not complete within requested timeout - \
                    context deadline exceeded";
        let slow = saying(slow, "2026-01-01T00:00:05Z", "2026-01-01T00:00:05Z");
        assert_eq!(refused(&[slow], since, now), None, "the controller tries again");
    }

    #[test]
    fn the_newest_warning_about_these_pods_counts() {
        let new = pod("new", "2026-01-01T00:00:00Z");
        let now = "2026-01-01T00:00:09Z".parse().unwrap();
        let probe = "Readiness probe failed: HTTP probe failed with statuscode: 404";
        let missing = "MountVolume.SetUp failed for volume \"c\" : configmap \"nope\" not found";
        let events = [
            event("uid-new", "Unhealthy", "connection refused", "2026-01-01T00:00:02Z"),
            event("uid-new", "Unhealthy", probe, "2026-01-01T00:00:04Z"),
            event("uid-old", "FailedMount", missing, "2026-01-01T00:00:08Z"),
        ];
        let found = warning(&events, &[&new], now).unwrap();
        assert_eq!(found, PodWarning { text: format!("pod new: {probe}"), is_missing: false });
        assert_eq!(warning(&events, &[&pod("other", "2026-01-01T00:00:00Z")], now), None);
        let old = pod("old", "2026-01-01T00:00:01Z");
        assert!(warning(&events, &[&old], now).unwrap().is_missing);
        let young = pod("old", "2026-01-01T00:00:07Z");
        assert!(!warning(&events, &[&young], now).unwrap().is_missing, "it may be applied a moment later");
    }
}
