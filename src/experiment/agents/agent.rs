//! One agent: how it is prepared, and what comes of it.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::experiment::run_data::counts;
use crate::shutdown::Shutdown;
use crate::workload::agents::{AgentJob, AgentPod, AgentStream};
use evenkeel_agent::clock::{micros, wall_us};
use evenkeel_agent::{Assignment, ClockOffset, Conduct, FromAgent, ToAgent, message};
use evenkeel_load::{LoadPlan, RunProgress, RunResult};
use evenkeel_measure::Agent as Measured;

/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many pings measure an agent's clock.
const PINGS: u32 = 8;
/// How long an agent that was told to stop may take to send its result.
const STOP: Duration = Duration::from_millis(800);
/// How long an agent may take to send its result after its end.
const RESULT: Duration = Duration::from_secs(15);
/// An agent that began later than the others by more than this is named.
const LATE: Duration = Duration::from_millis(100);
/// An agent that stood still for longer than this is named.
const PAUSE: Duration = Duration::from_secs(2);

/// An agent that is ready to begin.
pub(super) struct Ready {
    stream: AgentStream,
    /// Its clock for the run, against that of this machine.
    clock: ClockOffset,
    /// Its time of day, against that of this machine.
    wall: ClockOffset,
}

/// An agent; `ready` is why it is not.
pub(super) struct Agent {
    pub(super) pod: AgentPod,
    pub(super) connections: u32,
    pub(super) ready: Result<Ready, String>,
}

impl Agent {
    /// Connects to an agent, gives it its assignment, and measures its clocks against that which began at `origin`.
    pub(super) async fn prepare(job: &AgentJob, pod: AgentPod, assignment: Assignment, origin: Instant) -> Self {
        let connections = assignment.part.of(assignment.plan.connections.get());
        let ready = match &pod.trouble {
            Some(trouble) => Err(trouble.clone()),
            None => match timeout(PATIENCE, connect(job, &pod, assignment, origin)).await {
                Ok(ready) => ready,
                Err(_) => Err(format!("it did not answer within {} s", PATIENCE.as_secs())),
            },
        };
        Self { pod, connections, ready }
    }
}

async fn connect(job: &AgentJob, pod: &AgentPod, assignment: Assignment, origin: Instant) -> Result<Ready, String> {
    let mut stream = job.attach(&pod.name).await.map_err(|why| why.to_string())?;
    stream.send(&ToAgent::Assignment(Box::new(assignment))).await;
    match stream.receive().await? {
        FromAgent::Ready { version: message::VERSION } => {}
        FromAgent::Ready { version } => {
            return Err(format!(
                "its image is of another version: it speaks version {version} of the protocol, expected {}",
                message::VERSION
            ));
        }
        FromAgent::Failed { why } => return Err(why),
        other => return Err(format!("it sent something unexpected: {other:?}")),
    }
    let mut best: Option<(ClockOffset, ClockOffset)> = None;
    for number in 0..PINGS {
        let (sent, sent_wall) = (since(origin), wall_us());
        stream.send(&ToAgent::Ping(number)).await;
        let FromAgent::Pong { number: answered, clock_us, wall_us: wall } = stream.receive().await? else {
            return Err("it did not answer a ping".into());
        };
        let received = since(origin);
        if answered != number {
            return Err("it answered another ping".into());
        }
        let clock = ClockOffset::of_exchange(sent, received, clock_us);
        let wall = ClockOffset::of_exchange(sent_wall, sent_wall + (received - sent), wall);
        best = Some(best.map_or((clock, wall), |(one, other)| (one.or_better(clock), other.or_better(wall))));
    }
    let (clock, wall) = best.ok_or("its clock was not measured")?;
    Ok(Ready { stream, clock, wall })
}

/// What came of an agent.
pub(super) struct Outcome {
    pub(super) measured: Measured,
    pub(super) result: Option<RunResult>,
}

/// When the run of an agent begins and ends.
#[derive(Clone, Copy)]
pub(super) struct Timing<'a> {
    /// The origin of this machine's clock.
    pub(super) origin: Instant,
    /// When the load begins, warm-up included.
    pub(super) begin: Instant,
    /// Cancelled to end the run early.
    pub(super) end: &'a Shutdown,
}

