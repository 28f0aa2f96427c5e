//! All agents of one run.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::time::{MissedTickBehavior, interval};

use super::agent::{Agent, Timing};
use super::{Agents, live};
use crate::experiment::ExperimentError;
use crate::experiment::workplace::Workplace;
use crate::progress::{Progress, Step};
use crate::shutdown::{Interrupted, Shutdown, unless};
use crate::workload::agents::{AgentJob, AgentJobSpec};
use evenkeel_agent::Assignment;
use evenkeel_load::{LoadPlan, Part, RunProgress, RunResult, Target};
use evenkeel_measure::{Agent as Measured, some};

/// How long agents may take to start.
const START: Duration = Duration::from_secs(60);
/// How long before its begin a run is announced, so that every agent learns of it in time.
const LEAD: Duration = Duration::from_millis(250);
/// How long an agent may run longer than its plan.
const SPARE: Duration = Duration::from_secs(30);
/// The interval between two updates of the progress.
const UPDATE: Duration = Duration::from_millis(500);

/// The agents of a run, ready to begin. [`Fleet::run`] removes them.
pub(in crate::experiment) struct Fleet {
    job: AgentJob,
    agents: Vec<Agent>,
    origin: Instant,
}

impl Fleet {
    /// Starts the agents, and gives each its part of `plan`. If they cannot be started, nothing is left of them.
    ///
    /// # Errors
    /// [`ExperimentError::NoAgent`] when none is ready; [`ExperimentError::Workload`], [`ExperimentError::Interrupted`].
    pub(in crate::experiment) async fn gather(
        workplace: Workplace<'_>,
        agents: &Agents,
        (target, plan): (&Target, &LoadPlan),
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Result<Self, ExperimentError> {
        let count = agents.count.get();
        let step = progress.step(format!("start {}", some(count, "agent")));
        let deadline = plan.warm_up + plan.duration + SPARE;
        let spec = AgentJobSpec { subject: workplace.subject, count, image: &agents.image, deadline };
        let job = AgentJob::create(&workplace.access.client, spec).await?;
        let assign = |number| {
            let part = Part::new(number, count).unwrap_or(Part::WHOLE);
            Assignment { target: target.clone(), plan: plan.clone(), part, deadline }
        };
        match unless(shutdown, Box::pin(prepare(&job, assign, &step))).await {
            Ok(Ok((agents, origin))) => {
                step.done_with(job.name());
                Ok(Self { job, agents, origin })
            }
            Ok(Err(error)) => {
                let _ = job.delete().await;
                Err(error)
            }
            Err(interrupted) => {
                job.delete().await?;
                Err(interrupted.into())
            }
        }
    }

    /// When the load begins if it is announced now.
    pub(in crate::experiment) fn begin() -> Instant {
        Instant::now() + LEAD
    }

    /// Lets the agents send the load from `begin` on, until `end` is cancelled. Then they are removed.
    ///
    /// # Errors
    /// [`ExperimentError::NoAgent`] when no agent has a result; [`ExperimentError::Workload`] when the agents could not be
    /// removed.
    pub(in crate::experiment) async fn run(
        self,
        plan: &LoadPlan,
        begin: Instant,
        end: &Shutdown,
        live: impl FnMut(RunProgress),
    ) -> Result<(RunResult, Vec<Measured>), ExperimentError> {
        let Self { job, agents, origin } = self;
        let timing = Timing { origin, begin, end };
        let progress = Mutex::new(vec![None; agents.len()]);
        // A result has megabytes, so each is added as soon as it is there.
        let merged = Mutex::new(None);
        let runs = agents.into_iter().enumerate().map(|(number, agent)| {
            let progress = &progress;
            let set = move |news| {
                if let Some(slot) = progress.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
                    *slot = Some(news);
                }
            };
            let (agent, merged) = (agent.run(&job, plan, timing, set), &merged);
            async move {
                let outcome = agent.await;
                let mut merged = merged.lock().unwrap_or_else(PoisonError::into_inner);
                let before = merged.take();
                *merged = RunResult::merge_parts(plan, before.into_iter().chain(outcome.result));
                outcome.measured
            }
        });
        let measured = show(join_all(runs), &progress, live).await;
        let removed = job.delete().await;
        let Some(merged) = merged.into_inner().unwrap_or_else(PoisonError::into_inner) else {
            return Err(if end.is_cancelled() { Interrupted.into() } else { none(&measured) });
        };
        removed?;
        Ok((merged, measured))
    }
}

/// Waits until the agents run, and prepares each. Returns the origin of the clock that theirs were measured against.
async fn prepare(
    job: &AgentJob,
    assign: impl Fn(u32) -> Assignment,
    step: &Step,
) -> Result<(Vec<Agent>, Instant), ExperimentError> {
    let pods = job.pods(START, |running| step.detail(format!("{} running", some(running as u64, "agent")))).await?;
    let origin = Instant::now();
    let agents = (0..).zip(pods).map(|(number, pod)| Agent::prepare(job, pod, assign(number), origin));
    let agents = join_all(agents).await;
    if agents.iter().any(|agent| agent.ready.is_ok()) {
        return Ok((agents, origin));
    }
    let troubles = agents.iter().map(|agent| Measured {
        name: agent.pod.name.clone(),
        trouble: agent.ready.as_ref().err().cloned(),
        ..Measured::default()
    });
    Err(none(&troubles.collect::<Vec<_>>()))
}

/// The error when no agent did anything. The first one says why.
fn none(agents: &[Measured]) -> ExperimentError {
    let first = agents.iter().find_map(|agent| Some((agent.name.clone(), agent.trouble.clone()?)));
    let (agent, why) = first.unwrap_or_default();
    ExperimentError::NoAgent { agent, why }
}

/// Waits for `all`, and shows the progress meanwhile.
async fn show<T>(
    all: impl Future<Output = T>,
    progress: &Mutex<Vec<Option<RunProgress>>>,
    mut live: impl FnMut(RunProgress),
) -> T {
    let mut all = std::pin::pin!(all);
    let mut ticks = interval(UPDATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut all => return done,
            _ = ticks.tick() => {
                let sum = live::sum(&progress.lock().unwrap_or_else(PoisonError::into_inner));
                live(sum.unwrap_or_else(live::warming_up));
            }
        }
    }
}
