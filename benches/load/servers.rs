//! Compares servers in pods of one lab: Evenkeel's, Node's, and a bare epoll loop as the upper limit.

use jiff::Timestamp;
use serde_json::Value;

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::images;
use super::lab::{Lab, eventually};
use super::workload::{OURS, Workload};
use super::{Bench, Result, side_by_side};

const TITLE: &str = "Servers in pods, connections kept, through the external IP";
/// The names of the other cases, and of their Deployments and Services.
const BARE: &str = "bare";
const NODE: &str = "node";

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let mut images = vec![images::bare()?];
    let mut others = vec![Workload::http1(BARE, &images[0], &[])];
    match images::node_server(images::NODE_HTTP1)? {
        Some(image) => {
            others.push(Workload::http1(NODE, &image, images::NODE_ARGUMENTS));
            images.push(image);
        }
        None => eprintln!("Node's server is skipped: node was not found and could not be installed"),
    }
    let names: Vec<&str> = [OURS].into_iter().chain(others.iter().map(|other| other.name)).collect();

    let lab = Lab::up(bench, "nftables")?;
    let counts = bench.pods(&[2, 5, 10]);
    lab.deploy(counts[0])?;
    for image in &images {
        image.import(bench, &lab.cluster).await?;
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

/// The name of a workload's case.
pub(crate) fn case_name(name: &str) -> &str {
    if name == OURS { "evenkeel" } else { name }
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
