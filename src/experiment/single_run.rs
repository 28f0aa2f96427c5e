//! One run: the load, the events during it, and the counters of pods and nodes before and after.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::balanced_pods::BalancedPods;
use super::live_line::line;
use super::route_guard::RouteGuard;
use super::run_data::{observed_events, pod_readings, policies, run_data};
use super::tracking::Tracking;
use super::workplace::Workplace;
use crate::cluster::{Access, TemporaryRoutes};
use crate::experiment::ExperimentError;
use crate::progress::{Progress, Step};
use crate::shutdown::Shutdown;
use crate::workload::conntrack_table::Destination;
use crate::workload::event::{EventContext, EventRecord, Planned, drained, play};
use crate::workload::{PodCounters, ServicePolicy, pod_counters};
use evenkeel_load::{self as load, LoadPlan, PodWatches, RunProgress, RunResult, Target};
use evenkeel_measure::{Measurement, Mode, PodUse};

/// How long a run continues after its events are over and the last old pod is gone.
const AFTERMATH: Duration = Duration::from_secs(2);

/// A run that is to be made.
pub(super) struct SingleRun<'a> {
    /// The cluster; `None` if the target is not in a lab.
    pub(super) workplace: Option<Workplace<'a>>,
    /// The target of the load.
    pub(super) target: &'a Target,
    /// The policies of the Service at the target.
    pub(super) policies: &'a [ServicePolicy],
    /// The load.
    pub(super) plan: LoadPlan,
    /// How requests reach the pods; `None`: as in the plan.
    pub(super) mode: Option<Mode>,
    /// The events during the run.
    pub(super) events: &'a [Planned],
    /// Whether the run ends when its events are over.
    pub(super) ends_with_events: bool,
    /// Receives the progress of the events.
    pub(super) progress: &'a Progress,
    /// Cancelled to end the run early.
    pub(super) shutdown: &'a Shutdown,
}

/// The results of a run.
struct RunObservations {
    run: RunResult,
    pod_use: Vec<PodUse>,
    /// Connections by pod, from the nodes' connection tracking.
    tracked: Vec<(String, u64)>,
    events: Vec<EventRecord>,
}

impl SingleRun<'_> {
    /// Makes the run, at `pods` pods if that is known, as one of `uniformity_tests` runs that are tested for a uniform
    /// choice of pods. Its progress goes to `step`.
    pub(super) async fn measure(
        self,
        pods: Option<u32>,
        uniformity_tests: u32,
        step: &Step,
    ) -> Result<Measurement, ExperimentError> {
        let observed = if let Some(workplace) = self.workplace {
            Box::pin(self.in_cluster(workplace, step)).await?
        } else {
            let run = load::run(self.target, &self.plan, self.shutdown, self.live_progress(step)).await?;
            RunObservations { run, pod_use: Vec::new(), tracked: Vec::new(), events: Vec::new() }
        };
        let run = run_data(&observed.run);
        let measured = Measurement::new(&run, pods).with_tracked(&observed.tracked).as_one_of(uniformity_tests);
        let measured = measured
            .with_events(&run, &observed_events(&observed.events, &observed.run))
            .with_pod_use(observed.pod_use);
        let by_client = self.mode == Some(Mode::Client);
        let measured = if by_client { measured.balanced_by_client() } else { measured };
        Ok(measured.under(&policies(self.policies)))
    }

    fn live_progress(&self, step: &Step) -> impl FnMut(RunProgress) {
        let end_known = !self.ends_with_events;
        move |live| step.detail(line(&live, end_known))
    }

    async fn in_cluster(&self, workplace: Workplace<'_>, step: &Step) -> Result<RunObservations, ExperimentError> {
        let Self { plan, shutdown, .. } = self;
        let Workplace { access, subject, .. } = workplace;
        // The routes are removed when this is dropped, also after an error.
        let (_routes, pods) = match self.mode {
            Some(Mode::Client) => {
                let (routes, pods) = self.straight_to_pods(workplace).await?;
                (Some(routes), Some(pods))
            }
            _ => (None, None),
        };
        let watches = PodWatches::default();
        let destination = match self.mode {
            Some(Mode::Client) => Destination::Pods,
            _ => Destination::Service(self.target.address),
        };
        let tracking = Tracking::begin(access, subject, destination).await;
        let known = pod_counters(access, subject).await.ok();
        let (enough, over) = (shutdown.child_token(), shutdown.child_token());
        let run = async {
            let run = self.load(pods, &watches, &enough, step).await;
            over.cancel();
            run
        };
        let before = self.after_warm_up(known, access);
        let stage = EventContext { access, subject, progress: self.progress, shutdown, watches: Some(&watches) };
        let events = self.play_events(&stage, Instant::now() + plan.warm_up, &enough, &over);
        let (run, before, events) = futures::join!(run, before, events);
        let mut run = run?;
        if self.ends_with_events && !shutdown.is_cancelled() {
            run.interrupted = false;
            run.plan.duration = whole_tenths(run.elapsed);
        }
        let tracked = match tracking {
            Some(tracking) => tracking.end(&run).await,
            None => Vec::new(),
        };
        let after = pod_counters(access, subject).await.ok();
        let between = |(before, after): (Vec<PodCounters>, Vec<PodCounters>)| {
            PodUse::between(&pod_readings(&before), &pod_readings(&after))
        };
        Ok(RunObservations { run, pod_use: before.zip(after).map(between).unwrap_or_default(), tracked, events })
    }

    /// Adds routes to the pods, and finds the pods. All of them are looked up before the clock of the run starts.
    async fn straight_to_pods<'a>(
        &self,
        workplace: Workplace<'a>,
    ) -> Result<(TemporaryRoutes, BalancedPods<'a>), ExperimentError> {
        let Workplace { access, subject, link, ip } = workplace;
        let routes = TemporaryRoutes::to_pods(access.require_lab("balancing by the client")?, ip, self.progress)?;
        Ok((routes, BalancedPods::find(access, subject, RouteGuard::new(link.to_owned(), ip)).await?))
    }

    /// The counters of the `known` pods at the end of the warm-up, which does not belong to the run.
    async fn after_warm_up(&self, known: Option<Vec<PodCounters>>, access: &Access) -> Option<Vec<PodCounters>> {
        tokio::select! {
            () = sleep(self.plan.warm_up) => {}
            () = self.shutdown.cancelled() => {}
        }
        known.map(|pods| pods.iter().map(|pod| pod.again(access)).collect())
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
        let records = play(self.events, start, stage, over).await;
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
        pods: Option<BalancedPods<'_>>,
        watches: &PodWatches,
        end: &Shutdown,
        step: &Step,
    ) -> Result<RunResult, ExperimentError> {
        let news = self.live_progress(step);
        let Some(mut pods) = pods else {
            return Ok(load::run_watched(self.target, None, &self.plan, watches, end, news).await?);
        };
        let addresses = pods.addresses.clone();
        let run = load::run_watched(self.target, Some(&addresses), &self.plan, watches, end, news);
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
