//! One run: the load, the events during it, and the counters of pods and nodes before and after.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::agents::{Agents, Fleet};
use super::client_pods::ClientPods;
use super::components_watch;
use super::live_line::line;
use super::observation::{Observed, Observer, RunObservations};
use super::only_pod::OnlyPod;
use super::place::Place;
use super::proxied::{KnownPods, with_use};
use super::run_data::{observed_events, policies, run_data};
use super::workplace::Workplace;
use crate::cluster::Access;
use crate::experiment::ExperimentError;
use crate::platform;
use crate::progress::{Progress, Step};
use crate::shutdown::Shutdown;
use crate::workload::conntrack_table::Destination;
use crate::workload::event::{EventContext, EventRecord, Planned, drained, play};
use evenkeel_load::{self as load, LoadPlan, PodWatches, RunProgress, RunResult};
use evenkeel_measure::{MachineLimit, Measurement, Mode, TrafficPolicy};

/// How long a run continues after its events are over and the last old pod is gone.
const AFTERMATH: Duration = Duration::from_secs(2);

/// A run that is to be made.
pub(super) struct SingleRun<'a> {
    /// Where the load is sent.
    pub(super) place: &'a Place<'a>,
    /// The Service under test, on which events act; `None` outside of a cluster.
    pub(super) subject: Option<Workplace<'a>>,
    /// The load.
    pub(super) plan: LoadPlan,
    /// How requests reach the pods; `None`: as in the plan.
    pub(super) mode: Option<Mode>,
    /// The external traffic policy that was set for the run; `None`: the Service has its own.
    pub(super) policy: Option<TrafficPolicy>,
    /// Whether it is looked up which source address the pods see.
    pub(super) sees_client: bool,
    /// The agents that send the load; `None`: this process.
    pub(super) agents: Option<&'a Agents>,
    /// The events during the run.
    pub(super) events: &'a [Planned],
    /// Whether the run ends when its events are over.
    pub(super) ends_with_events: bool,
    /// Receives the progress of the events.
    pub(super) progress: &'a Progress,
    /// Cancelled to end the run early.
    pub(super) shutdown: &'a Shutdown,
}

