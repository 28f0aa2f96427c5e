//! Waits until a rollout is complete, or until it is known that it cannot be.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};
use tokio::time::{Instant, MissedTickBehavior};

use super::controller::{Controller, ControllerKind};
use super::controller_state::ControllerState;
use super::observe::{Observed, View};
use super::pod_events::{self, PodWarning};
use super::pods::{is_active, is_ready};
use super::rollout_failure::{self, RolloutFailure};
use super::scale::some;
use crate::progress::{Progress, Step};
use crate::shutdown::{Interrupted, Shutdown};
use crate::workload::WorkloadError;

/// Only when the API server takes longer than this to answer, it is reported.
const PROMPT: Duration = Duration::from_millis(500);
/// How long no further pod may have become ready when the patience is over.
const PROGRESS: Duration = Duration::from_secs(60);
/// How often the warnings about pods are read.
pub(super) const WARNINGS: Duration = Duration::from_secs(2);

/// Whether a condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Done,
    /// Not yet, and what is missing.
    Waiting(String),
}

/// Waits until every pod of the controller is of the newest revision and available.
///
/// # Errors
/// [`WorkloadError::RolloutStuck`] with the reason when the pods cannot start; [`WorkloadError::Deadline`] when it takes too long.
pub async fn rollout(
    client: &Client,
    controller: &Controller,
    shutdown: &Shutdown,
    progress: &Progress,
) -> Result<(), WorkloadError> {
    let step = progress.step(format!("roll out the pods of {controller}"));
    let mut observed = Observed::controller(client, controller);
    let mut watch = Watch::new("the rollout", client, &controller.namespace, shutdown);
    let view = watch.until(&mut observed, &step, judge).await?;
    step.done_with(some(wanted(&view), "pod"));
    Ok(())
}

/// The number of pods that there should be. Without a controller, these are the pods that there are.
pub(super) fn wanted(view: &View) -> usize {
    match &view.controller {
        Some(controller) => controller.wanted as usize,
        None => view.pods.iter().filter(|pod| is_active(pod)).count(),
    }
}

/// Decides as `kubectl rollout status` does.
fn judge(view: &View) -> Verdict {
    let Some(state) = &view.controller else { return Verdict::Waiting("the controller does not exist".into()) };
    let ControllerState { wanted, pods, updated, available, .. } = *state;
    if !state.is_observed {
        return Verdict::Waiting("the new specification has not been observed yet".into());
    }
    if updated < wanted {
        Verdict::Waiting(format!("{updated} of {wanted} pods created"))
    } else if pods > updated {
        Verdict::Waiting(format!("{} still running", some((pods - updated) as usize, "old pod")))
    } else if available < updated {
        Verdict::Waiting(format!("{available} of {wanted} pods ready"))
    } else {
        Verdict::Done
    }
}

/// A wait with a deadline, which ends early when the pods cannot start.
pub(super) struct Watch<'a> {
    what: &'static str,
    client: &'a Client,
    namespace: &'a str,
    shutdown: &'a Shutdown,
    began: Instant,
    patience: Duration,
    /// The largest number of pods of the newest revision that were ready, and when that was reached.
    most_ready: (usize, Instant),
    said: String,
    warning: Option<PodWarning>,
    asked: Instant,
    /// When the wait began, by the clock of events.
    since: Timestamp,
}

impl<'a> Watch<'a> {
    /// `what` is a noun phrase for the error when the deadline passes.
    pub(super) fn new(what: &'static str, client: &'a Client, namespace: &'a str, shutdown: &'a Shutdown) -> Self {
        let (began, patience) = (Instant::now(), Duration::from_secs(60));
        let (said, warning, asked, since) = (String::new(), None, began, Timestamp::now());
        let most_ready = (0, began);
        Self { what, client, namespace, shutdown, began, patience, most_ready, said, warning, asked, since }
    }

