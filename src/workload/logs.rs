//! The logs of the workload's pods, merged.

mod follow;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use super::SELECTOR;
use crate::config::NAMESPACE;
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
}

/// A line of a pod's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The pod.
    pub pod: String,
    /// When it was written, by the clock of the node.
    pub time: Option<Timestamp>,
    /// The line, without its end.
    pub text: String,
}

impl Line {
    /// Splits off the timestamp that the kubelet writes in front of the line.
    fn parse(pod: &str, raw: &str) -> Self {
        let split = raw.split_once(' ').and_then(|(time, text)| Some((time.parse().ok()?, text)));
        let (time, text) = split.map_or((None, raw), |(time, text)| (Some(time), text));
        Self { pod: pod.to_owned(), time, text: text.to_owned() }
    }
}

/// Passes the pods' lines to `sink`, ordered by time. With `follow`, it passes each line as it arrives, until `shutdown`.
///
/// # Errors
/// [`WorkloadError::NoWorkload`] when there are no pods; [`WorkloadError::UnknownPod`] when the pod that was named does not exist;
/// [`WorkloadError::Kubernetes`]; the errors of `sink`.
pub async fn pods(
    client: &Client,
    options: &LogOptions,
    shutdown: &Shutdown,
    sink: &mut dyn FnMut(Line) -> Result<(), IoError>,
) -> Result<(), WorkloadError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let refused = |source| KubernetesError::new("list pods", source);
    let list = api.list(&ListParams::default().labels(SELECTOR)).await.map_err(refused)?;
    let names: BTreeSet<String> = list.items.iter().map(ResourceExt::name_any).collect();
    if let Some(pod) = &options.pod {
        if !names.contains(pod) {
            return Err(WorkloadError::UnknownPod { given: pod.clone(), pods: names.into_iter().collect() });
        }
    } else if names.is_empty() && !options.follow {
        return Err(WorkloadError::NoWorkload);
    }
    if options.follow {
        return shutdown_is_the_end(follow::follow(&api, options, sink), shutdown).await;
    }
    let started =
        list.items.iter().filter(|pod| is_selected(pod, options) && has_started(pod)).map(ResourceExt::name_any);
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

/// The lines that all pods have written so far.
async fn all(api: &Api<Pod>, pods: Vec<String>, options: &LogOptions) -> Result<Vec<Line>, WorkloadError> {
    let params = &params(options);
    let one = |pod: String| async move {
        let text = match api.logs(&pod, params).await {
            Ok(text) => text,
            Err(source) if is_gone(&source) => String::new(),
            Err(source) => return Err(KubernetesError::new(format!("read the log of {pod}"), source)),
        };
        Ok(text.lines().map(|line| Line::parse(&pod, line)).collect::<Vec<_>>())
    };
    // A few at a time, because there may be hundreds of pods.
    let mut each = stream::iter(pods).map(one).buffer_unordered(16);
    let mut lines = Vec::new();
    while let Some(more) = each.next().await {
        lines.extend(more?);
    }
    Ok(lines)
}

fn params(options: &LogOptions) -> LogParams {
    let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1);
    LogParams {
        timestamps: true,
        since_seconds: options.since.map(seconds),
        tail_lines: options.tail.map(i64::from),
        ..LogParams::default()
    }
}

fn is_selected(pod: &Pod, options: &LogOptions) -> bool {
    options.pod.as_ref().is_none_or(|name| *name == pod.name_any())
}

/// Whether the pod's container has ever run. Otherwise it has no log.
fn has_started(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().any(|container| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    })
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
        let line = Line::parse("p", "2026-01-01T00:00:00.123456789Z {\"message\":\"start\"}");
        assert_eq!(line.text, "{\"message\":\"start\"}");
        assert_eq!(line.time.unwrap().to_string(), "2026-01-01T00:00:00.123456789Z");
        assert_eq!(Line::parse("p", "no time here").text, "no time here");
        assert_eq!(Line::parse("p", "2026-01-01T00:00:00Z ").text, "");
    }
}
