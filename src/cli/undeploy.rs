//! `evenkeel undeploy`.

use serde::Serialize;

use super::context::CommandContext;
use super::output;
use crate::cli::error::Error;
use crate::workload::deployment;

#[derive(Serialize)]
struct UndeployOutput {
    schema_version: u32,
    removed: usize,
}

/// Removes everything that `deploy` applied.
///
/// # Errors
/// [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
/// [`WorkloadError::NoWorkload`](crate::workload::WorkloadError::NoWorkload) when nothing is deployed, and more.
pub async fn run(context: &CommandContext) -> Result<(), Error> {
    let (lab, _lock) = context.lab_to_change("undeploy").await?;
    let removing = deployment::undeploy(&lab.client, &context.progress);
    let removed = crate::shutdown::unless(&context.shutdown, Box::pin(removing)).await??;
    if context.json { Ok(output::json(&UndeployOutput { schema_version: 1, removed })?) } else { Ok(()) }
}
