//! The Job whose pods are the agents of one run.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams, PropagationPolicy};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::stream::RESULTS_AT_A_TIME;
use super::trouble;
use super::{COMPONENT, CONTAINER, INDEX, MANAGED_BY, RUN};
use crate::kubernetes_error::KubernetesError;
use crate::workload::observe::ConstantBackoff;
use crate::workload::subject::Subject;
use crate::workload::{WorkloadError, pod_events};

/// How long a finished Job is kept if nobody deletes it.
const KEPT: Duration = Duration::from_secs(300);
/// How long agents may take to start, besides their deadline.
const START: Duration = Duration::from_secs(120);
/// How long an agent may take to end when its pod is deleted.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait before a broken watch is opened again, and before a request is sent again that got no answer.
const AGAIN: Duration = Duration::from_millis(200);
/// How long the API server may not be reachable when the Job is deleted.
const UNREACHABLE: Duration = Duration::from_secs(10);
/// How often it is checked whether the API server refuses the pods.
const REFUSALS: Duration = Duration::from_millis(500);

/// What agents a run needs.
#[derive(Clone, Copy, Debug)]
pub struct AgentJobSpec<'a> {
    /// The Service that the load is for. The Job is in its namespace.
    pub subject: &'a Subject,
    /// How many agents there are.
    pub count: u32,
    /// Their image.
    pub image: &'a str,
    /// After how long the API server ends them, counted from the first pod.
    pub deadline: Duration,
}

/// A Job of agents. It is deleted with [`AgentJob::delete`].
pub struct AgentJob {
    client: Client,
    namespace: String,
    name: String,
    count: u32,
    created: Timestamp,
    /// Permits to read a result.
    results: Arc<Semaphore>,
}

/// The pod of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPod {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: Option<String>,
    /// Why it does not run.
    pub trouble: Option<String>,
}

impl AgentJob {
    /// Creates the Job.
    ///
    /// # Errors
    /// [`WorkloadError::Kubernetes`]; [`WorkloadError::AgentsRefused`] when the namespace forbids it.
    pub async fn create(client: &Client, spec: AgentJobSpec<'_>) -> Result<Self, WorkloadError> {
        let namespace = spec.subject.namespace.clone();
        let name = format!("evenkeel-agents-{}", run_id());
        let job: Job = serde_json::from_value(manifest(&name, spec))
            .map_err(|source| KubernetesError::new("describe a Job", kube::Error::SerdeError(source)))?;
        let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
        let created = Timestamp::now();
        match jobs.create(&PostParams::default(), &job).await {
            Ok(_) => {
                let results = Arc::new(Semaphore::new(RESULTS_AT_A_TIME));
                Ok(Self { client: client.clone(), namespace, name, count: spec.count, created, results })
            }
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Err(WorkloadError::AgentsRefused { namespace, why: status.message })
            }
            Err(source) => Err(KubernetesError::new(format!("create the Job {namespace}/{name}"), source).into()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until each agent runs or cannot run, but at most `patience`. The agents are in the order of their numbers; those
    /// that do not run have a trouble. `started` is called with the number of those that run.
    ///
    /// # Errors
    /// [`WorkloadError::AgentsRefused`] when the API server refuses pods.
    pub async fn pods(
        &self,
        patience: Duration,
        mut started: impl FnMut(usize),
    ) -> Result<Vec<AgentPod>, WorkloadError> {
        let mut known: BTreeMap<u32, AgentPod> = BTreeMap::new();
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let of_job = watcher::Config::default().labels(&format!("batch.kubernetes.io/job-name={}", self.name));
        let changes = watcher(pods, of_job).backoff(ConstantBackoff(AGAIN)).applied_objects();
        let count = self.count;
        let starting = async {
            let mut changes = std::pin::pin!(changes);
            while let Some(change) = changes.next().await {
                let Some((index, pod)) = change.ok().and_then(|pod| Some((index(&pod)?, state(&pod)))) else {
                    continue;
                };
                known.insert(index, pod);
                let running = known.values().filter(|pod| pod.trouble.is_none()).count();
                started(running);
                if known.len() == count as usize && known.values().all(is_settled) {
                    break;
                }
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(patience, starting) => {}
            why = self.refusal() => {
                return Err(WorkloadError::AgentsRefused { namespace: self.namespace.clone(), why });
            }
        }
        let missing = |number| AgentPod {
            name: format!("{}-{number}", self.name),
            node: None,
            trouble: Some(format!("no pod was created within {} s", patience.as_secs())),
        };
        Ok((0..count).map(|number| known.remove(&number).unwrap_or_else(|| missing(number))).collect())
    }

    /// Waits until the API server has refused pods for a while. Returns its words.
    async fn refusal(&self) -> String {
        loop {
            sleep(REFUSALS).await;
            let of_job = ("Job", self.name.as_str());
            let refusal =
                pod_events::refusal(&self.client, &self.namespace, of_job, self.created, Timestamp::now()).await;
            if let Some(why) = refusal {
                return why;
            }
        }
    }

    /// Why an agent ended, if its pod says so.
    pub async fn why_ended(&self, pod: &str) -> Option<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        match pods.get_opt(pod).await.ok()? {
            Some(pod) => trouble::of_ended(&pod),
            None => Some("its pod was deleted".into()),
        }
    }

    /// Deletes the Job and its pods. A Job that is gone is no error, and an API server that starts again is waited for.
    ///
    /// # Errors
    /// [`WorkloadError::Kubernetes`].
    pub async fn delete(&self) -> Result<(), WorkloadError> {
        let deadline = Instant::now() + UNREACHABLE;
        loop {
            match delete(&self.client, &self.namespace, &self.name).await {
                Err(error) if is_unreachable(&error) && Instant::now() < deadline => sleep(AGAIN).await,
                deleted => return deleted,
            }
        }
    }

    /// A connection to the stdin and stdout of an agent.
    ///
    /// # Errors
    /// [`WorkloadError::Kubernetes`].
    pub async fn attach(&self, pod: &str) -> Result<super::AgentStream, WorkloadError> {
        super::AgentStream::open(&self.client, &self.namespace, pod, Arc::clone(&self.results)).await
    }
}

/// Whether there was no answer.
fn is_unreachable(error: &WorkloadError) -> bool {
    matches!(error, WorkloadError::Kubernetes(error) if !matches!(*error.source, kube::Error::Api(_)))
}

/// Deletes a Job and its pods.
pub(super) async fn delete(client: &Client, namespace: &str, name: &str) -> Result<(), WorkloadError> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let with_pods = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    match jobs.delete(name, &with_pods).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(KubernetesError::new(format!("delete the Job {namespace}/{name}"), source).into()),
        Ok(_) => Ok(()),
    }
}

