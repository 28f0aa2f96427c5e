//! Compares servers in pods of one lab: Evenkeel's, Node's, and a bare epoll loop as the upper limit.

use evenkeel::cluster;
use evenkeel::config::NAMESPACE;
use evenkeel::toolbox::Program;
use evenkeel::workload::manifest;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::images::{self, Archive};
use super::lab::{Lab, eventually};
use super::{Bench, Result, side_by_side};

const TITLE: &str = "Servers in pods, connections kept, through the external IP";
/// The name of Evenkeel's Deployment and Service.
const OURS: &str = "server";
/// The names of the other cases, and of their Deployments and Services.
const BARE: &str = "bare";
const NODE: &str = "node";

/// A server other than Evenkeel's.
struct Other {
    name: &'static str,
    image: Archive,
    arguments: &'static [&'static str],
}

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let mut others = vec![Other { name: BARE, image: images::bare()?, arguments: &[] }];
    match images::node_server()? {
        Some(image) => others.push(Other { name: NODE, image, arguments: &["/server.js"] }),
        None => eprintln!("Node's server is skipped: node was not found and could not be installed"),
    }
    let names: Vec<&str> = [OURS].into_iter().chain(others.iter().map(|other| other.name)).collect();

    let lab = Lab::up(bench, "nftables")?;
    let counts = bench.pods(&[2, 5, 10]);
    lab.deploy(counts[0])?;
    for other in &others {
        other.image.import(bench, &lab.cluster).await?;
    }
    let mut loads = Vec::new();
    let mut all = Vec::new();
    for &pods in &counts {
        lab.scale(pods)?;
        for other in &others {
            other.run(bench, &lab, pods).await?;
        }
        if loads.is_empty() {
            for name in &names {
                loads.push(Load::new(bench, lab.endpoint(name).await?, true));
            }
        }
        let mut cases: Vec<Case> =
            names.iter().map(|name| Case::new(case_name(name), format!("{pods} pods"))).collect();
        let began = Timestamp::now();
        side_by_side::measure(bench, &mut cases, async |at| Generator::Evenkeel.run(&loads[at]).await).await?;
        for (case, name) in cases.iter_mut().zip(&names) {
            let memory = eventually("the kubelet to count memory", async || memory_per_pod(&lab, name, began).await);
            case.memory = Some(memory.await?);
        }
        all.extend(cases);
    }
    let columns = [Column::Rate, Column::RateTo(BARE), Column::RateTo(NODE), Column::P99, Column::Memory];
    Ok(vec![Comparison::new(TITLE, &columns, true, all)])
}

fn case_name(name: &str) -> &str {
    if name == OURS { "evenkeel" } else { name }
}

impl Other {
    /// Runs this many pods of the server, and waits until its Service balances between all of them.
    async fn run(&self, bench: &Bench, lab: &Lab, pods: u32) -> Result<()> {
        let step = bench.progress.step(format!("run {pods} pods of {}", self.name));
        let (deployment, service) = self.manifests(pods)?;
        let client = lab.client().await?;
        let params = PatchParams::apply("evenkeel-bench").force();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let services: Api<Service> = Api::namespaced(client, NAMESPACE);
        deployments.patch(self.name, &params, &Patch::Apply(&deployment)).await?;
        services.patch(self.name, &params, &Patch::Apply(&service)).await?;
        let desired = i32::try_from(pods)?;
        eventually(&format!("{pods} pods of {}", self.name), async || {
            let deployment = deployments.get(self.name).await?;
            let status = deployment.status.unwrap_or_default();
            let current = status.observed_generation == deployment.metadata.generation;
            let all = [status.ready_replicas, status.updated_replicas, status.replicas];
            Ok((current && all.iter().all(|count| *count == Some(desired))).then_some(()))
        })
        .await?;
        let balanced = format!("kube-proxy to balance between {pods} pods of {}", self.name);
        eventually(&balanced, async || Ok((backends(bench, lab, self.name).await? == pods).then_some(()))).await?;
        step.done();
        Ok(())
    }

    /// Evenkeel's manifests with this server instead: the same security context, probes and kind of Service.
    fn manifests(&self, pods: u32) -> Result<(Value, Value)> {
        let own = manifest::own()?;
        let object = |kind: &str| {
            let found = own.iter().find(|manifest| manifest.kind() == kind).ok_or("a manifest is missing")?;
            Ok::<Value, Box<dyn std::error::Error>>(serde_json::to_value(&found.object)?)
        };
        let (mut deployment, mut service) = (object("Deployment")?, object("Service")?);
        for object in [&mut deployment, &mut service] {
            rename(object, self.name);
            object["metadata"]["name"] = self.name.into();
        }
        deployment["spec"]["replicas"] = pods.into();
        let pod = &mut deployment["spec"]["template"]["spec"];
        // These servers do not drain.
        pod["terminationGracePeriodSeconds"] = 1.into();
        let container = &mut pod["containers"][0];
        container["image"] = self.image.reference.as_str().into();
        container["args"] = self.arguments.into();
        container["resources"] = json!({ "requests": { "cpu": "1m", "memory": "4Mi" } });
        Ok((deployment, service))
    }
}

/// Sets the label `app.kubernetes.io/name` wherever it occurs in the object.
fn rename(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "app.kubernetes.io/name" {
                    *value = name.into();
                }
                rename(value, name);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, name)),
        _ => {}
    }
}

/// The number of addresses that the chain of a Service balances between; 0 if there is no such chain.
async fn backends(bench: &Bench, lab: &Lab, service: &str) -> Result<u32> {
    let node = lab.cluster.nodes.first().ok_or("the lab has no node")?;
    let nft = bench.toolbox.path(Program::Nft);
    let listed = cluster::inside(node, &bench.toolbox, nft, ["list", "table", "ip", "kube-proxy"]).run_async().await?;
    let rules = String::from_utf8_lossy(&listed).into_owned();
    let of_service = format!("-{NAMESPACE}/{service}/tcp/http {{");
    let mut lines = rules.lines().map(str::trim);
    let found = lines.any(|line| line.starts_with("chain service-") && line.ends_with(&of_service));
    let picks = lines.take_while(|line| *line != "}").find_map(|line| line.split_once("numgen random mod "));
    let count = picks.filter(|_| found).and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    Ok(count.unwrap_or(0))
}

/// The mean working set of a server's pods in bytes, as the kubelet reports it. `None` while its values are older than
/// `since`.
async fn memory_per_pod(lab: &Lab, name: &str, since: Timestamp) -> Result<Option<u64>> {
    let node = &lab.cluster.nodes.first().ok_or("the lab has no node")?.node.name;
    let request = http::Request::get(format!("/api/v1/nodes/{node}/proxy/stats/summary")).body(Vec::new())?;
    let summary: Value = lab.client().await?.request(request).await?;
    let of_server = |pod: &&Value| pod["podRef"]["name"].as_str().is_some_and(|pod| pod.starts_with(name));
    let pods = summary["pods"].as_array().into_iter().flatten().filter(of_server);
    let counted = |pod: &Value| {
        let at: Timestamp = pod["memory"]["time"].as_str()?.parse().ok()?;
        pod["memory"]["workingSetBytes"].as_u64().filter(|_| at > since)
    };
    let bytes: Option<Vec<u64>> = pods.map(counted).collect();
    Ok(bytes.and_then(|bytes| bytes.iter().sum::<u64>().checked_div(bytes.len() as u64)))
}
