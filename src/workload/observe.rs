//! The workload's objects, kept up to date by watches.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, stream};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{self, Lookup, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::SELECTOR;
use crate::config::{NAMESPACE, WORKLOAD};

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

/// The objects that the workload's state depends on, at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) deployment: Option<Arc<Deployment>>,
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

/// The watches.
pub(super) struct Observed {
    deployments: Store<Deployment>,
    replica_sets: Store<ReplicaSet>,
    pods: Store<Pod>,
    slices: Store<EndpointSlice>,
    services: Store<Service>,
    changes: stream::SelectAll<Pin<Box<dyn Stream<Item = WatchChange> + Send>>>,
    incomplete: usize,
    broken: Option<String>,
}

impl Observed {
    /// Starts the watches.
    pub(super) fn new(client: &Client) -> Self {
        let mut changes = stream::SelectAll::new();
        let named = watcher::Config::default().fields(&format!("metadata.name={WORKLOAD}"));
        let labelled = watcher::Config::default().labels(SELECTOR);
        let of_service = watcher::Config::default().labels(&format!("kubernetes.io/service-name={WORKLOAD}"));
        Self {
            deployments: watch(client, named.clone(), &mut changes),
            replica_sets: watch(client, labelled.clone(), &mut changes),
            pods: watch(client, labelled, &mut changes),
            slices: watch(client, of_service, &mut changes),
            services: watch(client, named, &mut changes),
            incomplete: changes.len(),
            changes,
            broken: None,
        }
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
            deployment: self.deployments.state().pop(),
            replica_sets: self.replica_sets.state(),
            pods: self.pods.state(),
            slices: self.slices.state(),
            service: self.services.state().pop(),
        })
    }
}

fn watch<K>(
    client: &Client,
    config: watcher::Config,
    changes: &mut stream::SelectAll<Pin<Box<dyn Stream<Item = WatchChange> + Send>>>,
) -> Store<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Lookup<DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::namespaced(client.clone(), NAMESPACE), config);
    let mut first = true;
    let news =
        events.backoff(ConstantBackoff(Duration::from_millis(200))).reflect(writer).map(move |event| match event {
            Ok(watcher::Event::InitDone) if std::mem::take(&mut first) => WatchChange::Complete,
            Ok(_) => WatchChange::Some,
            Err(source) => WatchChange::Broken(source.to_string()),
        });
    changes.push(Box::pin(news));
    store
}
