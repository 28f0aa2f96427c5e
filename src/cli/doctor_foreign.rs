//! `evenkeel doctor` for a cluster that is no lab: whether it answers, and which rights of the user are missing for each verb.

use std::fmt::Write;

use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;

use super::context::CommandContext;
use super::foreign::{ClusterFlags, denied};
use super::output;
use super::rbac::{activity, or_all};
use crate::cli::error::Error;
use crate::cluster::ForeignCluster;
use crate::workload::WorkloadError;
use crate::workload::rights::{Activity, Right, rights_of};

/// The schema version of the JSON output.
const SCHEMA_VERSION: u32 = 1;

/// Flags for a cluster that is no lab.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RightsFlags {
    #[command(flatten)]
    cluster: ClusterFlags,
    /// Check the rights for these verbs and events of a test [default: all]
    #[arg(long, value_name = "VERB,…", value_delimiter = ',', value_parser = activity(), requires = "ClusterFlags")]
    rights: Vec<Activity>,
    /// Check the rights in this namespace [default: that of the context]
    #[arg(short, long, value_name = "NAMESPACE", requires = "ClusterFlags")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    namespace: Option<String>,
}

/// The result.
#[derive(Debug, Serialize)]
struct RightsOutput<'a> {
    schema_version: u32,
    /// No right is missing that is needed.
    well: bool,
    context: &'a str,
    server: &'a str,
    namespace: &'a str,
    rights: Vec<ActivityCheck>,
}

/// The rights for one activity.
#[derive(Debug, Serialize)]
struct ActivityCheck {
    name: &'static str,
    /// The rights that are needed and missing.
    missing: Vec<String>,
    /// What is missing because of other missing rights.
    reduced: Vec<String>,
}

impl RightsFlags {
    /// Checks the cluster that the flags name; returns whether they name one.
    ///
    /// # Errors
    /// [`WorkloadError::MissingRights`] after the result is printed; [`Error::Cluster`] when the cluster is not reached.
    pub async fn run(&self, context: &CommandContext) -> Result<bool, Error> {
        let Some(cluster) = self.cluster.cluster(context).await? else { return Ok(false) };
        let namespace = self.namespace.as_deref().unwrap_or(&cluster.namespace);
        let activities = or_all(&self.rights);
        let denied = denied(context, &cluster, &activities, namespace).await?;
        let checks: Vec<_> = activities.iter().map(|activity| check(*activity, &denied, namespace)).collect();
        let ForeignCluster { context: name, server, .. } = &cluster;
        let well = checks.iter().all(|check| check.missing.is_empty());
        let table = table(&checks, namespace);
        if context.json {
            let (schema_version, rights) = (SCHEMA_VERSION, checks);
            output::json(&RightsOutput { schema_version, well, context: name, server, namespace, rights })?;
        } else {
            output::text(&table)?;
        }
        if well {
            return Ok(true);
        }
        let missing = denied.iter().filter(|right| right.without.is_none());
        Err(WorkloadError::MissingRights {
            context: name.clone(),
            namespace: namespace.to_owned(),
            missing: missing.map(|right| right.describe(namespace)).collect(),
            activities: activities.iter().map(ToString::to_string).collect(),
        }
        .into())
    }
}

/// Which rights of an activity are among the `denied` ones.
fn check(activity: Activity, denied: &[Right], namespace: &str) -> ActivityCheck {
    let is_denied = |right: &&Right| {
        denied.iter().any(|denied| Right { without: None, ..*denied } == Right { without: None, ..**right })
    };
    let rights = rights_of(&[activity]);
    let (mut missing, mut reduced) = (Vec::new(), Vec::new());
    for right in rights.iter().filter(is_denied) {
        match right.without {
            None => missing.push(right.describe(namespace)),
            Some(without) => reduced.push(format!("{}: {without}", right.describe(namespace))),
        }
    }
    ActivityCheck { name: activity.name(), missing, reduced }
}

fn table(checks: &[ActivityCheck], namespace: &str) -> String {
    let mut text = format!("rights in namespace {namespace}\n");
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for ActivityCheck { name, missing, reduced } in checks {
        let mark = if missing.is_empty() { "ok" } else { "MISSING" };
        let all: Vec<String> =
            missing.iter().cloned().chain(reduced.iter().map(|without| format!("without {without}"))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", format!("  {mark:<7}  {name:<width$}  {}", all.join("; ")).trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_shows_what_it_lacks() {
        let denied: Vec<Right> = rights_of(&[Activity::Scale, Activity::Status])
            .into_iter()
            .filter(|right| matches!(right.resource, "deployments/scale" | "nodes"))
            .collect();
        let checks = [Activity::Status, Activity::Scale, Activity::Logs].map(|one| check(one, &denied, "shop"));
        assert_eq!(
            table(&checks, "shop"),
            "rights in namespace shop\n  \
               ok       status  without list nodes: the nodes are not shown\n  \
               MISSING  scale   get deployments.apps/scale in namespace shop; patch deployments.apps/scale in namespace shop\n  \
               ok       logs\n"
        );
    }
}
