//! The soak: every promise under load, event by event, with any number of rounds.

mod part;
mod promise;
mod result;
mod wrk;

pub use part::Part;
pub use result::PromiseResult;

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Case, LONGEST_RUN, Series, Trial, Workplace};
use crate::cluster;
use crate::config::Replicas;
use crate::experiment::ExperimentError;
use crate::progress::{Progress, Step};
use crate::shutdown::{Interrupted, Shutdown};
use crate::toolbox::Toolbox;
use crate::workload::event::{self, EventContext};
use crate::workload::{self, Baseline};
use evenkeel_load::{LoadPlan, Target};
use evenkeel_measure::{Measurement, Mode, some};
use promise::Promise;

/// The number of pods of which one is killed.
const KILLED_OF: Replicas = Replicas::of::<10>();
/// From one kill of a container to the next: time for a new container, and then for two seconds of the usual load.
/// The kubelet looks at its containers each second; ten kills fall evenly on the tenths of that second.
const BETWEEN_KILLS: Duration = Duration::from_millis(5300);
/// The most rounds of events that kill each of seven components.
const MOST_KILLS: u32 = 20;
/// The variable that says how long a pod drains.
const DRAIN: &str = "DRAIN_SECONDS";

/// How the rounds of a part are made.
#[derive(Clone, Copy)]
struct Rounds {
    mode: Mode,
    /// How many.
    count: u32,
    /// How many in one run.
    per_run: u32,
    /// Whether each run begins with new pods: the kubelet waits longer and longer before it restarts a container that
    /// crashed often.
    fresh: bool,
    /// The time from one event to the next; `None`: each begins a second after the one before is over.
    every: Option<Duration>,
}

/// One round over keep-alive connections.
const KEEPALIVE: Rounds = Rounds { mode: Mode::Keepalive, count: 1, per_run: 25, fresh: false, every: None };

/// What a soak does.
#[derive(Clone, Debug)]
pub struct SoakPlan {
    /// Rounds of each event; of those that kill a component, at most 20 are made.
    pub rounds: NonZeroU32,
    /// Connections of the load.
    pub connections: NonZeroU32,
    /// The parts that are made; empty: all.
    pub only: Vec<Part>,
    /// Whether wrk sends the load of the first part as well.
    pub wrk: bool,
}

/// A soak under way.
pub struct Soak<'a> {
    workplace: Workplace<'a>,
    toolbox: &'a Toolbox,
    target: Target,
    /// The Deployment as it was, and as it is after each part.
    before: Baseline,
    plan: SoakPlan,
    progress: Progress,
    /// For hundreds of events, of which none needs a line.
    silent: Progress,
    shutdown: Shutdown,
    results: Vec<PromiseResult>,
}

impl<'a> Soak<'a> {
    /// A soak of the Service at `target`, whose Deployment is put back to what it was `before`.
    #[must_use]
    pub fn new(
        workplace: Workplace<'a>,
        toolbox: &'a Toolbox,
        target: Target,
        before: Baseline,
        plan: SoakPlan,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Self {
        let (progress, shutdown, results) = (progress.clone(), shutdown.clone(), Vec::new());
        let silent = Progress::silent();
        Self { workplace, toolbox, target, before, plan, progress, silent, shutdown, results }
    }
}

impl Soak<'_> {
    /// Runs all parts of the plan, one after the other.
    ///
    /// # Errors
    /// What kept a part from its end; [`ExperimentError::Interrupted`]. What was observed until then is in the results.
    pub async fn run(&mut self) -> Result<(), ExperimentError> {
        for part in Part::ALL {
            if self.plan.only.is_empty() || self.plan.only.contains(&part) {
                let outcome = Box::pin(self.one(part)).await;
                self.put_back(outcome).await?;
            }
        }
        Ok(())
    }

    /// What was observed, promise by promise.
    #[must_use]
    pub fn into_results(self) -> Vec<PromiseResult> {
        self.results
    }

    async fn one(&mut self, part: Part) -> Result<(), ExperimentError> {
        let rounds = self.plan.rounds.get();
        let rounds_of_kills = Rounds { count: rounds.min(MOST_KILLS), ..KEEPALIVE };
        match part {
            Part::Pods => self.pods().await,
            Part::KillPod => {
                self.scale(KILLED_OF).await?;
                let kept = Rounds { count: rounds, per_run: 10, fresh: true, every: Some(BETWEEN_KILLS), ..KEEPALIVE };
                self.part(&[promise::kill_pod()], kept).await
            }
            Part::Components => self.part(&promise::of_components(), rounds_of_kills).await,
            Part::Pause => self.part(&[promise::pause()], KEEPALIVE).await,
            Part::Control => {
                // Pods that do not drain: a promise that could not be broken would be worth nothing.
                event::set_variable(&self.stage(), DRAIN, "0").await?;
                self.part(&[promise::control()], rounds_of_kills).await
            }
        }
    }

