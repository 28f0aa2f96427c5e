//! Whether the router sends connections for a Service to exactly the nodes that it should.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;

use super::decide::{Seen, decide};
use crate::cluster::{self, Access, Cluster};
use crate::toolbox::Toolbox;
use crate::workload::backends::slices;
use crate::workload::endpoint::service;
use crate::workload::{Subject, WorkloadError, nodes};

/// The first difference between the routes to the external IPs of a Service and those that it should have; `None` when they
/// agree, and in a lab without a router.
pub(in crate::workload) async fn unrouted(
    client: &Client,
    cluster: &Cluster,
    toolbox: &Toolbox,
    service: &Arc<Service>,
    slices: &[Arc<EndpointSlice>],
) -> Result<Option<String>, WorkloadError> {
    let Some(router) = &cluster.router else { return Ok(None) };
    let nodes: Vec<Arc<Node>> = nodes::list(client).await?.into_iter().map(Arc::new).collect();
    let wanted = decide(&Seen { services: std::slice::from_ref(service), slices, nodes: &nodes }, cluster.subnet);
    let running: BTreeSet<u8> = cluster.nodes.iter().map(|running| running.node.index).collect();
    for (ip, nodes) in wanted.external {
        let wanted = &nodes & &running;
        let found = cluster::routed_nodes(router, toolbox, ip).await?;
        if found != wanted {
            let have = found.intersection(&wanted).count();
            let extra = found.difference(&wanted).count();
            let extra = if extra > 0 { format!(", and to {extra} too many") } else { String::new() };
            return Ok(Some(format!("{ip} is routed to {have} of {} nodes{extra}", wanted.len())));
        }
    }
    Ok(None)
}

/// As [`unrouted`], for the Service of a subject as it is now.
pub(in crate::workload) async fn unrouted_subject(
    access: &Access,
    subject: &Subject,
) -> Result<Option<String>, WorkloadError> {
    let Some((cluster, toolbox)) = access.lab_now() else { return Ok(None) };
    let Some(service) = service(&access.client, subject).await?.map(Arc::new) else { return Ok(None) };
    let slices: Vec<_> = slices(&access.client, subject).await?.into_iter().map(Arc::new).collect();
    unrouted(&access.client, &cluster, toolbox, &service, &slices).await
}
