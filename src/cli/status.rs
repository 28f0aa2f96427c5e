//! `evenkeel status`, and the tables that other verbs print at their end.

use std::collections::BTreeSet;

use kube::Client;
use serde::Serialize;

use super::context::CommandContext;
use super::foreign::{ClusterFlags, require_rights};
use super::output;
use super::subject::SubjectFlag;
use crate::cli::error::{Error, leave_link_alone};
use crate::clock::now;
use crate::cluster::{self, ComponentState, ComponentStatus, ForeignCluster};
use crate::config::Subnet;
use crate::report::{Align, plain_table};
use crate::workload::rights::Activity;
use crate::workload::status::{ForeignStatus, NodeComponents, SCHEMA_VERSION, Status, Workload};
use crate::workload::view::{NodeRow, PodRow, ServiceRow, human_age};
use crate::workload::{self, Subject};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: SubjectFlag,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// The status of a cluster that is no lab.
#[derive(Serialize)]
struct ForeignOutput<'a> {
    schema_version: u32,
    context: &'a str,
    server: &'a str,
    namespace: &'a str,
    #[serde(flatten)]
    status: ForeignStatus,
}

impl Args {
    /// Prints everything that is known. If the API server does not answer, that is an error after the rest is printed.
    ///
    /// # Errors
    /// [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
    /// [`ClusterError::Kubeconfig`](crate::cluster::ClusterError::Kubeconfig), [`WorkloadError::Kubernetes`](crate::workload::WorkloadError::Kubernetes).
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        if let Some(cluster) = self.cluster.cluster(context).await? {
            return self.foreign(context, &cluster).await;
        }
        let cluster = context.cluster()?;
        let client = cluster::client(&cluster).await;
        let wanted = self.subject.wish(&context.paths);
        let asked = workload::status(&cluster, client, &wanted);
        let (status, problem) = crate::shutdown::unless(&context.shutdown, Box::pin(asked)).await??;
        if context.json {
            output::json(&status)?;
        } else {
            output::text(&text(&status))?;
        }
        problem.map_or(Ok(()), |problem| Err(problem.into()))
    }

    async fn foreign(&self, context: &CommandContext, cluster: &ForeignCluster) -> Result<(), Error> {
        let namespace = self.subject.namespace_in(cluster);
        require_rights(context, cluster, &[Activity::Status], namespace).await?;
        let wanted = self.subject.wish_in(cluster);
        let asked = workload::status::foreign(&cluster.client, &wanted, namespace);
        let status = crate::shutdown::unless(&context.shutdown, Box::pin(asked)).await??;
        if context.json {
            let ForeignCluster { context, server, .. } = cluster;
            let schema_version = SCHEMA_VERSION;
            return Ok(output::json(&ForeignOutput { schema_version, context, server, namespace, status })?);
        }
        let nodes = status.nodes.as_ref().map(|nodes| format!("{}\n", nodes_text(nodes))).unwrap_or_default();
        Ok(output::text(&format!("{nodes}{}", workload_text(&status.workload)))?)
    }
}

/// Prints the pods and the Services.
///
/// # Errors
/// [`WorkloadError::Kubernetes`](crate::workload::WorkloadError::Kubernetes).
pub async fn show_workload(context: &CommandContext, client: &Client, subject: Option<&Subject>) -> Result<(), Error> {
    let workload = workload::status::workload(client, subject).await?;
    show(context, &workload)
}

/// Prints the pods and the Services of a namespace.
///
/// # Errors
/// [`WorkloadError::Kubernetes`](crate::workload::WorkloadError::Kubernetes).
pub async fn show_workload_of(context: &CommandContext, client: &Client, namespace: &str) -> Result<(), Error> {
    let workload = workload::status::workload_of(client, namespace).await?;
    show(context, &workload)
}

fn show(context: &CommandContext, workload: &Workload) -> Result<(), Error> {
    #[derive(Serialize)]
    struct WorkloadOutput<'a> {
        schema_version: u32,
        #[serde(flatten)]
        workload: &'a Workload,
    }
    if context.json {
        return Ok(output::json(&WorkloadOutput { schema_version: SCHEMA_VERSION, workload })?);
    }
    Ok(output::text(&workload_text(workload))?)
}

/// The pods and the Services, as `kubectl get` shows them.
#[must_use]
pub fn workload_text(workload: &Workload) -> String {
    let of_pods = workload.pods.iter().map(|pod| pod.namespace.as_str());
    let namespaces: BTreeSet<&str> = of_pods.chain(workload.services.iter().map(|s| s.namespace.as_str())).collect();
    let pods: Vec<_> = workload.pods.iter().map(pod).collect();
    let services: Vec<_> = workload.services.iter().map(service).collect();
    let pod_header = ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"];
    let service_header = ["NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"];
    if namespaces.len() > 1 {
        return format!("{}\n{}", table("pods", &pod_header, &pods), table("Services", &service_header, &services));
    }
    // The column would have the same value everywhere.
    let without_namespace = |rows: Vec<Vec<String>>| rows.into_iter().map(|row| row[1..].to_vec()).collect::<Vec<_>>();
    let pods = table("pods", &pod_header[1..], &without_namespace(pods));
    format!("{pods}\n{}", table("Services", &service_header[1..], &without_namespace(services)))
}

