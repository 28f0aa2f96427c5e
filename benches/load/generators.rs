//! Compares load generators, through the external IP.

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::lab::Lab;
use super::{Bench, Result, side_by_side, tools};

const KEPT: &str = "Load generators, connections kept, through the external IP";
const NEW: &str = "Load generators, a new connection for every request";

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let mut generators = vec![Generator::Evenkeel];
    generators.extend(tools::all());
    let lab = Lab::up(bench, "nftables")?;
    let pods = bench.pods(&[2, 10]);
    lab.deploy(pods[0])?;
    let endpoint = lab.endpoint("server").await?;

    let mut kept = Vec::new();
    for &count in &pods {
        lab.scale(count)?;
        let load = Load::new(bench, endpoint.clone(), true);
        let mut cases = cases(&generators, count);
        side_by_side::measure(bench, &mut cases, async |at| generators[at].run(&load).await).await?;
        kept.extend(cases);
    }
    let columns = [Column::Rate, Column::RateTo("wrk"), Column::Cpu, Column::CpuTo("wrk"), Column::P99];
    let mut all = vec![Comparison::new(KEPT, &columns, true, kept)];

    generators.retain(Generator::opens_for_each);
    lab.scale(pods[0])?;
    let load = Load::new(bench, endpoint, false);
    let mut new = cases(&generators, pods[0]);
    side_by_side::measure(bench, &mut new, async |at| generators[at].run(&load).await).await?;
    let columns = [Column::Rate, Column::RateTo("oha"), Column::Cpu, Column::CpuTo("oha"), Column::P99];
    all.push(Comparison::new(NEW, &columns, true, new));
    Ok(all)
}

fn cases(generators: &[Generator], pods: u32) -> Vec<Case> {
    generators.iter().map(|generator| Case::new(generator.name(), format!("{pods} pods"))).collect()
}
