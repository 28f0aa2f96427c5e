//! What the pods say, merged; and what the cluster's components say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{AsyncBufReadExt, FutureExt, Stream, StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde::Serialize;

use super::SELECTOR;
use super::observe::ConstantBackoff;
use crate::config::NAMESPACE;
use crate::error::Error;
use crate::shutdown::Shutdown;

/// Which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether to go on as new lines, and new pods, appear.
    pub follow: bool,
    /// Only lines younger than this.
    pub since: Option<Duration>,
    /// At most so many of the last lines of each pod.
    pub tail: Option<u32>,
    /// Only this pod.
    pub pod: Option<String>,
}

/// One line of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The pod.
    pub pod: String,
    /// When it was written; the containerd's clock.
    pub time: Option<Timestamp>,
    /// The line.
    pub text: String,
}

impl Line {
    /// Splits what the kubelet writes in front when it is asked for timestamps.
    fn parse(pod: &str, raw: &str) -> Self {
        let split = raw.split_once(' ').and_then(|(time, text)| Some((time.parse().ok()?, text)));
        let (time, text) = split.map_or((None, raw), |(time, text)| (Some(time), text));
        Self { pod: pod.to_owned(), time, text: text.to_owned() }
    }
}

/// Hands the pods' lines to `sink`: those that are there in the order of their time; with `follow`, then each as it
/// comes, until `shutdown`.
///
/// # Errors
/// [`Error::NoWorkload`] when there are no pods, [`Error::BadValue`] when not the one that was named;
/// [`Error::Kubernetes`]; what `sink` says.
pub async fn pods(
    client: &Client,
    wanted: &Wanted,
    shutdown: &Shutdown,
    sink: &mut dyn FnMut(Line) -> Result<(), Error>,
) -> Result<(), Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let refused = |source| Error::kubernetes("list pods", source);
    let list = api.list(&ListParams::default().labels(SELECTOR)).await.map_err(refused)?;
    let names: BTreeSet<String> = list.items.iter().map(ResourceExt::name_any).collect();
    if let Some(pod) = &wanted.pod {
        if !names.contains(pod) {
            return Err(no_such_pod(pod, &names));
        }
    } else if names.is_empty() && !wanted.follow {
        return Err(Error::NoWorkload);
    }
    if wanted.follow {
        return shutdown_is_the_end(follow(&api, wanted, sink), shutdown).await;
    }
    let started = list.items.iter().filter(|pod| is_wanted(pod, wanted) && has_started(pod)).map(ResourceExt::name_any);
    let mut lines = shutdown_is_the_end(all(&api, started.collect(), wanted), shutdown).await?;
    lines.sort_by_key(|line| line.time);
    lines.into_iter().try_for_each(sink)
}

fn no_such_pod(pod: &str, names: &BTreeSet<String>) -> Error {
    let there = if names.is_empty() {
        "there are none".to_owned()
    } else {
        names.iter().cloned().collect::<Vec<_>>().join(", ")
    };
    Error::BadValue {
        what: "--pod",
        given: pod.to_owned(),
        why: format!("no pod is called that; the pods are: {there}"),
    }
}

/// Whoever follows ends it with Ctrl-C, and nothing has failed.
async fn shutdown_is_the_end<T: Default>(
    work: impl Future<Output = Result<T, Error>>,
    shutdown: &Shutdown,
) -> Result<T, Error> {
    tokio::select! {
        () = shutdown.cancelled() => Ok(T::default()),
        result = work => result,
    }
}

/// All lines that are there now, of all pods at once.
async fn all(api: &Api<Pod>, pods: Vec<String>, wanted: &Wanted) -> Result<Vec<Line>, Error> {
    let params = &params(wanted);
    let one = |pod: String| async move {
        let text = match api.logs(&pod, params).await {
            Ok(text) => text,
            Err(source) if is_gone(&source) => String::new(),
            Err(source) => return Err(Error::kubernetes(format!("read the log of {pod}"), source)),
        };
        Ok(text.lines().map(|line| Line::parse(&pod, line)).collect::<Vec<_>>())
    };
    // The kubelet is asked for a few at a time: there may be hundreds.
    let mut each = stream::iter(pods).map(one).buffer_unordered(16);
    let mut lines = Vec::new();
    while let Some(more) = each.next().await {
        lines.extend(more?);
    }
    Ok(lines)
}

