//! The controller of a lab's router: keeps the routes to external IPs, as a BGP speaker on each node would.

mod decide;
mod routed;

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use self::decide::{Seen, decide};
use super::observe::ConstantBackoff;
use crate::cluster::{RouterKernel, RouterSettings};
use crate::progress::Progress;
use crate::shutdown::Shutdown;
use crate::workload::WorkloadError;

pub use decide::EXCLUDE_LABEL;
pub(super) use decide::takes_connections;
pub(super) use routed::{unrouted, unrouted_subject};

/// How long to wait before a broken watch is opened again.
const AGAIN: Duration = Duration::from_millis(250);
/// How often the links of the nodes are looked at.
const LINKS: Duration = Duration::from_millis(100);

/// Keeps the routes, until `shutdown`. While the API server cannot be reached, the routes stay as they are, except that no
/// route leads through a link that is down.
///
/// # Errors
/// [`WorkloadError::Cluster`] when the kernel cannot be prepared. A route that cannot be written is tried again, and its error
/// is a note.
pub async fn run(
    client: Client,
    settings: RouterSettings,
    progress: &Progress,
    shutdown: Shutdown,
) -> Result<(), WorkloadError> {
    let subnet = settings.subnet;
    let mut kernel = RouterKernel::new(settings)?;
    let (services, slices, nodes) =
        (watch::<Service>(&client), watch::<EndpointSlice>(&client), watch::<Node>(&client));
    let (service_store, slice_store, node_store) = (services.0, slices.0, nodes.0);
    let mut changes = futures::stream::select_all([services.1, slices.1, nodes.1]);
    let mut incomplete = 3_u8;
    let mut links = tokio::time::interval(LINKS);
    let mut unwritten = None;
    loop {
        let is_due = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            change = changes.next() => match change {
                Some(Change::Complete) => { incomplete = incomplete.saturating_sub(1); true }
                Some(Change::Some) => true,
                None => return Ok(()),
            },
            _ = links.tick() => unwritten.is_some() || kernel.links_changed(),
        };
        if !is_due || incomplete > 0 {
            continue;
        }
        let (services, slices, nodes) = (service_store.state(), slice_store.state(), node_store.state());
        let wanted = decide(&Seen { services: &services, slices: &slices, nodes: &nodes }, subnet);
        let error = kernel.write(&wanted).err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|_| error != unwritten) {
            progress.note(format!("the routes could not be written: {error}"));
        }
        unwritten = error;
    }
}

/// A change that one watch reported.
enum Change {
    /// Its first list is complete.
    Complete,
    /// An object has changed.
    Some,
}

type Changes = std::pin::Pin<Box<dyn futures::Stream<Item = Change> + Send>>;

/// Watches all objects of a kind. Until a new list is complete, the store holds the previous one.
fn watch<K>(client: &Client) -> (Store<K>, Changes)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default());
    let events = events.backoff(ConstantBackoff(AGAIN)).reflect(writer);
    let mut complete = false;
    let changes = events.filter_map(move |event| {
        let change = match event {
            Ok(watcher::Event::InitDone) if !complete => {
                complete = true;
                Some(Change::Complete)
            }
            Ok(watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_)) => Some(Change::Some),
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) | Err(_) => None,
        };
        std::future::ready(change)
    });
    (store, Box::pin(changes))
}
