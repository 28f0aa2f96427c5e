//! `evenkeel undeploy`.

use clap::builder::NonEmptyStringValueParser;
use kube::Client;
use serde::Serialize;

use super::context::CommandContext;
use super::deploy::RECORD;
use super::foreign::{ClusterFlags, ConsentFlag, require_rights};
use super::output;
use crate::cli::error::Error;
use crate::workload::rights::Activity;
use crate::workload::{agents, deployment};

/// Arguments of `undeploy`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    cluster: ClusterFlags,
    /// Namespace that was deployed to in the cluster of --context or --kubeconfig [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE", requires = "ClusterFlags")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    /// Remove only agents that an interrupted test left behind
    #[arg(long)]
    agents: bool,
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

    /// Removes everything that `deploy` applied, or agents that are left over.
    ///
    /// # Errors
    /// [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
    /// [`WorkloadError::NoWorkload`](crate::workload::WorkloadError::NoWorkload) when nothing is deployed, and more.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        if let Some(cluster) = self.cluster.cluster(context).await? {
            let (what, activity) =
                if self.agents { ("undeploy --agents", Activity::Agents) } else { ("undeploy", Activity::Undeploy) };
            self.consent.require(context, &cluster, what)?;
            let namespace = self.namespace.as_deref().unwrap_or(&cluster.namespace);
            require_rights(context, &cluster, &[activity], namespace).await?;
            return self.remove(context, &cluster.client, (namespace, Some(namespace))).await;
        }
        let (lab, _lock) = context.lab_to_change("undeploy").await?;
        self.remove(context, &lab.client, (RECORD, None)).await
    }

    /// Removes what is recorded in the namespace `record`, or the agents in the namespace `of_agents`.
    async fn remove(
        &self,
        context: &CommandContext,
        client: &Client,
        (record, of_agents): (&str, Option<&str>),
    ) -> Result<(), Error> {
        let progress = &context.progress;
        let removing = async {
            if self.agents {
                agents::delete_leftovers(client, of_agents, progress).await
            } else {
                deployment::undeploy(client, record, progress).await
            }
        };
        let removed = crate::shutdown::unless(&context.shutdown, Box::pin(removing)).await??;
        if context.json { Ok(output::json(&UndeployOutput { schema_version: 1, removed })?) } else { Ok(()) }
    }
}
