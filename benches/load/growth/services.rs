//! Services with one endpoint each, which is one of two pods.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use evenkeel::config::NAMESPACE;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::Result;
use crate::lab::Lab;

/// The port on which Evenkeel's server listens.
const PORT: u16 = 3000;
/// How many objects are created at the same time.
const PARALLEL: usize = 16;
/// How long one try to reach a server may take. The kernel sends few refusals a second, so a try may get no answer.
const TRY: Duration = Duration::from_millis(20);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(2);
/// How long kube-proxy may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A pod that answers requests.
#[derive(Clone, Debug)]
pub(super) struct Server {
    address: String,
    pod: String,
}

pub(super) struct Services {
    all: Api<Service>,
    slices: Api<EndpointSlice>,
    pods: Api<Pod>,
    count: AtomicUsize,
}

impl Services {
    pub(super) async fn new(lab: &Lab) -> Result<Self> {
        let client = lab.client().await?;
        Ok(Self {
            all: Api::default_namespaced(client.clone()),
            slices: Api::default_namespaced(client.clone()),
            pods: Api::namespaced(client, NAMESPACE),
            count: AtomicUsize::new(0),
        })
    }

    /// The pods of a workload.
    pub(super) async fn servers(&self, workload: &str) -> Result<Vec<Server>> {
        let labelled = ListParams::default().labels(&format!("app.kubernetes.io/name={workload}"));
        let pods = self.pods.list(&labelled).await?;
        Ok(pods
            .items
            .into_iter()
            .filter_map(|pod| Some(Server { address: pod.status?.pod_ip?, pod: pod.metadata.name? }))
            .collect())
    }

    /// Creates Services until there are `count`, each with this server as its endpoint. Returns how many it created.
    pub(super) async fn add(&self, count: usize, server: &Server) -> Result<usize> {
        let from = self.count.swap(count, Ordering::Relaxed);
        let created = stream::iter(from..count).map(Ok::<usize, Box<dyn std::error::Error>>);
        let create = async |number: usize| {
            let service: Service = serde_json::from_value(service(&name(number), PORT))?;
            self.all.create(&PostParams::default(), &service).await?;
            let slice = serde_json::from_value(slice(&name(number), &name(number), &[server.address.as_str()], PORT))?;
            self.slices.create(&PostParams::default(), &slice).await?;
            Ok(())
        };
        created.try_for_each_concurrent(PARALLEL, create).await?;
        Ok(count - from)
    }

    /// Makes another server the endpoint of a Service.
    pub(super) async fn point(&self, number: usize, server: &Server) -> Result<()> {
        let endpoints = json!({ "endpoints": [endpoint(&server.address)] });
        self.slices.patch(&name(number), &PatchParams::default(), &Patch::Merge(&endpoints)).await?;
        Ok(())
    }

    /// The address of a Service.
    pub(super) async fn address(&self, number: usize) -> Result<SocketAddr> {
        address_of(&self.all.get(&name(number)).await?)
    }

    /// The addresses of `rounds` of the first `count` Services, evenly spread over them.
    pub(super) async fn sampled(&self, count: usize, rounds: usize) -> Result<Vec<SocketAddr>> {
        let numbers = (0..rounds).map(|round| (2 * round + 1) * count / (2 * rounds));
        stream::iter(numbers).then(|number| self.address(number)).try_collect().await
    }
}

fn name(number: usize) -> String {
    format!("service-{number}")
}

/// A Service without a selector.
pub(super) fn service(name: &str, to: u16) -> Value {
    let ports = json!([{ "port": 80, "targetPort": to, "protocol": "TCP" }]);
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": { "ports": ports } })
}

/// An EndpointSlice of a Service.
pub(super) fn slice(name: &str, service: &str, addresses: &[&str], port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": service } },
        "addressType": "IPv4",
        "endpoints": addresses.iter().map(|address| endpoint(address)).collect::<Vec<_>>(),
        "ports": [{ "name": "", "port": port, "protocol": "TCP" }],
    })
}

fn endpoint(address: &str) -> Value {
    json!({ "addresses": [address], "conditions": { "ready": true } })
}

/// The cluster IP of a Service, with its port.
pub(super) fn address_of(service: &Service) -> Result<SocketAddr> {
    let ip = service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()).ok_or("a Service has no cluster IP")?;
    Ok(SocketAddr::new(ip.parse::<IpAddr>()?, 80))
}

/// Waits until new connections to this address are answered by the server.
pub(super) async fn answered_by(address: SocketAddr, server: &Server) -> Result<()> {
    let began = Instant::now();
    let wanted = format!("x-evenkeel-pod: {}\r\n", server.pod);
    loop {
        let answer = timeout(TRY, ask(address)).await.unwrap_or_else(|_| Ok(String::new()));
        if answer.is_ok_and(|answer| answer.contains(&wanted)) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{address} did not lead to {} within {} s", server.pod, PATIENCE.as_secs()).into());
        }
        sleep(PAUSE).await;
    }
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: growth\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
