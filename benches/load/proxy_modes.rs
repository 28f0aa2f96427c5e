//! Compares kube-proxy's two modes, in two labs one after the other.

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::lab::Lab;
use super::{Bench, Result, side_by_side};

const MODES: [&str; 2] = ["nftables", "iptables"];
const TITLE: &str = "kube-proxy's modes, two labs one after the other";

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let pods = bench.pods(&[10])[0];
    let mut all = Vec::new();
    for mode in MODES {
        let lab = Lab::up(bench, mode)?;
        lab.deploy(pods)?;
        let endpoint = lab.endpoint("server").await?;
        let loads = [true, false].map(|kept| Load::new(bench, endpoint.clone(), kept));
        let mut cases = ["connections kept", "a new one each"].map(|group| Case::new(mode, group));
        side_by_side::measure(bench, &mut cases, async |at| Generator::Evenkeel.run(&loads[at]).await).await?;
        all.extend(cases);
    }
    // The sort is stable: within each group the modes keep the order above.
    all.sort_by_key(|case| case.group != "connections kept");
    let columns = [Column::Rate, Column::RateTo(MODES[0]), Column::P99];
    Ok(vec![Comparison::new(&format!("{TITLE}, {pods} pods"), &columns, false, all)])
}
