//! `evenkeel scale`.

use serde::Serialize;

use super::context::CommandContext;
use super::foreign::{ClusterFlags, ConsentFlag, require_rights};
use super::subject::SubjectFlag;
use super::{output, status};
use crate::cli::error::Error;
use crate::cluster::Access;
use crate::config::Replicas;
use crate::shutdown::unless;
use crate::workload::rights::Activity;
use crate::workload::status::Workload;
use crate::workload::{self, ScaleOutcome, Subject, admission};

/// Arguments of `scale`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of pods
    #[arg(value_name = "N", allow_negative_numbers = true)]
    replicas: Replicas,
    #[command(flatten)]
    subject: SubjectFlag,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    consent: ConsentFlag,
}

#[derive(Serialize)]
struct ScaleOutput<'a> {
    schema_version: u32,
    #[serde(flatten)]
    outcome: ScaleOutcome,
    #[serde(flatten)]
    workload: &'a Workload,
}

impl Args {
    /// Whether the cluster is no lab.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.cluster.are_given()
    }

    /// Scales, and prints the workload.
    ///
    /// # Errors
    /// [`ClusterError::NoLab`](crate::cluster::ClusterError::NoLab),
    /// [`WorkloadError::NoWorkload`](crate::workload::WorkloadError::NoWorkload),
    /// [`WorkloadError::RolloutStuck`](crate::workload::WorkloadError::RolloutStuck) and more.
    pub async fn run(&self, context: &CommandContext) -> Result<(), Error> {
        if let Some(cluster) = self.cluster.cluster(context).await? {
            self.consent.require(context, &cluster, "scale")?;
            let namespace = self.subject.namespace_in(&cluster);
            require_rights(context, &cluster, &[Activity::Scale], namespace).await?;
            let subject = Subject::find(&cluster.client, &self.subject.wish_in(&cluster)).await?;
            let room = admission::require_room(&cluster.client, &subject, self.replicas);
            unless(&context.shutdown, Box::pin(room)).await??;
            return self.scale(context, &cluster.access(), &subject).await;
        }
        let (lab, _lock) = context.lab_to_change("scale").await?;
        let toolbox = context.toolbox(false).await?;
        let subject = self.subject.subject(context, &lab.client).await?;
        self.scale(context, &lab.access(Some(&toolbox)), &subject).await
    }

    async fn scale(&self, context: &CommandContext, access: &Access, subject: &Subject) -> Result<(), Error> {
        let CommandContext { progress, shutdown, .. } = context;
        let outcome = Box::pin(workload::scale(access, subject, self.replicas, progress, shutdown)).await?;
        let workload = workload::status::workload(&access.client, Some(subject)).await?;
        if context.json {
            let schema_version = workload::status::SCHEMA_VERSION;
            return Ok(output::json(&ScaleOutput { schema_version, outcome, workload: &workload })?);
        }
        Ok(output::text(&status::workload_text(&workload))?)
    }
}
