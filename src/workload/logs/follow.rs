//! Follows the logs of pods. Each pod has a task that reads its log, and opens the log again when the API server or the
//! kubelet was restarted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::LogParams;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Line, Log, LogOptions, has_started, logs, params};
use crate::io_error::IoError;
use crate::workload::WorkloadError;
use crate::workload::observe::ConstantBackoff;

/// How long to wait before a log that ended early, or a broken watch, is opened again.
const RETRY: Duration = Duration::from_millis(500);
/// The number of lines that can wait for the sink before the readers wait.
const WAITING: usize = 64;

/// Passes on the lines of every pod as they arrive. New pods are added, and restarted containers are followed as well. It
/// ends only with an error of `sink`.
pub(super) async fn follow(
    api: &Api<Pod>,
    selector: &str,
    options: &LogOptions,
    sink: &mut dyn FnMut(Line) -> Result<(), IoError>,
) -> Result<(), WorkloadError> {
    let changes = watcher(api.clone(), watcher::Config::default().labels(selector));
    let mut changes = std::pin::pin!(changes.backoff(ConstantBackoff(RETRY)));
    let (sender, mut lines) = mpsc::channel(WAITING);
    let mut following = Following { api, options, lines: sender, readers: JoinSet::new(), logs: BTreeMap::new() };
    let mut listed = BTreeSet::new();
    loop {
        tokio::select! {
            change = changes.next() => if let Some(Ok(event)) = change {
                following.take(event, &mut listed);
            },
            Some(line) = lines.recv() => sink(line)?,
            Some(_) = following.readers.join_next() => {}
        }
    }
}

/// The pods that are followed. Dropping it ends their tasks.
struct Following<'a> {
    api: &'a Api<Pod>,
    options: &'a LogOptions,
    lines: mpsc::Sender<Line>,
    readers: JoinSet<()>,
    logs: BTreeMap<Log, Followed>,
}

/// A log that is followed.
struct Followed {
    uid: String,
    container: watch::Sender<Container>,
}

/// The state of the container whose log is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Container {
    /// The container's ID, which changes with each restart.
    id: String,
    running: bool,
    /// Whether the pod was deleted.
    deleted: bool,
}

impl Following<'_> {
    /// Handles an event of the watch. `listed` collects the pods of a list until it is complete.
    fn take(&mut self, event: Event<Pod>, listed: &mut BTreeSet<String>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(pod) => {
                listed.insert(pod.name_any());
                self.apply(&pod);
            }
            // Pods that were deleted while the watch was broken.
            Event::InitDone => {
                let deleted: BTreeSet<String> =
                    self.logs.keys().map(|log| log.pod.clone()).filter(|pod| !listed.contains(pod)).collect();
                for pod in deleted {
                    self.delete(&pod);
                }
            }
            Event::Apply(pod) => self.apply(&pod),
            Event::Delete(pod) => self.delete(&pod.name_any()),
        }
    }

    fn apply(&mut self, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        let name = pod.name_any();
        if self.logs.iter().any(|(log, followed)| log.pod == name && followed.uid != uid) {
            self.delete(&name);
        }
        for (log, status) in logs(pod, self.options) {
            self.apply_container(log, &uid, status);
        }
    }

    fn apply_container(&mut self, log: Log, uid: &str, status: &ContainerStatus) {
        let container = Container::of(status);
        if let Some(followed) = self.logs.get(&log) {
            followed.container.send_if_modified(|known| {
                let changed = *known != container;
                *known = container;
                changed
            });
            return;
        }
        if !has_started(status) {
            return;
        }
        let (sender, container) = watch::channel(container);
        let reader = LogReader {
            api: self.api.clone(),
            log: log.clone(),
            first: LogParams { follow: true, ..params(&log, self.options) },
            container,
            lines: self.lines.clone(),
            position: None,
            rest: None,
        };
        self.readers.spawn(reader.run());
        self.logs.insert(log, Followed { uid: uid.to_owned(), container: sender });
    }

    /// The readers still read the rest of the logs that are open.
    fn delete(&mut self, pod: &str) {
        self.logs.retain(|log, followed| {
            if log.pod == pod {
                followed.container.send_modify(|container| container.deleted = true);
            }
            log.pod != pod
        });
    }
}

impl Container {
    fn of(status: &ContainerStatus) -> Self {
        Self {
            id: status.container_id.clone().unwrap_or_default(),
            running: status.state.as_ref().is_some_and(|state| state.running.is_some()),
            deleted: false,
        }
    }
}

/// Reads the log of one container until its pod is deleted.
struct LogReader {
    api: Api<Pod>,
    log: Log,
    /// How the log is opened the first time.
    first: LogParams,
    container: watch::Receiver<Container>,
    lines: mpsc::Sender<Line>,
    /// Where to continue; `None` before the log was opened, or while a log that is read from its beginning has no line.
    position: Option<Position>,
    /// The beginning of a line that was cut off.
    rest: Option<Line>,
}