    async fn pods(&mut self) -> Result<(), ExperimentError> {
        let image = self.before.image().to_owned();
        let again = format!("{}-again", image.split('@').next().unwrap_or(&image));
        let cluster = self.workplace.access.require_lab("giving an image another name")?;
        cluster::tag_image(cluster, self.toolbox, &image, &again).await?;
        let promises = promise::of_pods([again.clone(), image]);
        let mut outcome = self.both_loads(&promises).await;
        if outcome.is_ok() && self.plan.wrk {
            outcome = self.by_wrk(&promises).await;
        }
        // The other name goes only when no pod will be created from it any more.
        let outcome = self.put_back(outcome).await;
        let untagged = cluster::untag_image(cluster, self.toolbox, &again).await;
        if let Err(error) = untagged {
            self.progress.note(format!("the image's other name {again} could not be removed: {error}"));
        }
        outcome
    }

    /// Puts the Deployment back as it was before the soak, whatever became of the part that changed it. The Deployment is
    /// changed even after an interruption; then only the pods are not waited for.
    async fn put_back(&self, outcome: Result<(), ExperimentError>) -> Result<(), ExperimentError> {
        match (outcome, self.before.restore(&self.stage()).await) {
            (Ok(()), restored) => Ok(restored?),
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(why)) if why.is_interrupted() => Err(error),
            (Err(error), Err(why)) => {
                self.progress.note(format!("the Deployment could not be put back as it was: {why}"));
                Err(error)
            }
        }
    }

    async fn both_loads(&mut self, promises: &[Promise]) -> Result<(), ExperimentError> {
        let kept = Rounds { count: self.plan.rounds.get(), ..KEEPALIVE };
        self.part(promises, kept).await?;
        self.part(promises, Rounds { mode: Mode::NoKeepalive, ..kept }).await
    }

    fn stage(&self) -> EventContext<'_> {
        EventContext { access: self.workplace.access, progress: &self.silent, shutdown: &self.shutdown }
    }

    async fn scale(&self, replicas: Replicas) -> Result<(), ExperimentError> {
        workload::scale(self.workplace.access, replicas, &self.silent, &self.shutdown).await?;
        Ok(())
    }

    /// Rounds of all `promises`, in turn, under one kind of load; a row each.
    async fn part(&mut self, promises: &[Promise], rounds: Rounds) -> Result<(), ExperimentError> {
        let Rounds { mode, count, .. } = rounds;
        let name = promises.iter().map(|promise| promise.name).collect::<Vec<_>>().join(", ");
        let step = self.progress.step(format!("{name} ({mode}, {})", some(count, "round")));
        let mut runs: Vec<Measurement> = Vec::new();
        let mut past = 0;
        while past < count {
            let now = (count - past).min(rounds.per_run);
            if rounds.fresh {
                event::restart(&self.stage()).await?;
            }
            let run = self.load(promises, Rounds { count: now, ..rounds }, past, &step).await?;
            let interrupted = run.interrupted;
            runs.push(run);
            if interrupted {
                break;
            }
            past += now;
        }
        let rows = promises.iter().map(|promise| PromiseResult::new(promise, mode, &runs));
        self.results.extend(rows);
        if runs.last().is_some_and(|run| run.interrupted) {
            return Err(Interrupted.into());
        }
        self.results.extend(PromiseResult::between(promises, mode, &runs));
        step.done();
        Ok(())
    }

    async fn load(
        &self,
        promises: &[Promise],
        rounds: Rounds,
        past: u32,
        step: &Step,
    ) -> Result<Measurement, ExperimentError> {
        let mut events = promise::rounds(promises, rounds.count, past);
        if let Some(every) = rounds.every {
            (1..).zip(&mut events).for_each(|(number, event)| event.at = Some(every * number));
        }
        let plan = LoadPlan { warm_up: Duration::from_secs(1), ..LoadPlan::new(self.plan.connections, LONGEST_RUN) };
        let trial = Trial {
            cases: vec![Case { mode: Some(rounds.mode), replicas: None }],
            events,
            ends_with_events: true,
            ..Trial::of(plan)
        };
        let target = self.target.clone();
        let mut series = Series::new(Some(self.workplace), target, trial, &self.silent, &self.shutdown);
        Box::pin(series.run_once(step)).await
    }

    /// The first part's events under wrk, which knows nothing of this program.
    async fn by_wrk(&mut self, promises: &[Promise]) -> Result<(), ExperimentError> {
        for mode in [Mode::Keepalive, Mode::NoKeepalive] {
            let rounds = self.plan.rounds.get();
            let step = self.progress.step(format!("the same by wrk ({mode}, {rounds} rounds)"));
            let events = promise::rounds(promises, rounds, 0);
            let row = wrk::run(&self.stage(), &self.target, self.plan.connections, mode, &events).await?;
            self.results.push(PromiseResult { rounds, ..row });
            step.done();
        }
        Ok(())
    }
}
