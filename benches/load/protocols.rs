//! Compares load generators over HTTP/2 and gRPC, through the external IP.

use super::comparison::{Case, Column, Comparison};
use super::generator::{ECHO, Generator, Load, Wire};
use super::lab::Lab;
use super::{Bench, Result, side_by_side, tools};

const HTTP2: &str = "Load generators over HTTP/2, through the external IP";
const GRPC: &str = "Load generators over gRPC, unary, through the external IP";
/// The requests in flight on each connection.
pub(crate) const HTTP2_STREAMS: u32 = 100;
pub(crate) const GRPC_STREAMS: u32 = 10;

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let lab = Lab::up(bench, "nftables")?;
    let pods = bench.pods(&[2])[0];
    lab.deploy(pods)?;
    let endpoint = lab.endpoint("server").await?;
    let mut all = Vec::new();
    for (title, wire, others, to) in [
        (HTTP2, Wire::Http2(HTTP2_STREAMS), tools::over_http2(), "h2load"),
        (GRPC, Wire::Grpc(GRPC_STREAMS, ECHO), tools::over_grpc(), "ghz"),
    ] {
        let generators: Vec<Generator> = [Generator::Evenkeel].into_iter().chain(others).collect();
        let load = Load::over(bench, endpoint.clone(), wire);
        let case = |generator: &Generator| Case::new(generator.name(), format!("{pods} pods, {wire}"));
        let mut cases: Vec<Case> = generators.iter().map(case).collect();
        side_by_side::measure(bench, &mut cases, async |at| generators[at].run(&load).await).await?;
        let columns = [Column::Rate, Column::RateTo(to), Column::Cpu, Column::CpuTo(to)];
        all.push(Comparison::new(title, &columns, true, cases));
    }
    Ok(all)
}
