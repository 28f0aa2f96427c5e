//! The runs of a trial, one after the other.

use std::collections::BTreeMap;

use super::environment::Environment;
use super::place::Place;
use super::policies::Policies;
use super::proxied::KnownPods;
use super::single_run::SingleRun;
use super::trial::{Case, Trial};
use super::workplace::Workplace;
use crate::cluster::Access;
use crate::config::Replicas;
use crate::experiment::ExperimentError;
use crate::io_error::IoError;
use crate::progress::{Progress, Step};
use crate::shutdown::{Interrupted, Shutdown, unless};
use crate::workload::event::EventContext;
use crate::workload::{self, Baseline, Subject};
use evenkeel_measure::{Agent, Measurement, Mode, Way, some};

/// Runs one after the other against the same targets.
pub struct Series<'a> {
    /// Where the load is sent. Scaling and events act on the workload behind it.
    subject: Place<'a>,
    /// Further ways to its pods, to which the load of other cases is sent.
    others: Vec<Place<'a>>,
    trial: Trial,
    progress: Progress,
    shutdown: Shutdown,
    /// The Deployment before the first run with events. Each run with events starts from it.
    before: Option<Baseline>,
    /// The last number of pods that the series scaled to.
    scaled: Option<Replicas>,
    /// The external traffic policies before the first run, if the series sets some.
    policies: Policies<'a>,
    runs: Vec<Measurement>,
}

/// All runs of a trial, and where they were made.
#[derive(Clone, Debug)]
pub struct SeriesResult {
    /// The URL that was requested.
    pub target: String,
    /// Where the runs were made.
    pub environment: Environment,
    /// The planned number of rounds.
    pub rounds: u32,
    /// The finished runs, in their order.
    pub runs: Vec<Measurement>,
}

impl<'a> Series<'a> {
    /// The runs of `trial`. The first Service of the trial is the `subject`, and the next ones are the `others`.
    #[must_use]
    pub fn new(
        subject: Place<'a>,
        others: Vec<Place<'a>>,
        trial: Trial,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Self {
        let (progress, shutdown) = (progress.clone(), shutdown.clone());
        let (before, scaled, policies, runs) = (None, None, Policies::default(), Vec::new());
        Self { subject, others, trial, progress, shutdown, before, scaled, policies, runs }
    }

    /// The URLs that are requested.
    #[must_use]
    pub fn url(&self) -> String {
        let mut urls: Vec<String> = Vec::new();
        for place in std::iter::once(&self.subject).chain(&self.others) {
            let url = self.trial.plan.url(&place.target);
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        urls.join(", ")
    }

    /// Encodes the message of the call of gRPC, if the runs make one. The server may be asked about its methods. Each series
    /// is prepared before its first run.
    ///
    /// # Errors
    /// [`ExperimentError::Schema`], [`ExperimentError::NoAnswer`] and [`ExperimentError::Interrupted`].
    pub async fn prepare(&mut self) -> Result<(), ExperimentError> {
        let Some(call) = &self.trial.call else { return Ok(()) };
        let requests = self.trial.calls().to_vec();
        let requests = Box::pin(unless(&self.shutdown, call.requests(requests, &self.subject.target))).await??;
        match &mut self.trial.grpc {
            Some(call) => requests.into_iter().take(1).for_each(|request| *call = request),
            None => self.trial.plan.replace_templates(requests),
        }
        Ok(())
    }

    /// Makes all runs, and calls `finished` with each of them. External traffic policies that they set are put back, also
    /// after an error or an interruption.
    ///
    /// # Errors
    /// Why the next run could not be made; the error of `finished`; [`ExperimentError::NoAnswer`],
    /// [`ExperimentError::Event`] and [`ExperimentError::Interrupted`] after a run; why a policy could not be put back.
    pub async fn run(
        &mut self,
        finished: impl FnMut(&Measurement) -> Result<(), IoError>,
    ) -> Result<(), ExperimentError> {
        if self.trial.sets_policies() {
            let places = std::iter::once(&self.subject).chain(&self.others);
            self.policies = Policies::remember(places.filter_map(|place| place.workplace)).await?;
        }
        let outcome = self.take_turns(finished).await;
        let restored = self.policies.restore(&self.progress).await;
        outcome.and(restored.map_err(ExperimentError::from))
    }

    async fn take_turns(
        &mut self,
        mut finished: impl FnMut(&Measurement) -> Result<(), IoError>,
    ) -> Result<(), ExperimentError> {
        let turns: Vec<(u32, Case)> = self.trial.turns().collect();
        for (round, case) in turns {
            self.set_policy(case).await?;
            let url = self.trial.plan.url(&self.place(case).target);
            let pods = self.pods(case).await?;
            let step = self.progress.step(format!("test {}", self.description(round, case, pods)));
            let run = self.measure(case, pods, &step).await?;
            if !run.interrupted {
                step.done_with(summary(&run));
            }
            finished(&run)?;
            let checked = check(&url, &run);
            self.runs.push(run);
            checked?;
        }
        Ok(())
    }

    /// The result of the series, made in `environment`.
    #[must_use]
    pub fn into_result(self, environment: Environment) -> SeriesResult {
        SeriesResult { target: self.url(), environment, rounds: self.trial.rounds, runs: self.runs }
    }

    /// Makes one run of the trial's first case. Its progress goes only to `step`.
    ///
    /// # Errors
    /// Why the run could not be made.
    pub async fn run_once(&mut self, step: &Step) -> Result<Measurement, ExperimentError> {
        let case = self.trial.cases.first().copied().unwrap_or_default();
        let pods = self.pods(case).await?;
        self.measure(case, pods, step).await
    }

    fn place(&self, case: Case) -> &Place<'a> {
        case.service.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.subject)
    }

