//! The workload's objects, kept up to date by watches.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{self, Lookup, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::controller::{Controller, ControllerKind};
use super::controller_state::ControllerState;
use super::subject::Subject;

/// Waits for the same time before each attempt to open a broken watch. The API server is near, and needs no growing
/// backoff.
#[derive(Clone, Debug)]
pub(super) struct ConstantBackoff(pub(super) Duration);

impl Iterator for ConstantBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

impl Backoff for ConstantBackoff {
    fn reset(&mut self) {}
}

/// The objects that the state of a controller and of its Service depends on, at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) controller: Option<ControllerState>,
    pub(super) replica_sets: Vec<Arc<ReplicaSet>>,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) slices: Vec<Arc<EndpointSlice>>,
    pub(super) service: Option<Arc<Service>>,
}

/// A change that one watch reported.
enum WatchChange {
    /// Its first list is complete.
    Complete,
    /// An object has changed.
    Some,
    /// The watch broke, and will be opened again.
    Broken(String),
}

type Changes = stream::SelectAll<Pin<Box<dyn Stream<Item = WatchChange> + Send>>>;

/// The watch of a controller, by its kind.
enum ControllerStore {
    Deployment(Store<Deployment>),
    StatefulSet(Store<StatefulSet>),
    DaemonSet(Store<DaemonSet>),
    ReplicaSet(Store<ReplicaSet>),
}

impl ControllerStore {
    fn new(watches: &mut Watches<'_>, controller: &Controller) -> Self {
        let named = watcher::Config::default().fields(&format!("metadata.name={}", controller.name));
        match controller.kind {
            ControllerKind::Deployment => Self::Deployment(watches.open(named)),
            ControllerKind::StatefulSet => Self::StatefulSet(watches.open(named)),
            ControllerKind::DaemonSet => Self::DaemonSet(watches.open(named)),
            ControllerKind::ReplicaSet => Self::ReplicaSet(watches.open(named)),
        }
    }

    fn state(&self) -> Option<ControllerState> {
        match self {
            Self::Deployment(store) => store.state().pop().map(|found| ControllerState::of_deployment(&found)),
            Self::StatefulSet(store) => store.state().pop().map(|found| ControllerState::of_stateful_set(&found)),
            Self::DaemonSet(store) => store.state().pop().map(|found| ControllerState::of_daemon_set(&found)),
            Self::ReplicaSet(store) => store.state().pop().map(|found| ControllerState::of_replica_set(&found)),
        }
    }
}

/// The watches.
pub(super) struct Observed {
    controller: Option<ControllerStore>,
    replica_sets: Option<Store<ReplicaSet>>,
    pods: Store<Pod>,
    slices: Option<Store<EndpointSlice>>,
    services: Option<Store<Service>>,
    changes: Changes,
    incomplete: usize,
    broken: Option<String>,
}

impl Observed {
    /// Starts the watches of a controller and its pods.
    pub(super) fn controller(client: &Client, controller: &Controller) -> Self {
        let mut watches = Watches::new(client, &controller.namespace);
        let labelled = watcher::Config::default().labels(&controller.selector);
        let store = ControllerStore::new(&mut watches, controller);
        let replica_sets = (controller.kind == ControllerKind::Deployment).then(|| watches.open(labelled.clone()));
        let pods = watches.open(labelled);
        Self::of(watches, Some(store), replica_sets, pods)
    }

    /// Starts the watches of a Service, of its pods and endpoints, and of the controller behind it.
    pub(super) fn subject(client: &Client, subject: &Subject) -> Self {
        let mut observed = if let Some(controller) = &subject.controller {
            Self::controller(client, controller)
        } else {
            let mut watches = Watches::new(client, &subject.namespace);
            let pods = watches.open(watcher::Config::default().labels(&subject.selector));
            Self::of(watches, None, None, pods)
        };
        let mut watches = Watches::new(client, &subject.namespace);
        let of_service = format!("kubernetes.io/service-name={}", subject.service);
        observed.slices = Some(watches.open(watcher::Config::default().labels(&of_service)));
        let named = format!("metadata.name={}", subject.service);
        observed.services = Some(watches.open(watcher::Config::default().fields(&named)));
        observed.incomplete += watches.changes.len();
        observed.changes.extend(watches.changes);
        observed
    }

    fn of(
        watches: Watches<'_>,
        controller: Option<ControllerStore>,
        replica_sets: Option<Store<ReplicaSet>>,
        pods: Store<Pod>,
    ) -> Self {
        let Watches { changes, .. } = watches;
        let incomplete = changes.len();
        Self { controller, replica_sets, pods, slices: None, services: None, incomplete, changes, broken: None }
    }

    /// Waits for the next change, and handles all changes that have arrived.
    pub(super) async fn changed(&mut self) {
        let mut next = self.changes.next().await;
        while let Some(change) = next {
            match change {
                WatchChange::Complete => self.incomplete = self.incomplete.saturating_sub(1),
                WatchChange::Some => self.broken = None,
                WatchChange::Broken(why) => self.broken = Some(why),
            }
            next = self.changes.next().now_or_never().flatten();
        }
    }

    /// Why a watch is broken; `None` when it works.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// The objects as they are known now; `None` until the first list of every watch is complete.
    pub(super) fn view(&self) -> Option<View> {
        (self.incomplete == 0).then(|| View {
            controller: self.controller.as_ref().and_then(ControllerStore::state),
            replica_sets: self.replica_sets.as_ref().map(Store::state).unwrap_or_default(),
            pods: self.pods.state(),
            slices: self.slices.as_ref().map(Store::state).unwrap_or_default(),
            service: self.services.as_ref().and_then(|services| services.state().pop()),
        })
    }
}

/// Opens watches in one namespace.
struct Watches<'a> {
    client: &'a Client,
    namespace: &'a str,
    changes: Changes,
}

impl<'a> Watches<'a> {
    fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self { client, namespace, changes: stream::SelectAll::new() }
    }

    fn open<K>(&mut self, config: watcher::Config) -> Store<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Lookup<DynamicType = ()>,
        K: Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        let events = watcher(Api::<K>::namespaced(self.client.clone(), self.namespace), config);
        let mut first = true;
        let news =
            events.backoff(ConstantBackoff(Duration::from_millis(200))).reflect(writer).map(move |event| match event {
                Ok(watcher::Event::InitDone) if std::mem::take(&mut first) => WatchChange::Complete,
                Ok(_) => WatchChange::Some,
                Err(source) => WatchChange::Broken(source.to_string()),
            });
        self.changes.push(Box::pin(news));
        store
    }
}