/// The number of an agent among those of its Job.
fn index(pod: &Pod) -> Option<u32> {
    pod.labels().get(INDEX)?.parse().ok()
}

fn state(pod: &Pod) -> AgentPod {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    AgentPod { name: pod.name_any(), node, trouble: trouble::of_starting(pod) }
}

/// Whether nothing is to be expected: the agent runs, or cannot run.
fn is_settled(pod: &AgentPod) -> bool {
    pod.trouble.as_deref().is_none_or(|trouble| !trouble.starts_with(trouble::STARTING))
}

/// A number that no other run has.
fn run_id() -> String {
    // The standard library seeds a new hasher from the system.
    let random = RandomState::new().build_hasher().finish();
    format!("{:010x}", random & 0xff_ffff_ffff)
}

fn manifest(name: &str, spec: AgentJobSpec<'_>) -> Value {
    let AgentJobSpec { subject, count, image, deadline } = spec;
    let labels = json!({
        "app.kubernetes.io/name": "evenkeel-agent", COMPONENT.0: COMPONENT.1, MANAGED_BY.0: MANAGED_BY.1, RUN: name,
    });
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "namespace": subject.namespace, "labels": labels},
        "spec": {
            "completionMode": "Indexed", "completions": count, "parallelism": count,
            // A failed agent is not started again, and the others go on. `backoffLimit: 0` would end them, too.
            "backoffLimitPerIndex": 0, "maxFailedIndexes": count,
            "ttlSecondsAfterFinished": KEPT.as_secs(),
            "activeDeadlineSeconds": (deadline + START).as_secs(),
            "template": {"metadata": {"labels": labels}, "spec": pod(name, subject, image)},
        },
    })
}

fn pod(name: &str, subject: &Subject, image: &str) -> Value {
    let of_run = json!({"matchLabels": {RUN: name}});
    let of_subject: BTreeMap<&str, &str> =
        subject.selector.split(',').filter_map(|part| part.split_once('=')).collect();
    json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": GRACE.as_secs(),
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": of_run,
        }],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": {
                "topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": of_subject},
            },
        }]}},
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{
            "name": CONTAINER, "image": image, "imagePullPolicy": "IfNotPresent",
            // The container's stdin is closed when the only connection to it ends.
            "stdin": true, "stdinOnce": true,
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::subject::tests::own;

    #[test]
    fn the_job_is_what_a_restricted_namespace_allows() {
        let subject = own();
        let spec = AgentJobSpec { subject: &subject, count: 3, image: "agent:1", deadline: Duration::from_secs(40) };
        let job: Job = serde_json::from_value(manifest("run-1", spec)).unwrap();
        assert_eq!(job.metadata.namespace.as_deref(), Some(subject.namespace.as_str()));
        let spec = job.spec.unwrap();
        assert_eq!((spec.completions, spec.parallelism, spec.active_deadline_seconds), (Some(3), Some(3), Some(160)));
        assert_eq!((spec.backoff_limit_per_index, spec.backoff_limit), (Some(0), None));
        let pod = spec.template.spec.unwrap();
        assert_eq!((pod.automount_service_account_token, pod.restart_policy.as_deref()), (Some(false), Some("Never")));
        let container = &pod.containers[0];
        assert_eq!((container.stdin, container.stdin_once, container.ports.as_ref()), (Some(true), Some(true), None));
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.capabilities.as_ref().unwrap().drop.as_ref().unwrap(), &["ALL"]);
        assert_eq!(pod.security_context.unwrap().run_as_non_root, Some(true));
    }

    #[test]
    fn runs_have_different_names() {
        let ids: std::collections::BTreeSet<_> = (0..100).map(|_| run_id()).collect();
        assert!(ids.len() == 100 && ids.iter().all(|id| id.len() == 10), "{ids:?}");
    }
}