    /// Sets the external traffic policy of a case.
    async fn set_policy(&mut self, case: Case) -> Result<(), ExperimentError> {
        let place = match case.service.checked_sub(1) {
            Some(other) => self.others.get_mut(other),
            None => None,
        };
        let place = place.unwrap_or(&mut self.subject);
        self.policies.set(place, case.policy, &self.progress, &self.shutdown).await
    }

    /// "gateway/envoy, http2, 10 pods, round 2 of 5"; "the target" if all runs are alike.
    fn description(&self, round: u32, case: Case, pods: KnownPods) -> String {
        let rounds = self.trial.rounds;
        let subject = |place: &Place<'_>| place.workplace.map(|workplace| workplace.subject.to_string());
        let service = if self.others.is_empty() { None } else { subject(self.place(case)) };
        // The names of ways over HTTP/1.1 do not contain the protocol.
        let (protocol, mode) = (case.protocol.unwrap_or_default(), case.mode.unwrap_or(Mode::Keepalive));
        let way = (case.protocol, case.mode) != (None, None);
        let way = way.then(|| Way { protocol, mode, policy: case.policy }.to_string());
        let parts = [
            service,
            way,
            pods.subject.map(|count| some(count, "pod")),
            (rounds > 1).then(|| format!("round {round} of {rounds}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "the target".to_owned() } else { parts.join(", ") }
    }

    async fn measure(&self, case: Case, pods: KnownPods, step: &Step) -> Result<Measurement, ExperimentError> {
        let run = SingleRun {
            place: self.place(case),
            subject: self.subject.workplace,
            plan: self.trial.plan_of(case),
            mode: case.mode,
            policy: case.policy,
            sees_client: self.trial.sets_policies() && !case.is_by_client(),
            agents: self.trial.agents.as_ref(),
            events: &self.trial.events,
            ends_with_events: self.trial.ends_with_events,
            progress: &self.progress,
            shutdown: &self.shutdown,
        };
        run.measure(pods, self.trial.uniformity_tests(), step).await
    }

    /// Prepares the workload for a run, and counts the pods behind the Service of the case.
    async fn pods(&mut self, case: Case) -> Result<KnownPods, ExperimentError> {
        let subject = self.restore(case).await?;
        let own = match self.place(case).workplace {
            Some(Workplace { access, subject, .. }) if case.service > 0 => Some(ready_pods(access, subject).await?),
            _ => subject,
        };
        Ok(KnownPods { subject, own })
    }

    /// Restores the workload after the events of earlier runs, and scales it if the case asks for that. Returns the number
    /// of pods, if it is known.
    async fn restore(&mut self, case: Case) -> Result<Option<u32>, ExperimentError> {
        let Some(Workplace { access, subject, .. }) = self.subject.workplace else { return Ok(None) };
        let (progress, shutdown) = (&self.progress, &self.shutdown);
        match self.before.take() {
            Some(before) => {
                let before = match case.replicas {
                    Some(replicas) => before.with_replicas(replicas),
                    None => before,
                };
                let context = EventContext { access, subject, progress, shutdown, watches: None };
                Box::pin(before.restore(&context)).await?;
                self.before = Some(before);
            }
            None if self.trial.events.is_empty() => {}
            None => self.before = Some(Baseline::now(&access.client, subject).await?),
        }
        let ready = ready_pods(access, subject).await?;
        match case.replicas {
            Some(replicas) if ready != replicas.get() || self.scaled != Some(replicas) => {
                workload::scale(access, subject, replicas, progress, shutdown).await?;
                self.scaled = Some(replicas);
                Ok(Some(replicas.get()))
            }
            _ => Ok(Some(ready)),
        }
    }
}

/// The number of pods that are ready.
async fn ready_pods(access: &Access, subject: &Subject) -> Result<u32, ExperimentError> {
    let pods = workload::status::workload(&access.client, Some(subject)).await?.pods;
    let ready = pods.iter().filter(|pod| pod.status == "Running" && pod.ready == pod.containers).count();
    Ok(u32::try_from(ready).unwrap_or(u32::MAX))
}

/// "540123 responses, 90021 req/s, p99 1.02 ms, no errors".
#[allow(clippy::cast_precision_loss, reason = "microseconds of a day")]
fn summary(run: &Measurement) -> String {
    let wrong = run.errors.saturating_add(run.requests.non_2xx);
    let errors = if wrong == 0 { "no errors".to_owned() } else { some(wrong, "error") };
    let (rate, p99) = (run.requests_per_second.average, run.latency_us.p99 as f64 / 1000.0);
    let messages = run.messages.as_ref().map(|messages| format!("{:.0} messages/s, ", messages.per_second.average));
    let messages = messages.unwrap_or_default();
    format!("{}, {rate:.0} req/s, {messages}p99 {p99:.2} ms, {errors}", some(run.requests.answered, "response"))
}

fn check(target: &str, run: &Measurement) -> Result<(), ExperimentError> {
    if run.interrupted {
        return Err(Interrupted.into());
    }
    if run.is_partial() {
        let named = |agent: &Agent| Some(format!("{}: {}", agent.name, agent.trouble.as_ref()?));
        return Err(ExperimentError::Partial { agents: run.agents.iter().filter_map(named).collect() });
    }
    if let Some((event, why)) = run.events.iter().find_map(|event| Some((event, event.trouble.as_ref()?))) {
        return Err(ExperimentError::Event { what: event.what.clone(), why: why.clone() });
    }
    if run.got_responses() {
        return Ok(());
    }
    let errors = run.errors;
    let why = if errors == 0 { "no response came in time".to_owned() } else { some(errors, "request") + " failed" };
    let kind = most_frequent(run);
    let why = kind.as_ref().map_or(why.clone(), |kind| format!("{why}: {kind}"));
    Err(ExperimentError::NoAnswer { target: target.to_owned(), why, kind })
}

/// The most frequent kind of failure.
fn most_frequent(run: &Measurement) -> Option<String> {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for fault in &run.faults {
        *kinds.entry(&fault.kind).or_default() += fault.count;
    }
    kinds.into_iter().max_by_key(|(_, count)| *count).map(|(kind, _)| kind.to_owned())
}
