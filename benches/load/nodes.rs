//! Compares one node with three nodes, in two labs at the same time: what the router costs, and what the way from node to node
//! costs with the traffic policy Cluster.

use evenkeel::config::NAMESPACE;
use evenkeel_load::Target;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::comparison::{Case, Column, Comparison};
use super::generator::{Generator, Load};
use super::lab::{Lab, eventually};
use super::workload::OURS;
use super::{Bench, Result, side_by_side};

const TITLE: &str = "One node and three nodes, two labs at the same time";
const ONE: &str = "1 node";
/// The name of the second lab, and its addresses.
const SECOND: (&str, &str) = ("bench-nodes", "198.18.2.0/23");
/// The Service of the same pods with the traffic policy Cluster.
const CLUSTER: &str = "server-cluster";
const GROUPS: [(&str, bool); 2] = [("connections kept", true), ("a new one each", false)];

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let pods = bench.pods(&[6])[0];
    let one = Lab::up(bench, "nftables")?;
    one.deploy(pods)?;
    let three = Lab::named(SECOND.0, &["--nodes", "3", "--subnet", SECOND.1])?;
    three.deploy(pods)?;
    let ways = [
        (ONE, one.endpoint(OURS).await?),
        ("3 nodes, Local", three.endpoint(OURS).await?),
        ("3 nodes, Cluster", with_policy_cluster(&three).await?),
    ];
    let mut cases = Vec::new();
    let mut loads = Vec::new();
    for (group, kept) in GROUPS {
        for (name, endpoint) in &ways {
            cases.push(Case::new(name, group));
            loads.push(Load::new(bench, endpoint.clone(), kept));
        }
    }
    side_by_side::measure(bench, &mut cases, async |at| Generator::Evenkeel.run(&loads[at]).await).await?;
    let columns = [Column::Rate, Column::RateTo(ONE), Column::P99];
    Ok(vec![Comparison::new(&format!("{TITLE}, {pods} pods"), &columns, true, cases)])
}

/// Creates a Service of the same pods with the policy Cluster. Returns its external IP when it accepts connections.
async fn with_policy_cluster(lab: &Lab) -> Result<Target> {
    let services: Api<Service> = Api::namespaced(lab.client().await?, NAMESPACE);
    let mut service = services.get(OURS).await?;
    service.metadata =
        ObjectMeta { name: Some(CLUSTER.into()), labels: service.metadata.labels, ..ObjectMeta::default() };
    service.status = None;
    let spec = service.spec.as_mut().ok_or("the Service has no specification")?;
    spec.external_traffic_policy = Some("Cluster".into());
    (spec.cluster_ip, spec.cluster_ips, spec.health_check_node_port) = (None, None, None);
    for port in spec.ports.iter_mut().flatten() {
        port.node_port = None;
    }
    services.create(&PostParams::default(), &service).await?;
    let target = lab.endpoint(CLUSTER).await?;
    let address = target.address;
    eventually("connections to the second Service", async || Ok(tokio::net::TcpStream::connect(address).await.ok()))
        .await?;
    Ok(target)
}
