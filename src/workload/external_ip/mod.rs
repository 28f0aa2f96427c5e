//! External IPs for Services of type LoadBalancer: a small load balancer controller, as clouds have one.
//!
//! The Services are the only record: an address in a Service's status is taken, and it is free again when the Service is
//! deleted. So nothing is lost when this controller or the API server restarts.

pub mod pool;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};

use self::pool::{AddressDecision, Claim};
use super::FIELD_MANAGER;
use super::observe::ConstantBackoff;
use crate::config::Subnet;
use crate::shutdown::Shutdown;
use crate::workload::WorkloadError;

/// The `loadBalancerClass` of this controller. It also serves Services without a class.
pub const CLASS: &str = "evenkeel.local/external-ip";
/// The annotation that requests a certain address, as the deprecated field `spec.loadBalancerIP` does.
pub const WANTED_IP: &str = "evenkeel.local/external-ip";

/// Assigns an address of the pool to every Service of type LoadBalancer, until `shutdown`.
///
/// A broken watch is always opened again, because the API server may restart.
///
/// # Errors
/// None.
pub async fn run(client: Client, subnet: Subnet, shutdown: Shutdown) -> Result<(), WorkloadError> {
    let (services, writer) = reflector::store();
    let events = watcher(Api::<Service>::all(client.clone()), watcher::Config::default());
    let mut events = std::pin::pin!(events.backoff(ConstantBackoff(Duration::from_millis(250))).reflect(writer));
    let mut allocator = Allocator::new(client, services, subnet);
    let mut again = tokio::time::interval(Duration::from_secs(1));
    let mut complete = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            event = events.next() => match event {
                Some(Ok(watcher::Event::InitDone)) => complete = true,
                // Until a new list is complete, the store holds the previous one.
                Some(Ok(watcher::Event::Init | watcher::Event::InitApply(_)) | Err(_)) => continue,
                Some(Ok(_)) => {}
                None => return Ok(()),
            },
            // Writes that failed are tried again.
            _ = again.tick(), if complete && allocator.unwritten => {}
        }
        if complete {
            allocator.settle().await;
        }
    }
}

/// The Services as last seen, and the decisions made since.
struct Allocator {
    client: Client,
    services: Store<Service>,
    subnet: Subnet,
    recorder: Recorder,
    /// Addresses that were written, but that the watch may not have shown yet.
    given: BTreeMap<String, Ipv4Addr>,
    /// Services that have a warning event because they get no address.
    told: BTreeSet<String>,
    /// Whether a write of the last attempt failed.
    unwritten: bool,
}

impl Allocator {
    fn new(client: Client, services: Store<Service>, subnet: Subnet) -> Self {
        let reporter = Reporter { controller: "evenkeel-external-ip".into(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, services, subnet, recorder, given: BTreeMap::new(), told: BTreeSet::new(), unwritten: false }
    }

    /// Decides on all Services, and writes what differs from their status.
    async fn settle(&mut self) {
        let services: BTreeMap<String, Arc<Service>> =
            self.services.state().into_iter().filter_map(|service| Some((service.uid()?, service))).collect();
        self.given.retain(|uid, ip| {
            services.get(uid).is_some_and(|service| is_ours(service) && current(service) != Some(*ip))
        });
        self.told.retain(|uid| services.contains_key(uid));
        let claims = services.iter().map(|(uid, service)| self.claim(uid, service)).collect();
        self.unwritten = false;
        for (uid, decision) in pool::decide(claims, self.subnet) {
            let Some(service) = services.get(&uid) else { continue };
            let written = match decision {
                AddressDecision::Give(ip) => self.give(&uid, service, ip).await,
                AddressDecision::TakeBack => write_status(&self.client, service, &json!([])).await.is_ok(),
                AddressDecision::Exhausted => {
                    let note = exhausted(&self.subnet.external_range());
                    self.tell(&uid, service, "ExternalIPPoolExhausted", note).await
                }
                AddressDecision::Unavailable(ip) => {
                    let note =
                        format!("{ip} is not free, or is not in the lab's pool {}", self.subnet.external_range());
                    self.tell(&uid, service, "ExternalIPUnavailable", note).await
                }
            };
            self.unwritten |= !written;
        }
    }

    fn claim(&self, uid: &str, service: &Service) -> Claim {
        Claim {
            uid: uid.to_owned(),
            created: service.creation_timestamp().map(|time| time.0),
            ours: is_ours(service),
            foreign: is_foreign(service),
            current: self.given.get(uid).copied().or_else(|| current(service)),
            wanted: wanted(service),
        }
    }

    async fn give(&mut self, uid: &str, service: &Service, ip: Ipv4Addr) -> bool {
        let written = write_status(&self.client, service, &json!([{"ip": ip, "ipMode": "VIP"}])).await;
        match written {
            Ok(()) => {
                self.given.insert(uid.to_owned(), ip);
                self.told.remove(uid);
                true
            }
            // The Service was changed or deleted in the meantime. The watch will report it.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => true,
            Err(_) => false,
        }
    }

    /// Writes a warning event for the Service, once for as long as it has no address.
    async fn tell(&mut self, uid: &str, service: &Service, reason: &str, note: String) -> bool {
        if self.told.contains(uid) {
            return true;
        }
        let event = Event {
            type_: EventType::Warning,
            reason: reason.into(),
            note: Some(note),
            action: "AllocateExternalIP".into(),
            secondary: None,
        };
        let published = self.recorder.publish(&event, &service.object_ref(&())).await.is_ok();
        if published {
            self.told.insert(uid.to_owned());
        }
        published
    }
}

/// Sets the ingress in the Service's status, unless the Service has changed since it was seen.
async fn write_status(client: &Client, service: &Service, ingress: &Value) -> Result<(), kube::Error> {
    let api: Api<Service> = Api::namespaced(client.clone(), &service.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": {"uid": service.uid(), "resourceVersion": service.resource_version()},
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    api.patch_status(&service.name_any(), &params, &Patch::Merge(patch)).await.map(drop)
}

fn exhausted(pool: &str) -> String {
    format!("all external IPs of the lab's pool {pool} are taken; delete a Service of type LoadBalancer")
}

/// Whether this controller assigns an address to the Service.
fn is_ours(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    let balanced = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    balanced && !is_foreign(service) && service.metadata.deletion_timestamp.is_none()
}

/// Whether another controller is responsible for the Service, by its class.
fn is_foreign(service: &Service) -> bool {
    let class = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.as_deref());
    class.is_some_and(|class| class != CLASS)
}

/// The address in the status, if it is an IPv4 address.
fn current(service: &Service) -> Option<Ipv4Addr> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    balancer.ingress.as_ref()?.first()?.ip.as_ref()?.parse().ok()
}

/// The address that is requested, by annotation or by the deprecated field.
fn wanted(service: &Service) -> Option<Ipv4Addr> {
    let by_field = || service.spec.as_ref()?.load_balancer_ip.as_ref();
    service.annotations().get(WANTED_IP).or_else(by_field)?.parse().ok()
}
