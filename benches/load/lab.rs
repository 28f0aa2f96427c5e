//! A lab for one section: the real program makes it, and it is taken down whatever happens.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::cluster::{self, Cluster};
use evenkeel::config::NAMESPACE;
use evenkeel_load::Target;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;
use kube::{Api, Client};

use super::{Bench, Result};

pub(crate) const NAME: &str = "bench";

/// How long anything in the cluster may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    client: OnceCell<Client>,
}

impl Lab {
    /// Boots it, with kube-proxy in this mode.
    pub(crate) fn up(bench: &Bench, mode: &str) -> Result<Self> {
        evenkeel(NAME, &["up", "--proxy-mode", mode])?;
        match cluster::find(&NAME.parse()?, &bench.paths) {
            Ok(cluster) => Ok(Self { cluster, client: OnceCell::new() }),
            Err(error) => {
                evenkeel(NAME, &["down"])?;
                Err(error.into())
            }
        }
    }

    /// Deploys Evenkeel's server.
    pub(crate) fn deploy(&self, pods: u32) -> Result<()> {
        self.evenkeel(&["deploy", "--replicas", &pods.to_string()])
    }

    /// Scales it.
    pub(crate) fn scale(&self, pods: u32) -> Result<()> {
        self.evenkeel(&["scale", &pods.to_string()])
    }

    fn evenkeel(&self, arguments: &[&str]) -> Result<()> {
        evenkeel(self.cluster.name.as_str(), arguments)
    }

    /// A client of its administrator's.
    pub(crate) async fn client(&self) -> Result<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = cluster::client(&self.cluster).await?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// The external IP of a Service, and what to ask there.
    pub(crate) async fn endpoint(&self, service: &str) -> Result<Target> {
        let services: Api<Service> = Api::namespaced(self.client().await?, NAMESPACE);
        eventually(&format!("an external IP for {service}"), async || {
            let status = services.get(service).await?.status.unwrap_or_default();
            let ingress = status.load_balancer.unwrap_or_default().ingress.unwrap_or_default();
            let ip = ingress.into_iter().find_map(|ingress| ingress.ip);
            let address = ip.as_ref().and_then(|ip| Some((ip.parse::<IpAddr>().ok()?, 80).into()));
            Ok(address.zip(ip).map(|(address, host)| Target { address, host, path: "/".into() }))
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

/// Asks until there is an answer.
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

/// The real program; what it says goes to stderr, where the story is.
fn evenkeel(name: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["--name", name]).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    match command.status()? {
        status if status.success() => Ok(()),
        status => Err(format!("evenkeel {} ended with {status}", arguments.join(" ")).into()),
    }
}
