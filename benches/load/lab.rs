//! A lab for one section. It is booted with the real program, and removed when the value is dropped.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::cluster::{self, Cluster};
use evenkeel::config::{NAMESPACE, Paths};
use evenkeel_load::{Target, Tls, TlsOptions};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client};

use super::{Bench, Result};

pub(crate) const NAME: &str = "bench";

/// How long to wait for a condition in the cluster.
const PATIENCE: Duration = Duration::from_secs(60);
/// The interval between two checks.
const PAUSE: Duration = Duration::from_millis(10);

pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    client: OnceCell<Client>,
}

impl Lab {
    /// Boots a lab with kube-proxy in this mode.
    pub(crate) fn up(bench: &Bench, mode: &str) -> Result<Self> {
        Self::boot(NAME, &bench.paths, &["--proxy-mode", mode])
    }

    /// Boots a lab of this name with these arguments.
    pub(crate) fn named(name: &str, arguments: &[&str]) -> Result<Self> {
        Self::boot(name, &Paths::new(&name.parse()?, None, None), arguments)
    }

    fn boot(name: &str, paths: &Paths, arguments: &[&str]) -> Result<Self> {
        evenkeel(name, &[&["up"], arguments].concat())?;
        match cluster::find(&name.parse()?, paths) {
            Ok(cluster) => Ok(Self { cluster, client: OnceCell::new() }),
            Err(error) => {
                evenkeel(name, &["down"])?;
                Err(error.into())
            }
        }
    }

    /// Deploys Evenkeel's server.
    pub(crate) fn deploy(&self, pods: u32) -> Result<()> {
        self.evenkeel(&["deploy", "--replicas", &pods.to_string()])
    }

    /// Scales Evenkeel's server.
    pub(crate) fn scale(&self, pods: u32) -> Result<()> {
        self.evenkeel(&["scale", &pods.to_string()])
    }

    fn evenkeel(&self, arguments: &[&str]) -> Result<()> {
        evenkeel(self.cluster.name.as_str(), arguments)
    }

    /// A Kubernetes client with the rights of the lab's administrator.
    pub(crate) async fn client(&self) -> Result<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = cluster::client(&self.cluster).await?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// The external IP of a Service as a target over TLS. Its certificate is not checked.
    pub(crate) async fn tls_endpoint(&self, service: &str) -> Result<Target> {
        let mut target = self.endpoint(service).await?;
        target.address.set_port(443);
        target.tls = Some(Tls::new(&target.host, &TlsOptions { insecure: true, ..TlsOptions::default() })?);
        Ok(target)
    }

    /// The external IP of a Service as a target.
    pub(crate) async fn endpoint(&self, service: &str) -> Result<Target> {
        let services: Api<Service> = Api::namespaced(self.client().await?, NAMESPACE);
        eventually(&format!("an external IP for {service}"), async || {
            let status = services.get(service).await?.status.unwrap_or_default();
            let ingress = status.load_balancer.unwrap_or_default().ingress.unwrap_or_default();
            let ip = ingress.into_iter().find_map(|ingress| ingress.ip);
            let address = ip.as_ref().and_then(|ip| Some((ip.parse::<IpAddr>().ok()?, 80).into()));
            Ok(address.zip(ip).map(|(address, host)| Target { address, host, path: "/".into(), tls: None }))
        })
        .await
    }

    /// The address of a pod of this workload.
    pub(crate) async fn pod_address(&self, workload: &str) -> Result<IpAddr> {
        let pods: Api<Pod> = Api::namespaced(self.client().await?, NAMESPACE);
        let pods = pods.list(&ListParams::default().labels(&format!("app.kubernetes.io/name={workload}"))).await?;
        let mut addresses = pods.items.into_iter().filter_map(|pod| pod.status?.pod_ip?.parse().ok());
        addresses.next().ok_or_else(|| format!("no pod of {workload} has an address").into())
    }

    /// The node's address on the link.
    pub(crate) fn node_address(&self) -> Result<String> {
        Ok(self.cluster.nodes.first().ok_or("the lab has no node")?.node.address.to_string())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.evenkeel(&["down"]) {
            eprintln!("error: {error}");
        }
    }
}

/// Calls `ask` until it returns a value, with a time limit.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("waited {} s for {what}", PATIENCE.as_secs()).into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs the real program. Its stderr is that of the bench.
fn evenkeel(name: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["--name", name]).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("evenkeel {} ended with {status}", arguments.join(" ")).into()),
    }
}