fn text(status: &Status) -> String {
    let components: Vec<_> = status.components.iter().flat_map(of_node).collect();
    let header = ["COMPONENT", "NODE", "STATE", "PID", "RESTARTS", "UPTIME", "LAST EXIT"];
    let mode = status.proxy_mode.map(|mode| format!("\nkube-proxy mode: {mode}\n")).unwrap_or_default();
    let mode = format!("{mode}{}", network(status));
    let log_lines: String = status.components.iter().flat_map(|of| &of.components).filter_map(last_log_line).collect();
    let space = if log_lines.is_empty() { "" } else { "\n" };
    let components = format!("{}{space}{log_lines}{mode}", table("components", &header, &components));
    let nodes = status.nodes.as_ref().map(|nodes| nodes_text(nodes));
    // A lost address is the error of this verb.
    let changed = status.link_changes.as_ref().filter(|changes| changes.removed.is_none());
    let changed = changed.map(|changes| format!("warning: {changes}\nhint: {}\n", leave_link_alone(changes)));
    let parts = [changed, nodes, Some(components), status.workload.as_ref().map(workload_text)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// What differs from most labs: the addresses, and the router.
fn network(status: &Status) -> String {
    let subnet = (status.subnet != Subnet::default()).then(|| format!("addresses: {}\n", status.subnet));
    let hash = status.router_hash.map(|hash| format!("router hash: {hash}\n"));
    subnet.into_iter().chain(hash).collect()
}

/// The nodes. Only a lab with zones has their column.
fn nodes_text(nodes: &[NodeRow]) -> String {
    let zones = nodes.iter().any(|node| node.zone.is_some());
    let row = |row: &NodeRow| {
        let zone = zones.then(|| row.zone.clone().unwrap_or_else(none));
        node(row).into_iter().chain(zone).collect::<Vec<_>>()
    };
    let header = ["NAME", "STATUS", "VERSION", "ADDRESS", "AGE", "ZONE"];
    table("nodes", &header[..if zones { 6 } else { 5 }], &nodes.iter().map(row).collect::<Vec<_>>())
}

fn table(what: &str, header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() { format!("No {what}.\n") } else { plain_table(Align::Left, header, rows) }
}

fn node(row: &NodeRow) -> Vec<String> {
    let address = row.address.clone().unwrap_or_else(none);
    vec![row.name.clone(), row.status.clone(), row.version.clone(), address, human_age(row.age_seconds)]
}

fn pod(row: &PodRow) -> Vec<String> {
    let restarts = match row.last_restart_seconds {
        Some(ago) if row.restarts > 0 => format!("{} ({} ago)", row.restarts, human_age(ago)),
        _ => row.restarts.to_string(),
    };
    let ready = format!("{}/{}", row.ready, row.containers);
    vec![row.namespace.clone(), row.name.clone(), ready, row.status.clone(), restarts, human_age(row.age_seconds)]
}

fn service(row: &ServiceRow) -> Vec<String> {
    let external = match (row.external_ips.is_empty(), row.kind.as_str()) {
        (false, _) => row.external_ips.join(","),
        (true, "LoadBalancer") => "<pending>".into(),
        (true, _) => none(),
    };
    let ports = if row.ports.is_empty() { none() } else { row.ports.join(",") };
    let cluster_ip = row.cluster_ip.clone().unwrap_or_else(none);
    vec![
        row.namespace.clone(),
        row.name.clone(),
        row.kind.clone(),
        cluster_ip,
        external,
        ports,
        human_age(row.age_seconds),
    ]
}

fn of_node(of: &NodeComponents) -> impl Iterator<Item = Vec<String>> {
    of.components.iter().map(|component| self::component(&of.node, component))
}

fn component(node: &str, component: &ComponentStatus) -> Vec<String> {
    let state = match component.state {
        ComponentState::Starting => "Starting",
        ComponentState::Running => "Running",
        ComponentState::Waiting => "Waiting",
        ComponentState::GivenUp => "GivenUp",
    };
    let ago = |then: u64| human_age(now().saturating_sub(then));
    let last_exit = match (&component.last_exit, component.last_exit_at) {
        (Some(exit), Some(at)) => format!("{exit} ({} ago)", ago(at)),
        (exit, _) => exit.clone().unwrap_or_else(none),
    };
    vec![
        component.name.clone(),
        node.to_owned(),
        state.to_owned(),
        component.pid.map_or_else(none, |pid| pid.to_string()),
        component.restarts.to_string(),
        component.started.map_or_else(none, ago),
        last_exit,
    ]
}

/// The last line that a component wrote before it exited; `--json` has more lines.
fn last_log_line(component: &ComponentStatus) -> Option<String> {
    let line = component.last_words.as_deref()?.lines().last().filter(|line| !line.trim().is_empty())?;
    Some(format!("last log line of {}: {}\n", component.name, clipped(line.trim())))
}

/// At most 200 characters, because klog writes whole objects into one line, and no control characters, which could
/// change the terminal.
fn clipped(line: &str) -> String {
    const MOST: usize = 200;
    let mut plain = line.chars().filter(|c| !c.is_control());
    let mut text: String = plain.by_ref().take(MOST).collect();
    text.extend(plain.next().map(|_| '…'));
    text
}

fn none() -> String {
    "<none>".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_exited_has_its_last_log_line() {
        let mut died = ComponentStatus {
            name: "kubelet".into(),
            state: ComponentState::GivenUp,
            pid: None,
            restarts: 12,
            since: 0,
            started: None,
            last_exit: Some("exit 1".into()),
            last_exit_at: None,
            last_words: Some("first\nthe \u{1b}[31mdog ate my lease\n".into()),
        };
        assert_eq!(component("lab-0", &died)[2..], ["GivenUp", "<none>", "12", "<none>", "exit 1"]);
        assert_eq!(last_log_line(&died).unwrap(), "last log line of kubelet: the [31mdog ate my lease\n");
        died.last_words = Some("é".repeat(300));
        let words = last_log_line(&died).unwrap();
        assert!(words.ends_with("é…\n") && words.chars().filter(|c| *c == 'é').count() == 200, "{words}");
        died.last_words = Some(String::new());
        assert_eq!(last_log_line(&died), None);
    }
}