    /// Waits until `judge` returns [`Verdict::Done`], and returns the view for which it did.
    pub(super) async fn until(
        &mut self,
        observed: &mut Observed,
        step: &Step,
        judge: impl Fn(&View) -> Verdict,
    ) -> Result<View, WorkloadError> {
        // Some failures count only after a while, so the view is judged again even without a change.
        let mut clock = tokio::time::interval(Duration::from_secs(1));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(Interrupted.into()),
                () = observed.changed() => {}
                _ = clock.tick() => {}
            }
            let Some(view) = observed.view() else {
                if self.began.elapsed() > PROMPT {
                    self.still(step, observed.broken().unwrap_or("the API server has not answered yet"))?;
                }
                continue;
            };
            match judge(&view) {
                Verdict::Done => return Ok(view),
                Verdict::Waiting(why) => {
                    if let Some(failure) = rollout_failure::find(&view, Timestamp::now()) {
                        return Err(self.explain(failure).await);
                    }
                    self.ask(&view).await?;
                    if let Some(controller) = &view.controller {
                        self.patience = controller.patience();
                    }
                    let ready = rollout_failure::newest_pods(&view).into_iter().filter(|pod| is_ready(pod)).count();
                    if ready > self.most_ready.0 {
                        self.most_ready = (ready, Instant::now());
                    }
                    let why = match &self.warning {
                        Some(warning) => format!("{why}; {}", warning.text),
                        None => why,
                    };
                    self.still(step, observed.broken().unwrap_or(&why))?;
                }
            }
        }
    }

    /// Asks from time to time what the kubelet and the scheduler report about the pods.
    async fn ask(&mut self, view: &View) -> Result<(), WorkloadError> {
        if self.asked.elapsed() < WARNINGS {
            return Ok(());
        }
        let pods: Vec<&Pod> = rollout_failure::newest_pods(view).into_iter().filter(|pod| !is_ready(pod)).collect();
        self.warning = pod_events::newest_warning(self.client, self.namespace, &pods, Timestamp::now()).await;
        let controller = view.controller.as_ref().filter(|controller| controller.kind != ControllerKind::Deployment);
        if let Some(ControllerState { kind, name, .. }) = controller {
            let named = (&*kind.to_string(), name.as_str());
            let refusal = pod_events::refusal(self.client, self.namespace, named, self.since, Timestamp::now()).await;
            if let Some(reason) = refusal {
                return Err(WorkloadError::RolloutStuck { reason });
            }
        }
        self.asked = Instant::now();
        match &self.warning {
            Some(PodWarning { text, is_missing: true }) => Err(WorkloadError::RolloutStuck { reason: text.clone() }),
            _ => Ok(()),
        }
    }

    /// Reports what is missing, once; an error when the deadline has passed.
    pub(super) fn still(&mut self, step: &Step, why: &str) -> Result<(), WorkloadError> {
        if is_over(self.patience, self.began.elapsed(), self.most_ready.1.elapsed()) {
            let (what, seconds) = (self.what.to_owned(), self.began.elapsed().as_secs());
            return Err(WorkloadError::Deadline { what, seconds, why: why.to_owned() });
        }
        if self.said != why {
            why.clone_into(&mut self.said);
            step.detail(why);
        }
        Ok(())
    }

    /// Adds the end of the log of a pod that crashed.
    async fn explain(&self, failure: RolloutFailure) -> WorkloadError {
        let Some(pod) = &failure.crashed else {
            let reason = match &self.warning {
                Some(warning) if failure.is_late => format!("{}; {}", failure.reason, warning.text),
                _ => failure.reason,
            };
            return WorkloadError::RolloutStuck { reason };
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let params = LogParams {
            container: failure.container.clone(),
            previous: true,
            tail_lines: Some(10),
            ..LogParams::default()
        };
        let words = pods.logs(pod, &params).await.unwrap_or_default();
        let words = words.trim_end().replace('\n', "\n  ");
        let reason = if words.is_empty() {
            failure.reason
        } else {
            format!("{}; the end of its log:\n  {words}", failure.reason)
        };
        WorkloadError::RolloutStuck { reason }
    }
}

/// Whether a wait has taken too long: longer than `patience`, and no further pod has become ready for a while. Hundreds of pods on a
/// busy machine take longer, but go on.
fn is_over(patience: Duration, waited: Duration, without_progress: Duration) -> bool {
    waited > patience && without_progress > PROGRESS
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_in_which_pods_become_ready_goes_on() {
        let over = |waited, without_progress| {
            is_over(Duration::from_secs(600), Duration::from_secs(waited), Duration::from_secs(without_progress))
        };
        assert!(over(601, 601) && over(900, 61));
        assert!(!over(600, 600) && !over(900, 60));
    }

    fn judged(status: &serde_json::Value) -> Verdict {
        let deployment = json!({"metadata": {"generation": 2}, "spec": {
            "replicas": 4, "selector": {}, "template": {},
        }, "status": status});
        let controller = ControllerState::of_deployment(&serde_json::from_value(deployment).unwrap());
        judge(&View { controller: Some(controller), ..View::default() })
    }

    #[test]
    fn a_rollout_is_done_when_all_is_new_and_available() {
        let waiting = |text: &str| Verdict::Waiting(text.into());
        assert_eq!(
            judged(&json!({"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4})),
            waiting("the new specification has not been observed yet")
        );
        assert_eq!(
            judged(&json!({"observedGeneration": 2, "replicas": 5, "updatedReplicas": 1, "availableReplicas": 4})),
            waiting("1 of 4 pods created")
        );
        assert_eq!(
            judged(&json!({"observedGeneration": 2, "replicas": 5, "updatedReplicas": 4, "availableReplicas": 4})),
            waiting("1 old pod still running")
        );
        assert_eq!(
            judged(&json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 3})),
            waiting("3 of 4 pods ready")
        );
        assert_eq!(
            judged(&json!({"observedGeneration": 2, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4})),
            Verdict::Done
        );
    }
}
