//! One Service with many endpoints. One server on the node answers for all of them: it listens on all addresses, and the node
//! takes a whole range of addresses for its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use evenkeel::cluster;
use evenkeel::toolbox::Program;
use evenkeel::workload::Subject;
use evenkeel::workload::proxy_rules::programmed;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::services::{address_of, service, slice};
use crate::lab::{Lab, eventually};
use crate::workload::deployed_image;
use crate::{Bench, Result};

/// The name of the Service and of the pod of the server.
const NAME: &str = "endpoints";
/// The addresses of the endpoints, which nothing else in the lab has.
const RANGE: &str = "10.250.0.0/22";
/// The port on which the server listens in the network of the node.
const PORT: u16 = 18_080;
/// The number of endpoints in a slice, as Kubernetes has it.
const SLICE: usize = 100;
/// The most endpoints.
const MOST: usize = 600;

pub(super) struct Endpoints<'a> {
    bench: &'a Bench,
    lab: &'a Lab,
    /// The address of the Service.
    pub(super) service: SocketAddr,
    subject: Subject,
    slices: Api<EndpointSlice>,
    /// The number of endpoints of each slice that was written.
    written: RefCell<BTreeMap<usize, usize>>,
}

impl<'a> Endpoints<'a> {
    /// Starts the server, and creates the Service without endpoints.
    pub(super) async fn new(bench: &'a Bench, lab: &'a Lab) -> Result<Self> {
        let client = lab.client().await?;
        let image = deployed_image(lab).await?;
        let pods: Api<Pod> = Api::default_namespaced(client.clone());
        pods.create(&PostParams::default(), &serde_json::from_value(server(&image))?).await?;
        let arguments = ["route", "replace", "local", RANGE, "dev", "lo"];
        let ip = bench.toolbox.path(Program::Ip);
        cluster::inside(lab.cluster.first(), &bench.toolbox, ip, arguments).run_async().await?;
        let node: IpAddr = lab.node_address()?.parse()?;
        eventually("the server on the node", async || Ok(TcpStream::connect((node, PORT)).await.ok())).await?;
        let services: Api<Service> = Api::default_namespaced(client.clone());
        let created = services.create(&PostParams::default(), &serde_json::from_value(service(NAME, PORT))?).await?;
        let subject = Subject {
            namespace: "default".into(),
            service: NAME.into(),
            port_name: None,
            port: 80,
            protocol: "TCP".into(),
            selector: String::new(),
            controller: None,
            container: None,
        };
        let slices = Api::default_namespaced(client);
        Ok(Self { bench, lab, service: address_of(&created)?, subject, slices, written: RefCell::default() })
    }

    /// Gives the Service so many endpoints. Returns how long it took until they were programmed.
    pub(super) async fn set(&self, count: usize) -> Result<Duration> {
        let wanted: Vec<String> = (0..count).map(|number| address(number).to_string()).collect();
        let began = Instant::now();
        for index in 0..MOST.div_ceil(SLICE) {
            let part: Vec<&str> = wanted.iter().skip(index * SLICE).take(SLICE).map(String::as_str).collect();
            let before = self.written.borrow_mut().insert(index, part.len()).unwrap_or_default();
            if before != part.len() {
                let name = format!("{NAME}-{index}");
                let params = PatchParams::apply("evenkeel-bench").force();
                self.slices.patch(&name, &params, &Patch::Apply(&slice(&name, NAME, &part, PORT))).await?;
            }
        }
        let all: BTreeSet<SocketAddr> = (0..count).map(|number| (address(number), PORT).into()).collect();
        eventually(&format!("{count} endpoints in the rules"), async || {
            let rules = programmed(self.lab.cluster.first(), &self.bench.toolbox, &self.subject).await?;
            Ok((rules.backends == all).then_some(()))
        })
        .await?;
        Ok(began.elapsed())
    }
}

fn address(number: usize) -> Ipv4Addr {
    let [high, low] = [number / 250, number % 250 + 1].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    Ipv4Addr::new(10, 250, high, low)
}

/// A pod with the server in the network of the node.
fn server(image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": NAME },
        "spec": {
            "hostNetwork": true,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "server",
                "image": image,
                "imagePullPolicy": "Never",
                "env": [{ "name": "PORT", "value": PORT.to_string() }],
            }],
        },
    })
}
