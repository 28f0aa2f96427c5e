//! The logs of the workload's pods, merged.

mod follow;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use super::subject::Subject;
use crate::io_error::IoError;
use crate::kubernetes_error::KubernetesError;
use crate::shutdown::Shutdown;
use crate::workload::WorkloadError;

/// The lines to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to continue with new lines and new pods.
    pub follow: bool,
    /// Only lines younger than this.
    pub since: Option<Duration>,
    /// At most this number of the last lines of each pod.
    pub tail: Option<u32>,
    /// Only this pod.
    pub pod: Option<String>,
    /// Only this container of each pod.
    pub container: Option<String>,
}

/// The log of one container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Log {
    pod: String,
    container: String,
    /// Whether the pod has more containers, so that lines name the container.
    is_one_of_several: bool,
}

/// A line of a pod's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The pod.
    pub pod: String,
    /// The container, if the pod has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// When it was written, by the clock of the node.
    pub time: Option<Timestamp>,
    /// The line, without its end.
    pub text: String,
}

impl Line {
    /// Splits off the timestamp that the kubelet writes in front of the line.
    fn parse(log: &Log, raw: &str) -> Self {
        let split = raw.split_once(' ').and_then(|(time, text)| Some((time.parse().ok()?, text)));
        let (time, text) = split.map_or((None, raw), |(time, text)| (Some(time), text));
        let container = log.is_one_of_several.then(|| log.container.clone());
        Self { pod: log.pod.clone(), container, time, text: text.to_owned() }
    }
}

/// Passes the pods' lines to `sink`, ordered by time. With `follow`, it passes each line as it arrives, until `shutdown`.
///
/// # Errors
/// [`WorkloadError::NoWorkload`] when there are no pods; [`WorkloadError::UnknownPod`] when the pod that was named does not exist;
/// [`WorkloadError::Kubernetes`]; the errors of `sink`.
pub async fn pods(
    client: &Client,
    subject: &Subject,
    options: &LogOptions,
    shutdown: &Shutdown,
    sink: &mut dyn FnMut(Line) -> Result<(), IoError>,
) -> Result<(), WorkloadError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &subject.namespace);
    let refused = |source| KubernetesError::new("list pods", source);
    let list = api.list(&ListParams::default().labels(&subject.selector)).await.map_err(refused)?;
    let names: BTreeSet<String> = list.items.iter().map(ResourceExt::name_any).collect();
    if let Some(pod) = &options.pod {
        if !names.contains(pod) {
            return Err(WorkloadError::UnknownPod { given: pod.clone(), pods: names.into_iter().collect() });
        }
    } else if names.is_empty() && !options.follow {
        return Err(WorkloadError::NoWorkload);
    }
    if options.follow {
        return shutdown_is_the_end(follow::follow(&api, &subject.selector, options, sink), shutdown).await;
    }
    let started = list.items.iter().flat_map(|pod| logs(pod, options));
    let started = started.filter(|(_, container)| has_started(container)).map(|(log, _)| log);
    let mut lines = shutdown_is_the_end(all(&api, started.collect(), options), shutdown).await?;
    lines.sort_by_key(|line| line.time);
    Ok(lines.into_iter().try_for_each(sink)?)
}

/// Ctrl-C is the normal end of following, not an error.
async fn shutdown_is_the_end<T: Default>(
    work: impl Future<Output = Result<T, WorkloadError>>,
    shutdown: &Shutdown,
) -> Result<T, WorkloadError> {
    tokio::select! {
        () = shutdown.cancelled() => Ok(T::default()),
        result = work => result,
    }
}

/// The lines that all containers have written so far.
async fn all(api: &Api<Pod>, logs: Vec<Log>, options: &LogOptions) -> Result<Vec<Line>, WorkloadError> {
    let one = |log: Log| async move {
        let text = match api.logs(&log.pod, &params(&log, options)).await {
            Ok(text) => text,
            Err(source) if is_gone(&source) => String::new(),
            Err(source) => return Err(KubernetesError::new(format!("read the log of {}", log.pod), source)),
        };
        Ok(text.lines().map(|line| Line::parse(&log, line)).collect::<Vec<_>>())
    };
    // A few at a time, because there may be hundreds of pods.
    let mut each = stream::iter(logs).map(one).buffer_unordered(16);
    let mut lines = Vec::new();
    while let Some(more) = each.next().await {
        lines.extend(more?);
    }
    Ok(lines)
}

fn params(log: &Log, options: &LogOptions) -> LogParams {
    let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1);
    LogParams {
        container: Some(log.container.clone()),
        timestamps: true,
        since_seconds: options.since.map(seconds),
        tail_lines: options.tail.map(i64::from),
        ..LogParams::default()
    }
}

fn is_selected(pod: &Pod, options: &LogOptions) -> bool {
    options.pod.as_ref().is_none_or(|name| *name == pod.name_any())
}

/// The logs of a pod that are selected, each with the status of its container.
fn logs<'a>(pod: &'a Pod, options: &LogOptions) -> Vec<(Log, &'a ContainerStatus)> {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let before = status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
    let (name, is_one_of_several) = (pod.name_any(), containers.len() + before.len() > 1);
    let wanted = |container: &&ContainerStatus| {
        is_selected(pod, options) && options.container.as_ref().is_none_or(|name| *name == container.name)
    };
    let log =
        |container: &ContainerStatus| Log { pod: name.clone(), container: container.name.clone(), is_one_of_several };
    before.iter().chain(containers).filter(wanted).map(|container| (log(container), container)).collect()
}

/// Whether a container has ever run. Otherwise it has no log.
fn has_started(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

/// Whether the pod was deleted after it was listed.
fn is_gone(source: &kube::Error) -> bool {
    matches!(source, kube::Error::Api(status) if status.is_not_found() || status.code == 400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_from_its_time() {
        let parse = |raw| Line::parse(&Log { pod: "p".into(), ..Log::default() }, raw);
        let line = parse("2026-01-01T00:00:00.123456789Z {\"message\":\"start\"}");
        assert_eq!(line.text, "{\"message\":\"start\"}");
        assert_eq!(line.time.unwrap().to_string(), "2026-01-01T00:00:00.123456789Z");
        assert_eq!(parse("no time here").text, "no time here");
        assert_eq!(parse("2026-01-01T00:00:00Z ").text, "");
    }

    #[test]
    fn every_container_that_has_run_has_a_log() {
        let pod = serde_json::from_value(serde_json::json!({"metadata": {"name": "p"}, "status": {
            "initContainerStatuses": [status("migrate", &serde_json::json!({"terminated": {"exitCode": 0}}))],
            "containerStatuses": [
                status("web", &serde_json::json!({"running": {}})),
                status("log-shipper", &serde_json::json!({"running": {}})),
                status("late", &serde_json::json!({"waiting": {"reason": "ContainerCreating"}})),
            ],
        }}));
        let pod: Pod = pod.unwrap();
        let names = |options: &LogOptions| -> Vec<String> {
            let started = logs(&pod, options).into_iter().filter(|(_, container)| has_started(container));
            started.map(|(log, _)| log.container).collect()
        };
        assert_eq!(names(&LogOptions::default()), ["migrate", "web", "log-shipper"]);
        assert_eq!(names(&LogOptions { container: Some("web".into()), ..LogOptions::default() }), ["web"]);
        let line = Line::parse(&logs(&pod, &LogOptions::default())[1].0, "hello");
        assert_eq!(line.container.as_deref(), Some("web"));
    }

    fn status(name: &str, state: &serde_json::Value) -> serde_json::Value {
        serde_json::json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state})
    }
}
