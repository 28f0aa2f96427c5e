//! The soak: tests every promise under load, event by event, with any number of rounds.

mod independent;
mod part;
mod promise;
mod result;

pub use independent::IndependentClient;
pub use part::Part;
pub use result::PromiseResult;

use std::num::NonZeroU32;
use std::time::Duration;

use super::{AddressUse, Case, LONGEST_RUN, Place, Requirements, Series, Trial, Workplace, run_data};
use crate::cluster::{self, ClusterError};
use crate::config::Replicas;
use crate::experiment::ExperimentError;
use crate::progress::{Progress, Step};
use crate::shutdown::{Interrupted, Shutdown};
use crate::toolbox::Toolbox;
use crate::workload::event::{self, EventContext};
use crate::workload::{self, Baseline};
use evenkeel_load::{LoadPlan, Target};
use evenkeel_measure::{Measurement, Mode, Way, some};
use promise::Promise;

/// The number of pods between the events of the part `pods`, unless the plan has another one.
const FEW: Replicas = Replicas::of::<2>();
/// The number of pods to which the part `pods` scales from [`FEW`].
const MORE: Replicas = Replicas::of::<10>();
/// The number of pods of which one is killed, unless the plan has another one.
const KILLED_OF: Replicas = Replicas::of::<10>();
/// The number of pods while nodes are drained, unless the plan has another one: several on each.
const ON_NODES: Replicas = Replicas::of::<6>();
/// The time between two kills of a container: enough for a new container and then two seconds of the usual load. The
/// kubelet checks its containers each second, and ten kills are spread evenly over the tenths of that second.
const BETWEEN_KILLS: Duration = Duration::from_millis(5300);
/// The largest number of rounds for events that kill a component or switch off the drain.
const MOST_KILLS: u32 = 20;
/// The environment variable with the drain time of a pod, in seconds.
const DRAIN: &str = "DRAIN_SECONDS";

/// The rounds of a part.
#[derive(Clone, Copy)]
struct Rounds {
    mode: Mode,
    /// The number of rounds.
    count: u32,
    /// The number of rounds in one run.
    per_run: u32,
    /// Whether each run begins with new pods. The kubelet waits longer before each restart of a container that crashed
    /// often.
    fresh: bool,
    /// The time from one event to the next; `None`: each event begins after the one before.
    every: Option<Duration>,
}

/// One round over keep-alive connections.
const KEEPALIVE: Rounds = Rounds { mode: Mode::Keepalive, count: 1, per_run: 25, fresh: false, every: None };

/// The plan of a soak.
#[derive(Clone, Debug)]
pub struct SoakPlan {
    /// Rounds of each event; at most 20 for events that kill a component or switch off the drain.
    pub rounds: NonZeroU32,
    /// The load of all parts: the number of connections, the protocol and the request.
    pub load: LoadPlan,
    /// The number of pods in every part, at least three; `None`: that of each part.
    pub pods: Option<Replicas>,
    /// The parts to make; empty: all.
    pub only: Vec<Part>,
    /// An independent client, if one also sends the load of the first part.
    pub independent_client: Option<IndependentClient>,
}

impl SoakPlan {
    /// What the parts need of the Service under test.
    #[must_use]
    pub fn requirements(&self) -> Requirements {
        let makes = |part| self.only.is_empty() || self.only.contains(&part);
        let scaling = self.pods.is_some() || makes(Part::Pods) || makes(Part::KillPod) || makes(Part::Nodes);
        Requirements { address: AddressUse::Load, scaling, pods: !scaling, external_policy: false, inside: false }
    }
}

/// A running soak.
pub struct Soak<'a> {
    workplace: Workplace<'a>,
    toolbox: Option<&'a Toolbox>,
    target: Target,
    /// The Deployment before the soak, which is restored after each part.
    before: Baseline,
    plan: SoakPlan,
    progress: Progress,
    /// For the events, whose progress is not shown.
    silent: Progress,
    shutdown: Shutdown,
    results: Vec<PromiseResult>,
}

