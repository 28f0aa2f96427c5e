//! Compares load generators over TLS, through the external IP: with kept connections, and with a new one for every request.

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::lab::Lab;
use super::workload::Workload;
use super::{Bench, Result, side_by_side, tools};

const KEPT: &str = "Load generators over TLS, HTTP/1.1, connections kept";
const NEW: &str = "Load generators over TLS, a new connection for every request";
/// The name of the Deployment and the Service with a certificate.
const NAME: &str = "tls";

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let mut generators = vec![Generator::Evenkeel];
    generators.extend(tools::over_tls());
    let lab = Lab::up(bench, "nftables")?;
    let pods = bench.pods(&[2])[0];
    lab.deploy(1)?;
    Workload::with_tls(NAME, &lab).await?.run(bench, &lab, pods).await?;
    let endpoint = lab.tls_endpoint(NAME).await?;
    let mut all = Vec::new();
    for (title, kept, to) in [(KEPT, true, "wrk"), (NEW, false, "oha")] {
        generators.retain(|generator| kept || generator.opens_for_each());
        let load = Load::new(bench, endpoint.clone(), kept);
        let case = |generator: &Generator| Case::new(generator.name(), format!("{pods} pods"));
        let mut cases: Vec<Case> = generators.iter().map(case).collect();
        side_by_side::measure(bench, &mut cases, async |at| generators[at].run(&load).await).await?;
        let columns = [Column::Rate, Column::RateTo(to), Column::Cpu, Column::CpuTo(to), Column::P99];
        all.push(Comparison::new(title, &columns, true, cases));
    }
    Ok(all)
}
