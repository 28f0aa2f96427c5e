//! Volumes for claims of the lab's StorageClass: a directory of the node for each.
//!
//! Each node runs this controller for the claims of its own pods: the scheduler names the node in the claim. The objects are
//! the only record, so nothing is lost when this controller or the API server restarts.

pub mod decide;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use self::decide::ClaimDecision;
use super::FIELD_MANAGER;
use super::observe::ConstantBackoff;
use crate::io_error::IoError;
use crate::shutdown::Shutdown;
use crate::workload::WorkloadError;

/// The time before a broken watch is opened again.
const BACKOFF: ConstantBackoff = ConstantBackoff(Duration::from_millis(250));
/// Every user may write, because the user of a pod is not known here. The directory above is closed to others.
const MODE: u32 = 0o777;

/// Makes and removes the volumes of the node of this name in `directory`, until `shutdown`.
///
/// # Errors
/// [`WorkloadError::Io`] when `directory` cannot be created.
pub async fn run(client: Client, node: &str, directory: &Path, shutdown: Shutdown) -> Result<(), WorkloadError> {
    fs::create_dir_all(directory)
        .and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o700)))
        .map_err(|source| IoError::file("create", directory, source))?;
    let (claims, claim_writer) = reflector::store();
    let (volumes, volume_writer) = reflector::store();
    let claim_api = Api::<PersistentVolumeClaim>::all(client.clone());
    let volume_api = Api::<PersistentVolume>::all(client.clone());
    let watch = watcher::Config::default;
    let mut claim_events = std::pin::pin!(watcher(claim_api, watch()).backoff(BACKOFF).reflect(claim_writer));
    let mut volume_events = std::pin::pin!(watcher(volume_api, watch()).backoff(BACKOFF).reflect(volume_writer));
    let mut provisioner = Provisioner::new(client, node, directory, claims, volumes);
    let mut again = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            Some(event) = claim_events.next() => if !is_stored(&event) { continue },
            Some(event) = volume_events.next() => if !is_stored(&event) { continue },
            // What failed is tried again.
            _ = again.tick(), if provisioner.incomplete => {}
        }
        provisioner.settle().await;
    }
}

/// Whether an event has changed the store. A new list changes it only when it is complete.
fn is_stored<K>(event: &watcher::Result<watcher::Event<K>>) -> bool {
    matches!(event, Ok(watcher::Event::Apply(_) | watcher::Event::Delete(_) | watcher::Event::InitDone))
}

/// The claims and volumes as last seen.
struct Provisioner {
    client: Client,
    node: String,
    directory: PathBuf,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    recorder: Recorder,
    /// What was last said about a claim, by its UID.
    told: BTreeMap<String, String>,
    /// Whether something of the last attempt failed.
    incomplete: bool,
}

impl Provisioner {
    fn new(
        client: Client,
        node: &str,
        directory: &Path,
        claims: Store<PersistentVolumeClaim>,
        volumes: Store<PersistentVolume>,
    ) -> Self {
        let reporter = Reporter { controller: "evenkeel-volume-provisioner".into(), instance: Some(node.into()) };
        let recorder = Recorder::new(client.clone(), reporter);
        let (node, directory, told) = (node.to_owned(), directory.to_owned(), BTreeMap::new());
        Self { client, node, directory, claims, volumes, recorder, told, incomplete: false }
    }

    /// Decides on all claims and volumes, and does what is needed.
    async fn settle(&mut self) {
        let (claims, volumes) = (self.claims.state(), self.volumes.state());
        self.told.retain(|uid, _| claims.iter().any(|claim| claim.uid().as_ref() == Some(uid)));
        self.incomplete = false;
        for claim in claims {
            let outcome = match decide::decide(&claim, &self.node) {
                ClaimDecision::Ignore => continue,
                ClaimDecision::Refuse(why) => Err(why),
                ClaimDecision::Provision => {
                    let provisioned = self.provision(&claim).await;
                    self.incomplete |= provisioned.is_err();
                    provisioned
                }
            };
            self.tell(&claim, outcome).await;
        }
        for volume in volumes.iter().filter(|volume| decide::is_released(volume, &self.node)) {
            self.incomplete |= self.remove(&volume.name_any()).await.is_err();
        }
    }

    async fn provision(&self, claim: &PersistentVolumeClaim) -> Result<String, String> {
        let name = decide::volume_name(claim);
        let path = self.directory.join(&name);
        // The mode is set after the directory is made, because the umask applies to the latter.
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(MODE)))
            .map_err(|source| IoError::file("create", &path, source).to_string())?;
        let volume = decide::volume(claim, &self.node, &path.display().to_string());
        let volume: PersistentVolume = serde_json::from_value(volume).map_err(|source| source.to_string())?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match Api::<PersistentVolume>::all(self.client.clone()).create(&params, &volume).await {
            Ok(_) => {}
            // The watch has not shown yet that the claim is bound to it.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(source) => return Err(source.to_string()),
        }
        Ok(format!("made the volume {name}"))
    }

    async fn remove(&self, name: &str) -> Result<(), kube::Error> {
        let path = self.directory.join(name);
        if let Err(source) = fs::remove_dir_all(&path).or_else(ignore_missing) {
            return Err(kube::Error::Service(Box::new(source)));
        }
        match Api::<PersistentVolume>::all(self.client.clone()).delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            deleted => deleted.map(drop),
        }
    }

    /// Writes an event for the claim, unless the same was said last.
    async fn tell(&mut self, claim: &PersistentVolumeClaim, outcome: Result<String, String>) {
        let uid = claim.uid().unwrap_or_default();
        let (type_, reason, note) = match outcome {
            Ok(note) => (EventType::Normal, "ProvisioningSucceeded", note),
            Err(note) => (EventType::Warning, "ProvisioningFailed", note),
        };
        if self.told.get(&uid) == Some(&note) {
            return;
        }
        let event = Event {
            type_,
            reason: reason.into(),
            note: Some(note.clone()),
            action: "ProvisionVolume".into(),
            secondary: None,
        };
        match self.recorder.publish(&event, &claim.object_ref(&())).await {
            Ok(()) => drop(self.told.insert(uid, note)),
            Err(_) => self.incomplete = true,
        }
    }
}

fn ignore_missing(source: std::io::Error) -> std::io::Result<()> {
    if source.kind() == ErrorKind::NotFound { Ok(()) } else { Err(source) }
}
