//! Compares servers in pods of one lab over HTTP/2 and gRPC: Evenkeel's, Node's http2, and grpc-go's helloworld.

use super::comparison::{Case, Column, Comparison};
use super::generator::{ECHO, Generator, Load, Wire};
use super::images;
use super::lab::Lab;
use super::protocols::{GRPC_STREAMS, HTTP2_STREAMS};
use super::servers::case_name;
use super::workload::{OURS, Workload};
use super::{Bench, Result, side_by_side};

const HTTP2: &str = "Servers in pods over HTTP/2, through the external IP";
const GRPC: &str = "Servers in pods over gRPC, unary, through the external IP";
/// The names of the other cases, and of their Deployments and Services.
const NODE: &str = "node-http2";
const GRPC_GO: &str = "grpc-go";
/// The method that grpc-go's helloworld has. Node's server takes any.
const SAY_HELLO: &str = "helloworld.Greeter/SayHello";

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let mut others = Vec::new();
    match images::node_server(images::NODE_HTTP2)? {
        Some(image) => others.push((Workload::http2(NODE, &image, images::NODE_ARGUMENTS), image)),
        None => eprintln!("Node's server is skipped: node was not found and could not be installed"),
    }
    match images::grpc_go_server()? {
        Some(image) => others.push((Workload::http2(GRPC_GO, &image, &[]), image)),
        None => eprintln!("grpc-go's server is skipped: go was not found, or the server could not be built"),
    }
    let lab = Lab::up(bench, "nftables")?;
    let counts = bench.pods(&[2, 10]);
    lab.deploy(counts[0])?;
    for (_, image) in &others {
        image.import(bench, &lab.cluster).await?;
    }
    let names: Vec<&str> = [OURS].into_iter().chain(others.iter().map(|(other, _)| other.name)).collect();
    let (mut over_http2, mut over_grpc) = (Vec::new(), Vec::new());
    for &pods in &counts {
        lab.scale(pods)?;
        for (other, _) in &others {
            other.run(bench, &lab, pods).await?;
        }
        // grpc-go's server answers calls of gRPC only.
        let http2: Vec<&str> = names.iter().copied().filter(|name| *name != GRPC_GO).collect();
        over_http2.extend(measure(bench, &lab, &http2, pods, |_| Wire::Http2(HTTP2_STREAMS)).await?);
        let wire = |name: &str| Wire::Grpc(GRPC_STREAMS, if name == GRPC_GO { SAY_HELLO } else { ECHO });
        over_grpc.extend(measure(bench, &lab, &names, pods, wire).await?);
    }
    let http2 = [Column::Rate, Column::RateTo(NODE), Column::P99];
    let grpc = [Column::Rate, Column::RateTo(NODE), Column::RateTo(GRPC_GO), Column::P99];
    Ok(vec![Comparison::new(HTTP2, &http2, true, over_http2), Comparison::new(GRPC, &grpc, true, over_grpc)])
}

/// Measures the servers with these names in turn.
async fn measure(
    bench: &Bench,
    lab: &Lab,
    names: &[&str],
    pods: u32,
    wire: impl Fn(&str) -> Wire,
) -> Result<Vec<Case>> {
    let mut loads = Vec::new();
    for name in names {
        loads.push(Load::over(bench, lab.endpoint(name).await?, wire(name)));
    }
    let case = |name: &&str| Case::new(case_name(name), format!("{pods} pods, {}", wire(name)));
    let mut cases: Vec<Case> = names.iter().map(case).collect();
    side_by_side::measure(bench, &mut cases, async |at| Generator::Evenkeel.run(&loads[at]).await).await?;
    Ok(cases)
}