impl<'a> Soak<'a> {
    /// A soak of the Service at `target`, whose Deployment is restored to `before`. Only a lab has a toolbox.
    #[must_use]
    pub fn new(
        workplace: Workplace<'a>,
        toolbox: Option<&'a Toolbox>,
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
    /// Why a part could not be finished; [`ExperimentError::Interrupted`]. The results have the observations until
    /// then.
    pub async fn run(&mut self) -> Result<(), ExperimentError> {
        for part in Part::ALL {
            if self.plan.only.is_empty() || self.plan.only.contains(&part) {
                let outcome = Box::pin(self.one(part)).await;
                self.restore(outcome).await?;
            }
        }
        Ok(())
    }

    /// The observations, one for each promise and kind of load.
    #[must_use]
    pub fn into_results(self) -> Vec<PromiseResult> {
        self.results
    }

    async fn one(&mut self, part: Part) -> Result<(), ExperimentError> {
        let rounds = self.plan.rounds.get();
        let rounds_of_kills = Rounds { count: rounds.min(MOST_KILLS), ..KEEPALIVE };
        // The part `nodes` asks first whether there are any.
        if part != Part::Nodes {
            self.begin_with((part == Part::KillPod).then_some(KILLED_OF)).await?;
        }
        match part {
            Part::Pods => self.pods().await,
            Part::KillPod => {
                let kept = Rounds { count: rounds, per_run: 10, fresh: true, every: Some(BETWEEN_KILLS), ..KEEPALIVE };
                self.part(&[promise::kill_pod()], kept).await
            }
            Part::Components => self.part(&promise::of_components(), rounds_of_kills).await,
            Part::Pause => self.part(&[promise::pause()], KEEPALIVE).await,
            Part::Nodes => self.nodes().await,
            Part::Control => {
                // Without a drain, requests must fail. This shows that the soak can detect a broken promise.
                event::set_variable(&self.stage(), DRAIN, "0").await?;
                self.part(&[promise::control()], rounds_of_kills).await
            }
        }
    }

    /// Needs several nodes. A soak of all parts leaves it out in other labs.
    async fn nodes(&mut self) -> Result<(), ExperimentError> {
        let what = "the part nodes of a soak";
        let cluster = self.workplace.access.require_lab(what)?;
        let nodes: Vec<String> = cluster.nodes.iter().map(|running| running.node.name.clone()).collect();
        if nodes.len() < 2 {
            let asked = !self.plan.only.is_empty();
            return if asked { Err(ClusterError::NoRouter { what: what.to_owned() }.into()) } else { Ok(()) };
        }
        self.begin_with(Some(ON_NODES)).await?;
        self.both_loads(&[promise::drain(&nodes)]).await?;
        self.both_loads(&[promise::add_node(cluster::next_node(cluster)?.name)]).await?;
        let rounds = self.plan.rounds.get().min(MOST_KILLS);
        self.part(&[promise::kill_proxies(&nodes)], Rounds { count: rounds, ..KEEPALIVE }).await?;
        // The first node has the control plane, whose data would be lost with it.
        let (others, connections) = (&nodes[1..], self.plan.load.connections.get());
        self.both_loads(&[promise::partition_node(others, connections)]).await?;
        self.both_loads(&[promise::kill_node(others, connections), promise::start_node(others)]).await?;
        self.by_both_loads(&[promise::pause_control_plane()], 1).await
    }

    async fn pods(&mut self) -> Result<(), ExperimentError> {
        let (from, to) = self.plan.pods.map_or((FEW, MORE), |pods| (pods, FEW));
        let (Some(cluster), Some(toolbox)) = (self.workplace.access.lab(), self.toolbox) else {
            self.progress
                .note("the event new image is left out, because an image can be tagged only on the nodes of a lab");
            return self.under_all_loads(&promise::of_pods(from, to, None)).await;
        };
        let image = self.before.image().to_owned();
        let again = format!("{}-again", image.split('@').next().unwrap_or(&image));
        cluster::tag_image(cluster, toolbox, &image, &again).await?;
        let promises = promise::of_pods(from, to, Some([again.clone(), image]));
        let outcome = self.under_all_loads(&promises).await;
        // The tag is removed only after the Deployment is restored and no pod is created from it any more.
        let outcome = self.restore(outcome).await;
        let untagged = cluster::untag_image(cluster, toolbox, &again).await;
        if let Err(error) = untagged {
            self.progress.note(format!("the image tag {again} could not be removed: {error}"));
        }
        outcome
    }

    /// Restores the Deployment to its state before the soak, also after an error in the part that changed it. After an
    /// interruption it is restored without waiting for the pods.
    async fn restore(&self, outcome: Result<(), ExperimentError>) -> Result<(), ExperimentError> {
        match (outcome, self.before.restore(&self.stage()).await) {
            (Ok(()), restored) => Ok(restored?),
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(why)) if why.is_interrupted() => Err(error),
            (Err(error), Err(why)) => {
                self.progress.note(format!("the Deployment could not be restored: {why}"));
                Err(error)
            }
        }
    }

