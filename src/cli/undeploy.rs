//! `evenkeel undeploy`.

use clap::builder::NonEmptyStringValueParser;
use kube::Client;
use serde::Serialize;

use super::context::CommandContext;
use super::deploy::RECORD;
use super::foreign::{ClusterFlags, ConsentFlag, require_rights};
use super::output;
use crate::cli::error::Error;
use crate::workload::deployment;
use crate::workload::rights::Activity;

/// Arguments of `undeploy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterFlags,
    /// Namespace that was deployed to in the cluster of --context or --kubeconfig [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE", requires = "ClusterFlags")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    #[command(flatten)]
    consent: ConsentFlag,
}

#[derive(Serialize)]
struct UndeployOutput {
    schema_version: u32,
    removed: usize,
}

impl Args {
    /// Whether the cluster is no lab.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.cluster.are_given()
    }

    /// Removes everything that `deploy` applied.
    ///
    /// # Errors
    /// [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
    /// [`WorkloadError::NoWorkload`](crate::workload::WorkloadError::NoWorkload) when nothing is deployed, and more.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        if let Some(cluster) = self.cluster.cluster(context).await? {
            self.consent.require(context, &cluster, "undeploy")?;
            let namespace = self.namespace.as_deref().unwrap_or(&cluster.namespace);
            require_rights(context, &cluster, &[Activity::Undeploy], namespace).await?;
            return undeploy(context, &cluster.client, namespace).await;
        }
        let (lab, _lock) = context.lab_to_change("undeploy").await?;
        undeploy(context, &lab.client, RECORD).await
    }
}

/// Removes what is recorded in the namespace `record`.
async fn undeploy(context: &CommandContext, client: &Client, record: &str) -> Result<(), Error> {
    let removing = deployment::undeploy(client, record, &context.progress);
    let removed = crate::shutdown::unless(&context.shutdown, Box::pin(removing)).await??;
    if context.json { Ok(output::json(&UndeployOutput { schema_version: 1, removed })?) } else { Ok(()) }
}
