//! Compares the path through the external IP with the direct path to the same pod.

use std::net::SocketAddr;

use evenkeel::process::Invocation;
use evenkeel::toolbox::Program;
use evenkeel_load::Target;

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::lab::Lab;
use super::{Bench, Result, side_by_side};

const TITLE: &str = "Ways to one pod, connections kept";

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let lab = Lab::up(bench, "nftables")?;
    lab.deploy(1)?;
    let pod: SocketAddr = (lab.pod_address("server").await?, 3000).into();
    // The route is removed together with the lab's link.
    let node = lab.node_address()?;
    let ip = bench.toolbox.path(Program::Ip);
    Invocation::new(ip, ["route", "add", &format!("{}/32", pod.ip()), "via", &node]).run_async().await?;

    let through = lab.endpoint("server").await?;
    let straight = Target { address: pod, host: through.host.clone(), path: through.path.clone(), tls: None };
    let loads = [Load::new(bench, through, true), Load::new(bench, straight, true)];
    let mut cases = vec![Case::new("external IP", "1 pod"), Case::new("pod's own", "1 pod")];
    side_by_side::measure(bench, &mut cases, async |at| Generator::Evenkeel.run(&loads[at]).await).await?;
    let columns = [Column::Rate, Column::RateTo("pod's own"), Column::P99];
    Ok(vec![Comparison::new(TITLE, &columns, true, cases)])
}