impl SingleRun<'_> {
    /// Makes the run, at these `pods`, as one of `uniformity_tests` runs that are tested for a uniform
    /// choice of pods. Its progress goes to `step`.
    pub(super) async fn measure(
        self,
        pods: KnownPods,
        uniformity_tests: u32,
        step: &Step,
    ) -> Result<Measurement, ExperimentError> {
        let RunObservations { run, observed } =
            if let Some((workplace, subject)) = self.place.workplace.zip(self.subject) {
                Box::pin(self.in_cluster(workplace, subject, step)).await?
            } else {
                let run = load::run(&self.place.target, &self.plan, self.shutdown, self.live_progress(step)).await?;
                RunObservations { run, observed: Observed::default() }
            };
        let events = observed_events(&observed.events, &run);
        let run = run_data(&run);
        let proxied = observed.proxied;
        let replicas = match (proxied, &observed.subject) {
            (false, _) => pods.own,
            (true, Some(_)) => pods.subject,
            (true, None) => None,
        };
        let measured =
            Measurement::new(&run, replicas).with_tracked(&observed.tracked.pods).as_one_of(uniformity_tests);
        let measured = if observed.tracked.by_connection { measured.named_by_connection() } else { measured };
        let measured = measured.with_events(&run, &events);
        let measured = with_use(measured, proxied, observed.own, observed.subject);
        let measured = match self.mode {
            Some(mode) if mode.is_by_client() => measured.in_mode(mode),
            _ => measured,
        };
        let measured = measured.with_policy(self.policy).with_client_address(observed.tracked.client_address);
        let measured = measured.under(&policies(&self.place.policies)).on_nodes(&observed.topology);
        let limit = MachineLimit::find(&observed.components, &run.tenths, platform::processors());
        let measured = measured.with_node_use(observed.node_use).slowed_by_machine(limit);
        Ok(measured.sent_by(observed.agents).sent_to(self.place.service()))
    }

    fn live_progress(&self, step: &Step) -> impl FnMut(RunProgress) {
        let end_known = !self.ends_with_events;
        move |live| step.detail(line(&live, end_known))
    }

    async fn in_cluster(
        &self,
        workplace: Workplace<'_>,
        events_on: Workplace<'_>,
        step: &Step,
    ) -> Result<RunObservations, ExperimentError> {
        let (shutdown, access) = (self.shutdown, workplace.access);
        let plan = &self.plan_in(access);
        let pods = ClientPods::find(self.mode, workplace, self.progress).await?;
        let fleet = match self.agents {
            Some(agents) => {
                let load = (&self.place.target, plan);
                Some(Fleet::gather(workplace, agents, load, self.progress, shutdown).await?)
            }
            None => None,
        };
        let watches = PodWatches::default();
        let destination = match pods {
            Some(_) => Destination::Pods,
            None => Destination::Service(self.place.target.address),
        };
        let only = OnlyPod::before(workplace.access, workplace.subject).await;
        let observer = Observer::begin(self.place, workplace, events_on.subject, destination).await;
        let (enough, over) = (shutdown.child_token(), shutdown.child_token());
        let begin = if fleet.is_some() { Fleet::begin() } else { std::time::Instant::now() };
        let run = async {
            let run = match fleet {
                Some(fleet) => fleet.run(plan, begin, &enough, self.live_progress(step)).await,
                None => self.load((pods, plan), &watches, &enough, step).await.map(|run| (run, Vec::new())),
            };
            over.cancel();
            run
        };
        let before = async {
            self.after_warm_up(begin).await;
            observer.again()
        };
        let stage = EventContext {
            access,
            subject: events_on.subject,
            progress: self.progress,
            shutdown,
            watches: Some(&watches),
        };
        let start = Instant::from_std(begin) + plan.warm_up;
        let events = self.play_events(&stage, start, &enough, &over);
        let components = components_watch::readings(access, start, &over);
        let (run, observer, events, components) = futures::join!(run, before, events, components);
        let (mut run, agents) = run?;
        if let Some(only) = only {
            only.name_in(&mut run).await;
        }
        if self.ends_with_events && !shutdown.is_cancelled() {
            run.interrupted = false;
            run.plan.duration = whole_tenths(run.elapsed);
        }
        let mut observations = observer.end(run, events, self.sees_client).await;
        observations.observed.agents = agents;
        observations.observed.components = components;
        Ok(observations)
    }

    /// The plan for a run in the cluster. Where the nodes can tell the pods of connections that are kept, responses that name no
    /// pod are counted for their connection.
    fn plan_in(&self, access: &Access) -> LoadPlan {
        let is_kept = self.plan.responses_per_connection.is_none();
        LoadPlan { tells_connections: is_kept && access.lab().is_some(), ..self.plan.clone() }
    }

    /// Waits for the end of the warm-up, which does not belong to the run.
    async fn after_warm_up(&self, begin: std::time::Instant) {
        tokio::select! {
            () = sleep_until(Instant::from_std(begin) + self.plan.warm_up) => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    /// Plays the events of a run that begins at `start`, until `over` is cancelled. If the run ends with its events,
    /// cancels `enough`.
    async fn play_events(
        &self,
        stage: &EventContext<'_>,
        start: Instant,
        enough: &Shutdown,
        over: &Shutdown,
    ) -> Vec<EventRecord> {
        let records = play(self.events, start, stage, over, self.ends_with_events).await;
        if self.ends_with_events {
            // Draining pods still respond, and a rollout may fail at its end.
            let drained = async {
                let _ = drained(stage).await;
                sleep(AFTERMATH).await;
            };
            tokio::select! {
                () = drained => {}
                () = over.cancelled() => {}
            }
            enough.cancel();
        }
        records
    }

    /// Sends the load to the Service, or to `pods` as they change.
    async fn load(
        &self,
        (pods, plan): (Option<ClientPods<'_>>, &LoadPlan),
        watches: &PodWatches,
        end: &Shutdown,
        step: &Step,
    ) -> Result<RunResult, ExperimentError> {
        let news = self.live_progress(step);
        let target = &self.place.target;
        let Some(mut pods) = pods else {
            return Ok(load::run_watched(target, None, plan, watches, end, news).await?);
        };
        let (addresses, balance) = (pods.addresses(), pods.balance());
        let run = load::run_watched(target, Some((&addresses, balance)), plan, watches, end, news);
        let (mut run, mut follow) = (std::pin::pin!(run), std::pin::pin!(pods.follow()));
        tokio::select! {
            run = &mut run => Ok(run?),
            followed = &mut follow => match followed {
                Ok(()) => Ok(run.await?),
                Err(error) => Err(error),
            },
        }
    }
}

fn whole_tenths(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis() / 100 * 100).unwrap_or(u64::MAX))
}