/// The lines of every pod, each as it comes; pods that appear meanwhile are added, and containers that start again.
async fn follow(api: &Api<Pod>, wanted: &Wanted, sink: &mut dyn FnMut(Line) -> Result<(), Error>) -> Result<(), Error> {
    let config = watcher::Config::default().labels(SELECTOR);
    let changes = watcher(api.clone(), config).backoff(ConstantBackoff(Duration::from_millis(500))).applied_objects();
    let mut changes = std::pin::pin!(changes);
    let mut following = Following::default();
    loop {
        tokio::select! {
            change = changes.next() => if let Some(Ok(pod)) = change && is_wanted(&pod, wanted) && has_started(&pod) {
                following.begin(api, &pod, wanted);
            },
            Some(event) = following.streams.next() => match event {
                Said::Line(line) => if following.is_new(&line) { sink(line)? },
                Said::End(pod) => following.ended(&pod),
            },
        }
    }
}

enum Said {
    Line(Line),
    End(String),
}

/// The logs that are being followed.
#[derive(Default)]
struct Following {
    streams: stream::SelectAll<stream::BoxStream<'static, Said>>,
    /// The containers whose log is open, or has been read to its end, by pod.
    containers: BTreeMap<String, String>,
    /// The time of the last line, by pod: where to go on after a restart.
    last: BTreeMap<String, Timestamp>,
}

impl Following {
    fn begin(&mut self, api: &Api<Pod>, pod: &Pod, wanted: &Wanted) {
        let (name, container) = (pod.name_any(), container_id(pod));
        if self.containers.get(&name) == Some(&container) {
            return;
        }
        let mut params = LogParams { follow: true, ..params(wanted) };
        if let Some(last) = self.last.get(&name) {
            params = LogParams { since_seconds: None, tail_lines: None, since_time: Some(*last), ..params };
        }
        self.streams.push(lines(api.clone(), name.clone(), params).boxed());
        self.containers.insert(name, container);
    }

    /// Whether a line has not been handed on already: a log is opened anew by the second, not by the line.
    fn is_new(&mut self, line: &Line) -> bool {
        let Some(time) = line.time else { return true };
        let new = self.last.get(&line.pod).is_none_or(|last| time > *last);
        if new {
            self.last.insert(line.pod.clone(), time);
        }
        new
    }

    fn ended(&mut self, pod: &str) {
        if self.last.contains_key(pod) {
            return;
        }
        // Nothing came of it: the next change of the pod may try again.
        self.containers.remove(pod);
    }
}

/// One pod's log, line by line, and its end.
fn lines(api: Api<Pod>, pod: String, params: LogParams) -> impl Stream<Item = Said> + Send + 'static {
    let name = pod.clone();
    let opened = async move { api.log_stream(&pod, &params).await.map(|reader| (pod, reader)) };
    let lines = opened.into_stream().flat_map(|opened| match opened {
        Ok((pod, reader)) => {
            let lines = reader.lines().take_while(|line| futures::future::ready(line.is_ok()));
            lines
                .filter_map(move |line| {
                    futures::future::ready(line.ok().map(|line| Said::Line(Line::parse(&pod, &line))))
                })
                .boxed()
        }
        Err(_) => stream::empty().boxed(),
    });
    lines.chain(stream::once(async move { Said::End(name) }))
}

fn params(wanted: &Wanted) -> LogParams {
    let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1);
    LogParams {
        timestamps: true,
        since_seconds: wanted.since.map(seconds),
        tail_lines: wanted.tail.map(i64::from),
        ..LogParams::default()
    }
}

fn is_wanted(pod: &Pod, wanted: &Wanted) -> bool {
    wanted.pod.as_ref().is_none_or(|name| *name == pod.name_any())
}

/// Whether the pod's container has ever run: else there is no log.
fn has_started(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().any(|container| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    })
}

fn container_id(pod: &Pod) -> String {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.and_then(|statuses| statuses.first()?.container_id.clone()).unwrap_or_default()
}

/// A pod that went between the list and the question.
fn is_gone(source: &kube::Error) -> bool {
    matches!(source, kube::Error::Api(status) if status.is_not_found() || status.code == 400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_parted_from_its_time() {
        let line = Line::parse("p", "2026-01-01T00:00:00.123456789Z {\"message\":\"start\"}");
        assert_eq!(line.text, "{\"message\":\"start\"}");
        assert_eq!(line.time.unwrap().to_string(), "2026-01-01T00:00:00.123456789Z");
        assert_eq!(Line::parse("p", "no time here").text, "no time here");
        assert_eq!(Line::parse("p", "2026-01-01T00:00:00Z ").text, "");
    }

    #[test]
    fn lines_read_twice_are_handed_on_once() {
        let mut following = Following::default();
        let mut seen = |raw: &str| following.is_new(&Line::parse("p", raw));
        assert!(seen("2026-01-01T00:00:00.1Z a"));
        assert!(seen("2026-01-01T00:00:00.2Z b"));
        assert!(!seen("2026-01-01T00:00:00.1Z a"));
        assert!(!seen("2026-01-01T00:00:00.2Z b"));
        assert!(seen("2026-01-01T00:00:00.3Z c"));
    }
}
