//! The runs of a test, one after the other, and what is told of them.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep};

use super::context::Context;
use super::environment::{self, Environment};
use super::guarded::Guarded;
use super::judge::Judge;
use super::live_line::{line, some};
use super::output;
use super::report_files::ReportFiles;
use super::tracking::Tracking;
use crate::cluster::{Access, PodRoutes};
use crate::config::Replicas;
use crate::error::Error;
use crate::experiment::measured::{self, pod_readings, run_data};
use crate::experiment::{Case, Trial};
use crate::progress::Step;
use crate::report::{Exporter, Json, Report, Table};
use crate::shutdown::{Interrupted, Shutdown};
use crate::workload::event::{EventRecord, Stage, play};
use crate::workload::{self, Baseline, PodCounters, pod_counters};
use evenkeel_load::{self as load, Addresses, Live, LoadPlan, RunResult, Target};
use evenkeel_measure::{Measurement, Mode, PodUse};

/// How long a run goes on when its events are over and the last old pod is gone.
const AFTERMATH: Duration = Duration::from_secs(2);

/// The lab.
#[derive(Clone, Copy)]
pub struct Workplace<'a> {
    /// How it is reached.
    pub access: &'a Access,
    /// The program that knows the routes.
    pub ip: &'a Path,
}

/// Runs one after the other against the same endpoint.
pub struct Series<'a> {
    context: &'a Context,
    workplace: Option<Workplace<'a>>,
    endpoint: Target,
    /// The URL that is requested.
    target: String,
    trial: Trial,
    environment: Environment,
    table: Table,
    /// The Deployment before the first run with events, which each run with events starts from.
    before: Option<Baseline>,
    /// The number of pods that was scaled to last.
    scaled: Option<Replicas>,
    runs: Vec<Measurement>,
}

