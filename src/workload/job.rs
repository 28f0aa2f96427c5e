//! Waits until a Job is complete.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use super::pod_events;
use super::rollout::WARNINGS;
use crate::kubernetes_error::KubernetesError;
use crate::progress::Progress;
use crate::shutdown::{Shutdown, unless};
use crate::workload::WorkloadError;

/// How long a Job without `activeDeadlineSeconds` may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until a Job is complete, for as long as its manifest allows.
///
/// # Errors
/// [`WorkloadError::RolloutStuck`] when it fails; [`WorkloadError::Deadline`]; [`WorkloadError::Kubernetes`].
pub async fn job(
    client: &Client,
    namespace: &str,
    name: &str,
    shutdown: &Shutdown,
    progress: &Progress,
) -> Result<(), WorkloadError> {
    let step = progress.step(format!("run the Job {namespace}/{name}"));
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let ended = await_condition(jobs.clone(), name, |job: Option<&Job>| job.is_none_or(|job| outcome(job).is_some()));
    let ended = async {
        tokio::select! {
            ended = tokio::time::timeout(PATIENCE, ended) => Ok(ended),
            reason = refusal(client, namespace, name) => Err(WorkloadError::RolloutStuck { reason }),
        }
    };
    let ended = unless(shutdown, Box::pin(ended)).await??;
    let ended = ended.map_err(|_| WorkloadError::Deadline {
        what: format!("the end of the Job {namespace}/{name}"),
        seconds: PATIENCE.as_secs(),
        why: "it is still running".into(),
    })?;
    let ended = ended.map_err(|source| {
        let source = kube::Error::Service(Box::new(source));
        KubernetesError::new(format!("watch the Job {namespace}/{name}"), source)
    })?;
    if let Some(Err(reason)) = ended.as_ref().and_then(outcome) {
        return Err(WorkloadError::RolloutStuck { reason: format!("the Job {namespace}/{name} failed: {reason}") });
    }
    step.done();
    Ok(())
}

/// Waits until the API server has refused the Job's pods for a while. Returns its words.
async fn refusal(client: &Client, namespace: &str, name: &str) -> String {
    let since = Timestamp::now();
    loop {
        tokio::time::sleep(WARNINGS).await;
        let refusal = pod_events::refusal(client, namespace, ("Job", name), since, Timestamp::now()).await;
        if let Some(reason) = refusal {
            return reason;
        }
    }
}

/// `None` while it runs; the reason when it failed.
fn outcome(job: &Job) -> Option<Result<(), String>> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().filter(|condition| condition.status == "True").find_map(|condition| {
        match condition.type_.as_str() {
            "Complete" => Some(Ok(())),
            "Failed" => Some(Err(condition.message.clone().unwrap_or_else(|| "no reason given".into()))),
            _ => None,
        }
    })
}
