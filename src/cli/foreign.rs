//! A cluster that is no lab: the flags that name it, the consent to change it, and the check of the user's rights.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use tokio::time::timeout;

use super::context::{CommandContext, ask};
use crate::cli::error::Error;
use crate::cluster::{CONNECT, ClusterError, ForeignCluster, KubeconfigChoice};
use crate::kubernetes_error::KubernetesError;
use crate::shutdown::unless;
use crate::workload::WorkloadError;
use crate::workload::rights::{Activity, Right, review, rights_of};

/// How long the first answers of an API server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Flags that name a cluster that is no lab.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterFlags {
    /// Use the cluster of this context instead of the lab
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    context: Option<String>,
    /// Use the cluster of this kubeconfig instead of the lab [default with --context: those in KUBECONFIG, or
    /// ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// The flag that agrees to a change of such a cluster.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ConsentFlag {
    /// Change the cluster of --context or --kubeconfig without asking
    #[arg(long, requires = "ClusterFlags")]
    yes: bool,
}

impl ClusterFlags {
    /// Whether the command is about a cluster that is no lab.
    #[must_use]
    pub fn are_given(&self) -> bool {
        self.context.is_some() || self.kubeconfig.is_some()
    }

    /// The cluster, which is then named on stderr; `None` for the lab.
    ///
    /// # Errors
    /// As [`ForeignCluster::find`].
    pub async fn cluster(&self, context: &CommandContext) -> Result<Option<ForeignCluster>, Error> {
        if !self.are_given() {
            return Ok(None);
        }
        let choice = KubeconfigChoice { file: self.kubeconfig.clone(), context: self.context.clone() };
        let cluster = ForeignCluster::find(&choice).await?;
        let ForeignCluster { context: name, server, namespace, .. } = &cluster;
        context.progress.note(format!("cluster: context {name}, server {server}, namespace {namespace}"));
        Ok(Some(cluster))
    }
}

impl ConsentFlag {
    /// Returns if the user agrees that `what` changes the cluster.
    ///
    /// # Errors
    /// [`Error::NeedsYes`] when nobody can be asked; [`Error::Declined`].
    pub fn require(self, context: &CommandContext, cluster: &ForeignCluster, what: &str) -> Result<(), Error> {
        if self.yes {
            return Ok(());
        }
        let (what, name) = (what.to_owned(), cluster.context.clone());
        if context.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Error::NeedsYes { what, context: name });
        }
        let asked = ask(&format!("{what} changes the cluster of context {name} ({}).", cluster.server));
        if asked { Ok(()) } else { Err(Error::Declined { what }) }
    }
}

/// Checks that the user may do all of `activities` in `namespace`. Without an optional right, a note says what is missing.
///
/// # Errors
/// [`WorkloadError::MissingRights`]; [`ClusterError::ForeignUnreachable`] when the API server does not answer within seconds.
pub async fn require_rights(
    context: &CommandContext,
    cluster: &ForeignCluster,
    activities: &[Activity],
    namespace: &str,
) -> Result<(), Error> {
    let denied = denied(context, cluster, activities, namespace).await?;
    for right in &denied {
        if let Some(without) = right.without {
            context.progress.note(format!("no right to {}: {without}", right.describe(namespace)));
        }
    }
    let missing = denied.iter().filter(|right| right.without.is_none());
    let missing: Vec<String> = missing.map(|right| right.describe(namespace)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let activities = activities.iter().map(ToString::to_string).collect();
    let (context, namespace) = (cluster.context.clone(), namespace.to_owned());
    Err(WorkloadError::MissingRights { context, namespace, missing, activities }.into())
}

/// The rights that the user lacks.
///
/// # Errors
/// [`ClusterError::ForeignUnreachable`], [`WorkloadError::Kubernetes`].
pub async fn denied(
    context: &CommandContext,
    cluster: &ForeignCluster,
    activities: &[Activity],
    namespace: &str,
) -> Result<Vec<Right>, Error> {
    let rights = rights_of(activities);
    let reviewed = timeout(PATIENCE, review(&cluster.client, &rights, namespace));
    match unless(&context.shutdown, Box::pin(reviewed)).await? {
        Ok(Ok(reviews)) => Ok(reviews.into_iter().filter(|one| !one.allowed).map(|one| one.right).collect()),
        // Where users may not ask for their rights, each request shows whether they have them.
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Ok(Vec::new()),
        Ok(Err(kube::Error::Api(status))) => {
            let source = kube::Error::Api(status);
            Err(WorkloadError::from(KubernetesError::new("check the rights of the user", source)).into())
        }
        Ok(Err(source)) => Err(unreachable(cluster, reason(&source))),
        Err(_) => Err(unreachable(cluster, late(PATIENCE))),
    }
}

fn unreachable(cluster: &ForeignCluster, why: String) -> Error {
    let (context, server) = (cluster.context.clone(), cluster.server.clone());
    ClusterError::ForeignUnreachable { context, server, why }.into()
}

/// The innermost cause.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    // The timeout of a connection is an error without a number of the operating system.
    let timed_out = innermost
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut && error.raw_os_error().is_none());
    if timed_out { late(CONNECT) } else { innermost.to_string() }
}

fn late(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}
