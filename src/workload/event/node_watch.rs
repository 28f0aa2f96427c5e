//! Watches a node during an event: when Kubernetes and the load balancer notice what was done to it, and when it is back.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{self, Either};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::time::{Instant, sleep};

use super::EventContext;
use crate::cluster::{Router, routed_nodes};
use crate::toolbox::Toolbox;
use crate::workload::backends::{is_ready, slices};
use crate::workload::endpoint::endpoint;
use crate::workload::observe::ConstantBackoff;
use crate::workload::pods::pods;
use crate::workload::{WorkloadError, nodes};

/// How long to wait before a broken watch is opened again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often the router's routes are read, which takes two programs.
const ROUTES: Duration = Duration::from_millis(200);
/// How often it is looked whether a wait is over.
const REREAD: Duration = Duration::from_millis(20);
/// How long a dead node may seem alive, and how long a node may take to be Ready again.
const PATIENCE: Duration = Duration::from_secs(120);

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
    /// When the router sent no new connection for the Service there.
    pub no_route: Absence,
    /// The Service's pods that were there when the event began.
    pub pods: Vec<String>,
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
    Route,
}

/// What is known of one of them.
#[derive(Clone, Copy, Debug, Default)]
struct Presence {
    /// Whether it is there now; `None` until that is known.
    now: Option<bool>,
    absence: Absence,
}

impl Presence {
    /// The same after it was seen whether it is there, so long after the begin of the event.
    fn updated(self, is_there: bool, after: Duration) -> Self {
        let Absence { began, ended } = self.absence;
        let absence = match (self.now, is_there) {
            (Some(true), false) => Absence { began: began.or(Some(after)), ended: None },
            (Some(false), true) if began.is_some() => Absence { began, ended: Some(after) },
            _ => Absence { began, ended },
        };
        Self { now: Some(is_there), absence }
    }
}

/// A node that is watched.
pub(super) struct NodeWatch<'a> {
    context: &'a EventContext<'a>,
    node: String,
    began: Instant,
    ready: Cell<Presence>,
    endpoints: Cell<Presence>,
    route: Cell<Presence>,
    pods: Vec<String>,
    routed: Option<Routed<'a>>,
}

/// What is needed to see whether the router sends new connections for the Service to the node.
struct Routed<'a> {
    router: Router,
    toolbox: &'a Toolbox,
    ip: Ipv4Addr,
    index: u8,
}

impl<'a> Routed<'a> {
    /// `None` in a lab without a router, and for a Service without an external IP.
    async fn find(context: &'a EventContext<'_>, node: &str) -> Option<Self> {
        let (cluster, toolbox) = context.access.lab_now()?;
        let index = cluster.nodes.iter().find(|running| running.node.name == node)?.node.index;
        let endpoint = endpoint(&context.access.client, context.subject).await.ok()?;
        let IpAddr::V4(ip) = endpoint.target.address.ip() else { return None };
        Some(Self { router: cluster.router?, toolbox, ip, index })
    }

    async fn is_routed(&self) -> Option<bool> {
        let nodes = routed_nodes(&self.router, self.toolbox, self.ip).await.ok()?;
        Some(nodes.contains(&self.index))
    }
}

impl<'a> NodeWatch<'a> {
    /// Looks at the node before the event begins.
    pub(super) async fn begin(context: &'a EventContext<'a>, node: String) -> Self {
        let routed = Routed::find(context, &node).await;
        let client = &context.access.client;
        // What cannot be read now is read by the watches.
        let is_there = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&node);
        let pods = pods(client, context.subject).await.unwrap_or_default();
        let pods = pods.iter().filter(|pod| is_there(pod)).map(ResourceExt::name_any).collect();
        let watch = Self {
            context,
            node,
            began: Instant::now(),
            ready: Cell::default(),
            endpoints: Cell::default(),
            route: Cell::default(),
            pods,
            routed,
        };
        let nodes: Api<Node> = Api::all(client.clone());
        if let Ok(node) = nodes.get(&watch.node).await {
            watch.note(Watched::Ready, nodes::is_ready(&node));
        }
        if let Ok(slices) = slices(client, context.subject).await {
            watch.note(Watched::Endpoints, slices.iter().any(|slice| watch.has_endpoint(slice)));
        }
        watch.read_route().await;
        Self { began: Instant::now(), ..watch }
    }

    /// Watches while the event's work is done.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let follow = future::join3(self.follow_ready(), self.follow_endpoints(), self.follow_route());
        match future::select(std::pin::pin!(work), std::pin::pin!(follow)).await {
            Either::Left((done, _)) => done,
            // The watches have ended, which they never do.
            Either::Right((_, work)) => work.await,
        }
    }

    /// Waits until Kubernetes and the router have noticed that the node is dead: it is not Ready, has no endpoint, and gets no new
    /// connection. Only while it watches.
    pub(super) async fn until_noticed(&self) -> Result<(), WorkloadError> {
        let is_there = |presence: &Cell<Presence>| presence.get().now == Some(true);
        let left = || match () {
            () if is_there(&self.ready) => Some("it still counts as Ready"),
            () if is_there(&self.endpoints) => Some("the Service still has endpoints there"),
            () if is_there(&self.route) => Some("the router still sends connections there"),
            () => None,
        };
        self.until("the detection of its end", left).await
    }

    /// Waits until the node is Ready. Only while it watches.
    pub(super) async fn until_ready(&self) -> Result<(), WorkloadError> {
        let left = || (self.ready.get().now == Some(false)).then_some("it is not Ready");
        self.until("its return", left).await
    }

    /// Reads the routes at once, since they are read only now and then.
    pub(super) async fn read_route(&self) {
        if let Some(is_routed) = self.is_routed().await {
            self.note(Watched::Route, is_routed);
        }
    }

    async fn until(&self, what: &str, left: impl Fn() -> Option<&'static str>) -> Result<(), WorkloadError> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(why) = left() {
            if Instant::now() > deadline {
                let what = format!("{}: {what}", self.node);
                return Err(WorkloadError::Deadline { what, seconds: PATIENCE.as_secs(), why: why.into() });
            }
            sleep(REREAD).await;
        }
        Ok(())
    }

    /// What was seen.
    pub(super) fn end(self) -> AffectedNode {
        AffectedNode {
            name: self.node,
            evicted: None,
            not_ready: self.ready.get().absence,
            no_endpoints: self.endpoints.get().absence,
            no_route: self.route.get().absence,
            pods: self.pods,
        }
    }

    fn note(&self, what: Watched, is_there: bool) {
        let presence = match what {
            Watched::Ready => &self.ready,
            Watched::Endpoints => &self.endpoints,
            Watched::Route => &self.route,
        };
        presence.set(presence.get().updated(is_there, self.began.elapsed()));
    }

    async fn is_routed(&self) -> Option<bool> {
        self.routed.as_ref()?.is_routed().await
    }

    async fn follow_route(&self) {
        if self.routed.is_none() {
            future::pending::<()>().await;
        }
        loop {
            sleep(ROUTES).await;
            self.read_route().await;
        }
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
            presence = presence.updated(*is_there, Duration::from_secs(*at));
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