impl Agent {
    /// Lets the agent send its part of `plan`; `live` gets its progress.
    pub(super) async fn run(
        self,
        job: &AgentJob,
        plan: &LoadPlan,
        timing: Timing<'_>,
        live: impl FnMut(RunProgress),
    ) -> Outcome {
        let Self { pod, connections, ready } = self;
        let unmeasured =
            Measured { name: pod.name.clone(), node: pod.node.clone(), connections, ..Measured::default() };
        let mut ready = match ready {
            Ok(ready) => ready,
            Err(why) => return Outcome { measured: Measured { trouble: Some(why), ..unmeasured }, result: None },
        };
        let wall = ready.wall;
        let measured = Measured {
            clock_offset_us: Some(wall.offset_us),
            clock_error_us: Some(wall.error_us.max(ready.clock.error_us)),
            ..unmeasured
        };
        match ready.follow(plan, timing, live).await {
            Ok((mut result, conduct)) => {
                result.plan = plan.clone();
                // Only this machine interrupts a run. What the system ends is a trouble of one agent.
                let is_over = timing.end.is_cancelled();
                let ended_early = (conduct.terminated || result.interrupted) && !is_over;
                result.interrupted &= is_over;
                let trouble = if ended_early {
                    Some("it was told to end before the run was over".to_owned())
                } else {
                    trouble_of(conduct)
                };
                let measured = Measured { late_us: conduct.late_us, trouble, ..measured }.counted(&counts(&result));
                Outcome { measured, result: Some(result) }
            }
            Err(why) => {
                // The pod may say it better than the connection.
                let trouble = job.why_ended(&pod.name).await.unwrap_or(why);
                Outcome { measured: Measured { trouble: Some(trouble), ..measured }, result: None }
            }
        }
    }
}

/// What an agent that ended with the run did not do as planned.
fn trouble_of(conduct: Conduct) -> Option<String> {
    let [late, pause] = [conduct.late_us, conduct.longest_pause_us].map(Duration::from_micros);
    if pause > PAUSE {
        return Some(format!(
            "it stood still for {:.1} s: it was stopped, or it got no processor",
            pause.as_secs_f64()
        ));
    }
    (late > LATE).then(|| format!("it began {:.1} s later than the others", late.as_secs_f64()))
}

impl Ready {
    async fn follow(
        &mut self,
        plan: &LoadPlan,
        Timing { origin, begin, end }: Timing<'_>,
        mut live: impl FnMut(RunProgress),
    ) -> Result<(RunResult, Conduct), String> {
        let begin_us = micros(begin.saturating_duration_since(origin));
        self.stream.send(&ToAgent::Begin { at_us: self.clock.on_other(begin_us) }).await;
        let longest = begin.saturating_duration_since(Instant::now()) + plan.warm_up + plan.duration + RESULT;
        let mut overdue = std::pin::pin!(sleep(longest));
        let mut told_to_stop = false;
        loop {
            tokio::select! {
                message = self.stream.receive() => match message? {
                    FromAgent::Live(progress) => live(progress),
                    FromAgent::Result { result, conduct } => {
                        self.stream.send(&ToAgent::Done).await;
                        return Ok((*result, conduct));
                    }
                    FromAgent::Failed { why } => {
                        self.stream.send(&ToAgent::Done).await;
                        return Err(why);
                    }
                    FromAgent::Ready { .. } | FromAgent::Pong { .. } => {}
                },
                () = end.cancelled(), if !told_to_stop => {
                    told_to_stop = true;
                    overdue.as_mut().reset(tokio::time::Instant::now() + STOP);
                    self.stream.send(&ToAgent::Stop).await;
                }
                () = &mut overdue => {
                    let what = if told_to_stop { "when it was told to stop" } else { "after the end of the run" };
                    return Err(format!("it sent no result {what}"));
                }
            }
        }
    }
}

fn since(origin: Instant) -> u64 {
    micros(origin.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_did_not_keep_to_the_plan_is_named() {
        let of = |late_us, longest_pause_us| trouble_of(Conduct { late_us, longest_pause_us, terminated: false });
        assert_eq!(of(100_000, 2_000_000), None);
        assert_eq!(of(1_260_000, 0).unwrap(), "it began 1.3 s later than the others");
        assert!(of(1_260_000, 4_040_000).unwrap().starts_with("it stood still for 4.0 s:"));
    }
}
