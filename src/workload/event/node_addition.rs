//! Events that add a node to the lab, and remove one.

use std::time::Duration;

use super::EventContext;
use crate::cluster;
use crate::image;
use crate::progress::Progress;
use crate::workload::WorkloadError;
use crate::workload::node_removal::{self, NodeRemoval};

/// How long connections through a node that is removed may take to end.
const GRACE: Duration = Duration::from_secs(30);

/// Adds a node, and waits until it is Ready.
pub(super) async fn add(context: &EventContext<'_>, what: &str) -> Result<(), WorkloadError> {
    let (cluster, toolbox) = context.access.require_lab_now(what)?;
    let variables = image::read_variables();
    cluster::add_node(&cluster, toolbox, &variables, &Progress::silent(), context.shutdown).await?;
    Ok(())
}

/// Removes a node as `evenkeel node remove` does.
pub(super) async fn remove(context: &EventContext<'_>, node: &str, what: &str) -> Result<(), WorkloadError> {
    let (cluster, toolbox) = context.access.require_lab_now(what)?;
    let client = &context.access.client;
    let running = node_removal::find_node(client, &cluster, node).await?;
    let (cluster, progress, shutdown) = (&cluster, &Progress::silent(), context.shutdown);
    let removal = NodeRemoval { client, cluster, toolbox, grace: GRACE, progress, shutdown };
    removal.remove(&running).await?;
    Ok(())
}
