//! What many Services, and Services with many endpoints, cost in kube-proxy's two modes: new connections, the time until a
//! change is programmed, kube-proxy's processor time and memory, and the rules.

mod endpoints;
mod proxy;
mod services;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use evenkeel::cluster::TemporaryRoutes;
use evenkeel::report::{Align, plain_table};
use evenkeel::toolbox::Program;
use evenkeel_load::Target;
use evenkeel_measure::grouped_digits;

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::lab::Lab;
use super::workload::OURS;
use super::{Bench, Result};

use endpoints::Endpoints;
use proxy::{ProxyUse, proxy_use, rules};
use services::{Services, answered_by};

const MODES: [&str; 2] = ["nftables", "iptables"];
/// Numbers of Services. Each has one endpoint.
const SERVICES: [usize; 4] = [1, 100, 1_000, 5_000];
/// Numbers of endpoints of one Service.
const ENDPOINTS: [usize; 3] = [1, 100, 500];
/// How often a change is made to measure its time. An odd number has a median.
const CHANGES: usize = 7;
/// The pause before each change, so that kube-proxy does not delay it: it programs rules at most once a second.
const PAUSE: Duration = Duration::from_millis(1_500);

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let mut cases = Vec::new();
    let mut changes = Vec::new();
    for mode in MODES {
        changes.extend(with_services(bench, mode, &mut cases).await?);
    }
    for mode in MODES {
        changes.extend(with_endpoints(bench, mode, &mut cases).await?);
    }
    let heads = ["", "ms to change", "longest", "s to add", "CPU ms each", "kube-proxy MB", "lines of rules"];
    println!("Changes of one endpoint, and what the rules take\n");
    println!("{}", plain_table(Align::Right, &heads, &changes));
    let columns = [Column::Rate, Column::RateTo("1"), Column::P99];
    Ok(vec![Comparison::new("Connections to Services", &columns, false, cases)])
}

/// Measures at each number of Services. Returns rows of the table of changes.
async fn with_services(bench: &Bench, mode: &'static str, cases: &mut Vec<Case>) -> Result<Vec<Vec<String>>> {
    let lab = Lab::up(bench, mode)?;
    lab.deploy(2)?;
    let growth = Growth { bench, lab: &lab, mode };
    let services = Services::new(&lab).await?;
    let [first, second] = services.servers(OURS).await?.try_into().map_err(|_| "expected two pods")?;
    let mut rows = Vec::new();
    for count in SERVICES {
        let step = bench.progress.step(format!("{mode}: {count} Services"));
        let (before, began) = (proxy_use(&lab)?, Instant::now());
        let added = services.add(count, &first).await?;
        let last = services.address(count - 1).await?;
        let route = growth.route(last)?;
        answered_by(last, &first).await?;
        let (seconds, used) = (began.elapsed(), proxy_use(&lab)?.since(before));
        let mut changes = Vec::new();
        for server in [&second, &first].into_iter().cycle().take(CHANGES) {
            tokio::time::sleep(PAUSE).await;
            let began = Instant::now();
            services.point(count - 1, server).await?;
            answered_by(last, server).await?;
            changes.push(began.elapsed());
        }
        step.done();
        drop(route);
        let addresses = services.sampled(count, bench.options.rounds as usize).await?;
        growth.load(&addresses, &count.to_string(), "Services", cases).await?;
        let rules = rules(bench, &lab, mode).await?;
        rows.push(row(&format!("{mode}, {count} Services"), changes, (seconds, added), &used, rules));
    }
    Ok(rows)
}

/// Measures at each number of endpoints of one Service. Returns rows of the table of changes.
async fn with_endpoints(bench: &Bench, mode: &'static str, cases: &mut Vec<Case>) -> Result<Vec<Vec<String>>> {
    let lab = Lab::up(bench, mode)?;
    lab.deploy(1)?;
    let growth = Growth { bench, lab: &lab, mode };
    let endpoints = Endpoints::new(bench, &lab).await?;
    let _route = growth.route(endpoints.service)?;
    let mut rows = Vec::new();
    for count in ENDPOINTS {
        let step = bench.progress.step(format!("{mode}: {count} endpoints"));
        let before = proxy_use(&lab)?;
        let seconds = endpoints.set(count).await?;
        let used = proxy_use(&lab)?.since(before);
        let mut changes = Vec::new();
        for number in [count + 1, count].into_iter().cycle().take(CHANGES - 1) {
            tokio::time::sleep(PAUSE).await;
            changes.push(endpoints.set(number).await?);
        }
        step.done();
        growth.load(&[endpoints.service], &count.to_string(), "endpoints", cases).await?;
        let rules = rules(bench, &lab, mode).await?;
        rows.push(row(&format!("{mode}, {count} endpoints"), changes, (seconds, count), &used, rules));
    }
    Ok(rows)
}

/// A row of the table of changes: the times of `changes`, what it took to add so many, and what kube-proxy used for that.
#[allow(clippy::cast_precision_loss, reason = "one digit is shown")]
fn row(
    name: &str,
    mut changes: Vec<Duration>,
    (seconds, added): (Duration, usize),
    used: &ProxyUse,
    rules: usize,
) -> Vec<String> {
    changes.sort();
    let milliseconds = |time: Option<&Duration>| time.map_or_else(String::new, |time| time.as_millis().to_string());
    vec![
        name.to_owned(),
        milliseconds(changes.get(changes.len() / 2)),
        milliseconds(changes.last()),
        format!("{:.1}", seconds.as_secs_f64()),
        format!("{:.1}", used.cpu.as_secs_f64() * 1000.0 / added.max(1) as f64),
        format!("{:.0}", used.resident as f64 / 1e6),
        grouped_digits(&rules.to_string()),
    ]
}

/// One lab that grows.
struct Growth<'a> {
    bench: &'a Bench,
    lab: &'a Lab,
    mode: &'static str,
}

impl Growth<'_> {
    /// Sends load to these addresses, one in each round.
    async fn load(&self, to: &[SocketAddr], name: &str, what: &str, cases: &mut Vec<Case>) -> Result<()> {
        for (group, kept) in [("a new connection each", false), ("connections kept", true)] {
            let mut case = Case::new(name, format!("{}, {what}, {group}", self.mode));
            for (round, address) in (1..=self.bench.options.rounds).zip(to.iter().cycle()) {
                let label = format!("{}, {name} {what}, {group}: round {round}", self.mode);
                let step = self.bench.progress.step(label);
                let _route = self.route(*address)?;
                let target = Target { address: *address, host: address.to_string(), path: "/".into(), tls: None };
                let sample = Generator::Evenkeel.run(&Load::new(self.bench, target, kept)).await?;
                step.done_with(format!("{:.0} req/s", sample.requests_per_second));
                case.samples.push(sample);
            }
            let group = case.group.clone();
            let at = cases.iter().rposition(|case| case.group == group).map_or(cases.len(), |last| last + 1);
            cases.insert(at, case);
        }
        Ok(())
    }

    fn route(&self, to: SocketAddr) -> Result<TemporaryRoutes> {
        let ip = self.bench.toolbox.path(Program::Ip);
        Ok(TemporaryRoutes::to_cluster_ip(&self.lab.cluster, to.ip(), ip, &self.bench.progress)?)
    }
}
