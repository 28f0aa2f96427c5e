//! Watches a node during an event: when Kubernetes and the load balancer notice what was done to it, and when it is back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::future::{self, Either};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::time::Instant;

use super::{EventContext, nodes};
use crate::workload::backends::{is_ready, slices};
use crate::workload::observe::ConstantBackoff;

/// How long to wait before a broken watch is opened again.
const AGAIN: Duration = Duration::from_millis(200);

/// From when to when something was missing, since the begin of the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absence {
    /// When it was missing first; `None` if it was never missing, or was missing before.
    pub began: Option<Duration>,
    /// When it was back for good; `None` if it was not.
    pub ended: Option<Duration>,
}

/// A node that an event acted on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffectedNode {
    /// Its name.
    pub name: String,
    /// How many of its pods were evicted; `None` if the event evicts none.
    pub evicted: Option<u64>,
    /// When it was not Ready.
    pub not_ready: Absence,
    /// When the Service had no ready endpoint there.
    pub no_endpoints: Absence,
}

impl AffectedNode {
    /// Whether its pods got no new connections for a while.
    #[must_use]
    pub fn was_out_of_service(&self) -> bool {
        self.no_endpoints.began.is_some()
    }
}

/// What is watched of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Ready,
    Endpoints,
}

/// What is known of one of them.
#[derive(Clone, Copy, Debug, Default)]
struct Presence {
    /// Whether it is there now; `None` until that is known.
    now: Option<bool>,
    absence: Absence,
}

impl Presence {
    /// Notes whether it is there, so long after the begin of the event.
    fn update(&mut self, is_there: bool, after: Duration) {
        let was_there = self.now.replace(is_there);
        let absence = &mut self.absence;
        match (was_there, is_there) {
            (Some(true), false) => *absence = Absence { began: absence.began.or(Some(after)), ended: None },
            (Some(false), true) if absence.began.is_some() => absence.ended = Some(after),
            _ => {}
        }
    }
}

/// A node that is watched.
pub(super) struct NodeWatch<'a> {
    context: &'a EventContext<'a>,
    node: String,
    began: Instant,
    ready: RefCell<Presence>,
    endpoints: RefCell<Presence>,
}

impl<'a> NodeWatch<'a> {
    /// Looks at the node before the event begins.
    pub(super) async fn begin(context: &'a EventContext<'a>, node: String) -> Self {
        let watch =
            Self { context, node, began: Instant::now(), ready: RefCell::default(), endpoints: RefCell::default() };
        let client = &context.access.client;
        let nodes: Api<Node> = Api::all(client.clone());
        // What cannot be read now is read by the watches.
        if let Ok(node) = nodes.get(&watch.node).await {
            watch.note(Watched::Ready, nodes::is_ready(&node));
        }
        if let Ok(slices) = slices(client, context.subject).await {
            watch.note(Watched::Endpoints, slices.iter().any(|slice| watch.has_endpoint(slice)));
        }
        watch
    }

    /// Watches while the event's work is done.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let follow = std::pin::pin!(future::join(self.follow_ready(), self.follow_endpoints()));
        match future::select(std::pin::pin!(work), follow).await {
            Either::Left((done, _)) => done,
            // The watches have ended, which they never do.
            Either::Right((_, work)) => work.await,
        }
    }

    /// What was seen.
    pub(super) fn end(self) -> AffectedNode {
        AffectedNode {
            name: self.node,
            evicted: None,
            not_ready: self.ready.borrow().absence,
            no_endpoints: self.endpoints.borrow().absence,
        }
    }

    fn note(&self, what: Watched, is_there: bool) {
        let presence = match what {
            Watched::Ready => &self.ready,
            Watched::Endpoints => &self.endpoints,
        };
        presence.borrow_mut().update(is_there, self.began.elapsed());
    }

    async fn follow_ready(&self) {
        let nodes: Api<Node> = Api::all(self.context.access.client.clone());
        let named = watcher::Config::default().fields(&format!("metadata.name={}", self.node));
        let mut events = std::pin::pin!(watcher(nodes, named).backoff(ConstantBackoff(AGAIN)));
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::InitApply(node) | watcher::Event::Apply(node)) => {
                    self.note(Watched::Ready, nodes::is_ready(&node));
                }
                Ok(watcher::Event::Delete(_)) => self.note(Watched::Ready, false),
                _ => {}
            }
        }
    }

    async fn follow_endpoints(&self) {
        let subject = self.context.subject;
        let slices: Api<EndpointSlice> = Api::namespaced(self.context.access.client.clone(), &subject.namespace);
        let of_service = watcher::Config::default().labels(&format!("kubernetes.io/service-name={}", subject.service));
        let mut events = std::pin::pin!(watcher(slices, of_service).backoff(ConstantBackoff(AGAIN)));
        // Whether each slice has an endpoint there.
        let (mut known, mut complete) = (BTreeMap::new(), false);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => (known, complete) = (BTreeMap::new(), false),
                Ok(watcher::Event::InitApply(slice) | watcher::Event::Apply(slice)) => {
                    known.insert(slice.name_any(), self.has_endpoint(&slice));
                }
                Ok(watcher::Event::Delete(slice)) => drop(known.remove(&slice.name_any())),
                Ok(watcher::Event::InitDone) => complete = true,
                Err(_) => continue,
            }
            if complete {
                self.note(Watched::Endpoints, known.values().any(|has_endpoint| *has_endpoint));
            }
        }
    }

    fn has_endpoint(&self, slice: &EndpointSlice) -> bool {
        let endpoints = slice.endpoints.iter().flatten();
        endpoints
            .filter(|endpoint| is_ready(endpoint))
            .any(|endpoint| endpoint.node_name.as_deref() == Some(&self.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absence(seen: &[(u64, bool)]) -> (Option<u64>, Option<u64>) {
        let mut presence = Presence::default();
        for (at, is_there) in seen {
            presence.update(*is_there, Duration::from_secs(*at));
        }
        let Absence { began, ended } = presence.absence;
        (began.map(|time| time.as_secs()), ended.map(|time| time.as_secs()))
    }

    #[test]
    fn an_absence_is_from_the_first_time_to_the_last() {
        assert_eq!(absence(&[]), (None, None));
        assert_eq!(absence(&[(0, true), (3, true)]), (None, None));
        assert_eq!(absence(&[(0, true), (3, false), (4, false)]), (Some(3), None));
        assert_eq!(absence(&[(0, true), (3, false), (7, true), (8, true)]), (Some(3), Some(7)));
        assert_eq!(absence(&[(0, true), (3, false), (7, true), (8, false)]), (Some(3), None));
        assert_eq!(absence(&[(0, true), (3, false), (7, true), (8, false), (9, true)]), (Some(3), Some(9)));
    }

    #[test]
    fn what_was_missing_before_did_not_begin_with_the_event() {
        assert_eq!(absence(&[(0, false), (3, true)]), (None, None));
        assert_eq!(absence(&[(0, false), (3, true), (5, false)]), (Some(5), None));
    }
}