/// A position in a log: all lines before this time were passed on, and this number of lines with exactly this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    time: Timestamp,
    lines: usize,
}

/// How reading a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It could not be opened.
    NotOpened,
    /// The connection broke.
    Broken,
    /// The server ended it, because the container has ended or the kubelet has stopped.
    Ended,
}

impl LogReader {
    async fn run(mut self) {
        // The container whose log was opened last.
        let mut opened: Option<String> = None;
        loop {
            let container = self.container.borrow_and_update().clone();
            if container.deleted {
                // Another pod may have this name by now, so the log is not opened again.
                self.hand_on_rest().await;
                return;
            }
            let params = match &opened {
                Some(id) => {
                    // The container may have been restarted since the log ended. The rest of its previous log comes first.
                    if self.position.is_some() || *id != container.id {
                        let params = LogParams { follow: false, previous: true, ..self.again() };
                        if let (End::Ended, Some(rest)) = self.read(&params).await {
                            self.hand_on(rest).await;
                        }
                    }
                    self.again()
                }
                None => self.first.clone(),
            };
            let (end, rest) = self.read(&params).await;
            if end != End::NotOpened {
                opened = Some(container.id);
                self.rest = rest;
            }
            let is_complete = end == End::Ended && !container.running;
            if is_complete {
                self.hand_on_rest().await;
                // It is an error when the pod was deleted, which is handled at the start of the loop.
                let _ = self.container.changed().await;
            } else {
                let _ = tokio::time::timeout(RETRY, self.container.changed()).await;
            }
        }
    }

    /// The parameters that open the log at the position.
    fn again(&self) -> LogParams {
        // The API takes whole seconds, and the client would round to the nearest one, which may be too late.
        let second = |position: &Position| Timestamp::from_second(position.time.as_second()).ok();
        let since_time = self.position.as_ref().and_then(second);
        LogParams { since_seconds: None, tail_lines: None, since_time, ..self.first.clone() }
    }

    /// Reads a log to its end, and passes on the lines that are new. Also returns the last line when it is incomplete.
    async fn read(&mut self, params: &LogParams) -> (End, Option<Line>) {
        let api = self.api.clone();
        let Ok(log) = api.log_stream(&self.log.pod, params).await else { return (End::NotOpened, None) };
        let mut log = std::pin::pin!(log);
        let mut repeated = self.position;
        let partly = params.since_seconds.is_some() || params.tail_lines.is_some();
        if self.position.is_none() && partly {
            // If no line is recent enough, or none was asked for, the log continues from now.
            self.position = Some(Position { time: Timestamp::now(), lines: 0 });
        }
        loop {
            let mut bytes = Vec::new();
            let outcome = log.read_until(b'\n', &mut bytes).await;
            let text = String::from_utf8_lossy(&bytes);
            if let Some(text) = text.strip_suffix('\n') {
                let line = Line::parse(&self.log, text);
                if self.is_of_log(&line) && !is_repeated(&mut repeated, &line) {
                    self.hand_on(line).await;
                }
                continue;
            }
            let rest = (!text.is_empty()).then(|| Line::parse(&self.log, &text));
            let end = if outcome.is_ok() { End::Ended } else { End::Broken };
            return (end, rest.filter(|rest| self.is_of_log(rest) && !is_repeated(&mut repeated, rest)));
        }
    }

    /// Whether a line is the container's. The kubelet ends a log that it cannot read any more with an error message, which has
    /// no time; such a log is opened again.
    fn is_of_log(&self, line: &Line) -> bool {
        line.time.is_some() || self.position.is_none()
    }

    /// Passes on an incomplete line that will not be completed, unless the whole line was passed on already.
    async fn hand_on_rest(&mut self) {
        if let Some(rest) = self.rest.take().filter(|rest| !is_repeated(&mut self.position.clone(), rest)) {
            self.hand_on(rest).await;
        }
    }

    async fn hand_on(&mut self, line: Line) {
        let time = line.time;
        // It fails only when the receiver is dropped, and then this task is ended as well.
        let _ = self.lines.send(line).await;
        if let Some(time) = time {
            let before = self.position.filter(|position| position.time == time).map_or(0, |position| position.lines);
            self.position = Some(Position { time, lines: before + 1 });
        }
    }
}

/// Whether a line was already passed on before the log was opened again. `repeated` is the position at that time, and
/// becomes `None` with the first new line.
fn is_repeated(repeated: &mut Option<Position>, line: &Line) -> bool {
    match (repeated.as_mut(), line.time) {
        (Some(position), Some(time)) if time < position.time => true,
        (Some(position), Some(time)) if time == position.time && position.lines > 0 => {
            position.lines -= 1;
            true
        }
        _ => {
            *repeated = None;
            false
        }
    }
}

#[cfg(test)]
mod tests;