impl<'a> Series<'a> {
    /// The runs of `trial` against `endpoint`, which is the lab's where a workplace is given.
    pub async fn new(
        context: &'a Context,
        workplace: Option<Workplace<'a>>,
        endpoint: Target,
        trial: Trial,
    ) -> Series<'a> {
        let target = trial.plan.request.url(&endpoint);
        let environment = match workplace {
            Some(workplace) => environment::of_lab(context, workplace.access).await,
            None => environment::of_machine(),
        };
        let (table, runs) = (Table::new(output::look()), Vec::new());
        Self { context, workplace, endpoint, target, trial, environment, table, before: None, scaled: None, runs }
    }

    /// Makes all runs; the tables of one appear when it has ended, unless there are several rounds.
    ///
    /// # Errors
    /// Whatever kept the next one from being made; [`Error::NoAnswer`], [`Error::Interrupted`].
    pub async fn run(&mut self) -> Result<(), Error> {
        let turns: Vec<(u32, Case)> = self.trial.turns().collect();
        for (round, case) in turns {
            let pods = self.pods(case).await?;
            self.turn(round, case, pods).await?;
        }
        Ok(())
    }

    /// Makes the workload what the run is about to be recorded with: as it was before the events of earlier runs, and
    /// scaled where that is asked for. Returns how many pods there are, where that is known.
    async fn pods(&mut self, case: Case) -> Result<Option<u32>, Error> {
        let Context { progress, shutdown, .. } = self.context;
        let Some(Workplace { access, .. }) = self.workplace else { return Ok(None) };
        match self.before.take() {
            Some(before) => {
                let before = match case.replicas {
                    Some(replicas) => before.with_replicas(replicas),
                    None => before,
                };
                Box::pin(before.restore(&Stage { access, progress, shutdown })).await?;
                self.before = Some(before);
            }
            None if self.trial.events.is_empty() => {}
            None => self.before = Some(Baseline::now(&access.client).await?),
        }
        let ready = ready_pods(access).await?;
        match case.replicas {
            Some(replicas) if ready != replicas.get() || self.scaled != Some(replicas) => {
                workload::scale(access, replicas, progress, shutdown).await?;
                self.scaled = Some(replicas);
                Ok(Some(replicas.get()))
            }
            _ => Ok(Some(ready)),
        }
    }

    /// One run.
    async fn turn(&mut self, round: u32, case: Case, pods: Option<u32>) -> Result<(), Error> {
        let rounds = self.trial.rounds;
        let parts = [
            case.mode.map(|mode| mode.to_string()),
            pods.map(|count| some(count, "pod")),
            (rounds > 1).then(|| format!("round {round} of {rounds}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let tested = if parts.is_empty() { "the target".to_owned() } else { parts.join(", ") };
        let step = self.context.progress.step(format!("test {tested}"));
        let run = self.measurement(case, pods, &step).await?;
        if !run.interrupted {
            step.done_with(summary(&run));
        }
        if !self.context.json && rounds == 1 {
            let space = if self.runs.is_empty() { "" } else { "\n" };
            output::text(&format!("{space}{}", self.table.run(&self.target, &run)))?;
        }
        let verdict = verdict(&self.target, &run);
        self.runs.push(run);
        verdict
    }

    /// The only case of the trial, once, and nothing said of it but by `step`.
    ///
    /// # Errors
    /// Whatever kept it from being made.
    pub async fn quietly(&mut self, step: &Step) -> Result<Measurement, Error> {
        let case = self.trial.cases.first().copied().unwrap_or(Case { mode: None, replicas: None });
        let pods = self.pods(case).await?;
        self.measurement(case, pods, step).await
    }

    async fn measurement(&self, case: Case, pods: Option<u32>, step: &Step) -> Result<Measurement, Error> {
        let plan = self.trial.plan_in(case.mode);
        let Measured { run, pod_use, tracked, events } = self.measured(&plan, case.mode, step).await?;
        let run = run_data(&run);
        let measured = Measurement::new(&run, pods).with_tracked(&tracked).as_one_of(self.trial.uniformity_tests());
        let measured = measured.with_events(&run, &measured::events(&events)).with_pod_use(pod_use);
        Ok(if case.mode == Some(Mode::Client) { measured.balanced_by_client() } else { measured })
    }

    /// The run, what each pod took meanwhile, the connections on each where its answers do not say, and what happened, as
    /// far as that can be known.
    async fn measured(&self, plan: &LoadPlan, mode: Option<Mode>, step: &Step) -> Result<Measured, Error> {
        let Context { progress, shutdown, .. } = self.context;
        let live = |live| step.detail(line(&live, !self.trial.ends_with_events));
        let Some(Workplace { access, ip }) = self.workplace else {
            return Ok(Measured::alone(load::run(&self.endpoint, plan, shutdown, live).await?));
        };
        // Dropped, they are removed again, whatever becomes of the run.
        let _routes = match mode {
            Some(Mode::Client) => Some(PodRoutes::add(access.require_lab("balancing by the client")?, ip, progress)?),
            _ => None,
        };
        let tracking = match mode {
            // Those go straight to the pods.
            Some(Mode::Client) => None,
            _ => Tracking::begin(access, self.endpoint.address).await,
        };
        // Known and looked up before the clock of the run and its events starts.
        let pods = match mode {
            Some(Mode::Client) => Some(BalancedPods::find(access, Guarded::new(self.context.name.link(), ip)).await?),
            _ => None,
        };
        let known = pod_counters(access).await.ok();
        // The warm-up is none of the run.
        let before = async {
            tokio::select! {
                () = sleep(plan.warm_up) => {}
                () = shutdown.cancelled() => {}
            }
            known.map(|pods| pods.iter().map(|pod| pod.again(access)).collect::<Vec<PodCounters>>())
        };
        let (enough, over) = (shutdown.child_token(), shutdown.child_token());
        let run = async {
            let run = self.load(pods, plan, &enough, live).await;
            over.cancel();
            run
        };
        let events = self.events(Instant::now() + plan.warm_up, &enough, &over);
        let (run, before, events) = futures::join!(run, before, events);
        let mut run = run?;
        if self.trial.ends_with_events && !shutdown.is_cancelled() {
            run.interrupted = false;
            run.plan.duration = tenths(run.elapsed);
        }
        let tracked = match tracking {
            Some(tracking) => tracking.end(&run).await,
            None => Vec::new(),
        };
        let after = pod_counters(access).await.ok();
        let pod_use =
            before.zip(after).map(|(before, after)| PodUse::between(&pod_readings(&before), &pod_readings(&after)));
        Ok(Measured { run, pod_use: pod_use.unwrap_or_default(), tracked, events })
    }

    /// Plays the events of a run that begins at `start`, until it is `over`; says when there is `enough` of it.
    async fn events(&self, start: Instant, enough: &Shutdown, over: &Shutdown) -> Vec<EventRecord> {
        let Some(Workplace { access, .. }) = self.workplace else { return Vec::new() };
        let Context { progress, shutdown, .. } = self.context;
        let stage = Stage { access, progress, shutdown };
        let records = play(&self.trial.events, start, &stage, over).await;
        if self.trial.ends_with_events {
            // BalancedPods that drain still answer, and a rollout may yet go wrong at its very end.
            let drained = async {
                let _ = workload::event::drained(&stage).await;
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

    /// Sends the load to the Service, or to `pods` as they come and go.
    async fn load(
        &self,
        pods: Option<BalancedPods<'_>>,
        plan: &LoadPlan,
        shutdown: &Shutdown,
        live: impl FnMut(Live),
    ) -> Result<RunResult, Error> {
        let Some(mut pods) = pods else { return Ok(load::run(&self.endpoint, plan, shutdown, live).await?) };
        let addresses = pods.addresses.clone();
        let run = load::run_balanced(&self.endpoint, &addresses, plan, shutdown, live);
        let (mut run, mut follow) = (std::pin::pin!(run), std::pin::pin!(pods.follow()));
        tokio::select! {
            run = &mut run => Ok(run?),
            followed = &mut follow => match followed {
                Ok(()) => Ok(run.await?),
                Err(error) => Err(error),
            },
        }
    }

    /// Tells what there is to tell, whatever the outcome of [`Series::run`], and returns it; if all went well, whether
    /// what was asserted holds.
    ///
    /// # Errors
    /// The outcome's; [`Error::AssertionsMissed`]; [`Error::Io`] when the report cannot be written.
    pub fn finish(self, outcome: Result<(), Error>, files: &ReportFiles, judge: &Judge) -> Result<(), Error> {
        let Self { context, target, trial, environment, table, runs, .. } = self;
        let report = Report { environment, ..Report::new(target, runs) };
        let written = files.write(&report, &context.progress);
        let runs = &report.runs;
        let (changes, verdicts) = match &outcome {
            Ok(()) => (judge.changes(runs), judge.verdicts(runs)),
            Err(_) => (Vec::new(), String::new()),
        };
        let printed = if context.json {
            for change in changes {
                context.progress.note(change);
            }
            Json.export(&report).and_then(|json| output::text(&json))
        } else {
            let rounds = if trial.rounds > 1 && !runs.is_empty() { table.rounds(runs) } else { String::new() };
            let mut parts = vec![rounds, table.comparison(runs), Table::sentences(&changes), verdicts];
            parts.retain(|part| !part.is_empty());
            let space = if trial.rounds == 1 && !parts.is_empty() { "\n" } else { "" };
            output::text(&format!("{space}{}", parts.join("\n")))
        };
        let judged = if outcome.is_ok() { judge.verdict(runs) } else { Ok(()) };
        outcome.and(written).and(judged).and(printed)
    }
}

/// The pods among which the client balances.
struct BalancedPods<'a> {
    access: &'a Access,
    guarded: Guarded<'a>,
    addresses: Addresses,
}

impl<'a> BalancedPods<'a> {
    /// Those that are ready now, each of which must be the lab's.
    async fn find(access: &'a Access, mut guarded: Guarded<'a>) -> Result<BalancedPods<'a>, Error> {
        let backends = workload::backends(&access.client).await?;
        guarded.check(&backends).await?;
        Ok(Self { access, guarded, addresses: Addresses::new(&backends) })
    }

    /// Keeps the addresses as the Service's EndpointSlices have them; it never ends but by an error.
    async fn follow(&mut self) -> Result<(), Error> {
        let mut changes = std::pin::pin!(workload::backends_as_they_change(&self.access.client));
        while let Some(backends) = changes.next().await {
            self.guarded.check(&backends).await?;
            self.addresses.set(&backends);
        }
        Ok(())
    }
}

/// The number of pods that are ready.
async fn ready_pods(access: &Access) -> Result<u32, Error> {
    let pods = workload::status::workload(&access.client).await?.pods;
    let ready = pods.iter().filter(|pod| pod.status == "Running" && pod.ready == pod.containers).count();
    Ok(u32::try_from(ready).unwrap_or(u32::MAX))
}

/// What came of a run.
struct Measured {
    run: RunResult,
    pod_use: Vec<PodUse>,
    /// Connections by pod, from the node's connection tracking.
    tracked: Vec<(String, u64)>,
    events: Vec<EventRecord>,
}

impl Measured {
    fn alone(run: RunResult) -> Self {
        Self { run, pod_use: Vec::new(), tracked: Vec::new(), events: Vec::new() }
    }
}

/// Whole tenths of a second.
fn tenths(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis() / 100 * 100).unwrap_or(u64::MAX))
}

/// "540123 answers, 90021 req/s, p99 1.02 ms, no errors".
#[allow(clippy::cast_precision_loss, reason = "microseconds of a day")]
fn summary(run: &Measurement) -> String {
    let wrong = run.errors.saturating_add(run.requests.non_2xx);
    let errors = if wrong == 0 { "no errors".to_owned() } else { some(wrong, "error") };
    let (rate, p99) = (run.requests_per_second.average, run.latency_us.p99 as f64 / 1000.0);
    format!("{}, {rate:.0} req/s, p99 {p99:.2} ms, {errors}", some(run.requests.answered, "answer"))
}

fn verdict(target: &str, run: &Measurement) -> Result<(), Error> {
    if run.interrupted {
        return Err(Interrupted.into());
    }
    if let Some((event, why)) = run.events.iter().find_map(|event| Some((event, event.trouble.as_ref()?))) {
        return Err(Error::Event { what: event.what.clone(), why: why.clone() });
    }
    if run.requests.answered > 0 {
        return Ok(());
    }
    let errors = run.errors;
    let why = if errors == 0 { "none came in time".to_owned() } else { format!("{errors} tries failed") };
    Err(Error::NoAnswer { target: target.to_owned(), why })
}