    /// Both loads, and that of the independent client if there is one.
    async fn under_all_loads(&mut self, promises: &[Promise]) -> Result<(), ExperimentError> {
        self.both_loads(promises).await?;
        match self.plan.independent_client.clone() {
            Some(client) => self.by(&client, promises).await,
            None => Ok(()),
        }
    }

    async fn both_loads(&mut self, promises: &[Promise]) -> Result<(), ExperimentError> {
        self.by_both_loads(promises, self.plan.rounds.get()).await
    }

    async fn by_both_loads(&mut self, promises: &[Promise], count: u32) -> Result<(), ExperimentError> {
        let kept = Rounds { count, ..KEEPALIVE };
        self.part(promises, kept).await?;
        self.part(promises, Rounds { mode: Mode::NoKeepalive, ..kept }).await
    }

    fn stage(&self) -> EventContext<'_> {
        EventContext {
            access: self.workplace.access,
            subject: self.workplace.subject,
            progress: &self.silent,
            shutdown: &self.shutdown,
            watches: None,
        }
    }

    /// Scales to the number of pods of the plan, or else to the usual one of a part, if there is one.
    async fn begin_with(&self, usual: Option<Replicas>) -> Result<(), ExperimentError> {
        if let Some(pods) = self.plan.pods.or(usual) {
            let Workplace { access, subject, .. } = self.workplace;
            workload::scale(access, subject, pods, &self.silent, &self.shutdown).await?;
        }
        Ok(())
    }

    /// The load in this mode.
    fn way(&self, mode: Mode) -> Way {
        Way { protocol: run_data::protocol(&self.plan.load), mode, policy: None }
    }

    /// Makes rounds of all `promises`, in turn, under one kind of load, and adds one result for each promise.
    async fn part(&mut self, promises: &[Promise], rounds: Rounds) -> Result<(), ExperimentError> {
        let Rounds { mode, count, .. } = rounds;
        let name = promises.iter().map(|promise| promise.name.as_str()).collect::<Vec<_>>().join(", ");
        let way = self.way(mode);
        let step = self.progress.step(format!("{name} ({way}, {})", some(count, "round")));
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
        let rows = promises.iter().map(|promise| PromiseResult::new(promise, way, &runs));
        self.results.extend(rows);
        if runs.last().is_some_and(|run| run.interrupted) {
            return Err(Interrupted.into());
        }
        self.results.extend(PromiseResult::between(promises, way, &runs));
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
        let plan = LoadPlan { warm_up: Duration::from_secs(1), duration: LONGEST_RUN, ..self.plan.load.clone() };
        let trial = Trial {
            cases: vec![Case { mode: Some(rounds.mode), ..Case::default() }],
            events,
            ends_with_events: true,
            ..Trial::of(plan)
        };
        let place = Place { target: self.target.clone(), workplace: Some(self.workplace), policies: Vec::new() };
        let mut series = Series::new(place, Vec::new(), trial, &self.silent, &self.shutdown);
        Box::pin(series.run_once(step)).await
    }

    /// Makes the events of the first part under the load of an independent client.
    async fn by(&mut self, client: &IndependentClient, promises: &[Promise]) -> Result<(), ExperimentError> {
        for &mode in client.modes() {
            let (rounds, way) = (self.plan.rounds.get(), self.way(mode));
            let step =
                self.progress.step(format!("the same with {} ({way}, {})", client.name(), some(rounds, "round")));
            let events = promise::rounds(promises, rounds, 0);
            let load = (&self.plan.load, way);
            let row = independent::run(client, &self.stage(), &self.target, load, &events).await?;
            self.results.push(PromiseResult { rounds, ..row });
            step.done();
        }
        Ok(())
    }
}
