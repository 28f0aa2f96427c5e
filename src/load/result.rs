//! What a run measured, whole: the workers' records made one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::plan::Plan;
use super::record::{FaultAt, Pod, Second};
use super::times::Times;
use super::usage::ThreadUsage;
use super::worker::Outcome;

/// What a run measured besides when requests were due by a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct PacedResult {
    /// From a request's first byte to its answer's last.
    pub uncorrected: Times,
    /// From when a request was due to its first byte; of those that were answered.
    pub late: Times,
    /// Requests that were due before the end, and never sent.
    pub unsent: u64,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// What was planned.
    pub plan: Plan,
    /// How long was measured.
    pub elapsed: Duration,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// Up to an answer's last byte: from when its request was due, where the plan has a schedule, else from the
    /// request's first byte.
    pub latency: Times,
    /// What else was measured where the plan has a schedule.
    pub paced: Option<PacedResult>,
    /// How long opening a connection took, warm-up included.
    pub connect: Times,
    /// Answers and their bytes, second by second; the last one may be shorter than a second.
    pub seconds: Vec<Second>,
    /// Answers in each tenth of a second, up to the last in which there were any.
    pub tenths: Vec<u32>,
    /// Requests begun.
    pub sent: u64,
    /// Requests answered, whatever the status.
    pub answered: u64,
    /// Requests on their way when the run ended.
    pub in_flight: u64,
    /// Connections opened for the run; those that the warm-up opened count when the run uses them.
    pub opened: u64,
    /// What fell on each pod, by name.
    pub pods: Vec<Pod>,
    /// What went wrong: where, when, how often.
    pub faults: BTreeMap<FaultAt, u64>,
    /// What each of the load's own threads used, the warm-up not counted.
    pub threads: Vec<ThreadUsage>,
}

impl RunResult {
    /// The sum of `outcomes`, of a run that began to count at `start`. `None` when there is none.
    pub(super) fn merge(plan: &Plan, start: Instant, interrupted: bool, outcomes: Vec<Outcome>) -> Option<Self> {
        let ended = outcomes.iter().map(|outcome| outcome.ended).max()?;
        let elapsed = ended.saturating_duration_since(start).min(plan.duration);
        let mut outcomes = outcomes.into_iter();
        let mut result = Self::from_one(plan, elapsed, interrupted, outcomes.next()?);
        for outcome in outcomes {
            result.add(Self::from_one(plan, elapsed, interrupted, outcome));
        }
        let lived = elapsed.as_secs() + u64::from(elapsed.subsec_nanos() > 0);
        result.seconds.truncate(usize::try_from(lived).unwrap_or(usize::MAX));
        Some(result)
    }

    fn from_one(plan: &Plan, elapsed: Duration, interrupted: bool, outcome: Outcome) -> Self {
        let faults = outcome.record.named_faults();
        let mut pods = outcome.record.pods;
        pods.retain(|pod| pod.requests > 0);
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            plan: plan.clone(),
            elapsed,
            interrupted,
            latency: outcome.record.latency,
            paced: outcome.record.paced.map(|paced| PacedResult {
                uncorrected: paced.uncorrected,
                late: paced.late,
                unsent: paced.unsent,
            }),
            connect: outcome.record.connect,
            seconds: outcome.record.seconds,
            tenths: outcome.record.tenths,
            sent: outcome.record.sent,
            answered: outcome.record.answered,
            in_flight: outcome.record.in_flight,
            opened: outcome.record.opened,
            pods,
            faults,
            threads: vec![outcome.usage],
        }
    }

    fn add(&mut self, other: Self) {
        self.latency.add(&other.latency);
        self.connect.add(&other.connect);
        for (mine, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.requests += theirs.requests;
            mine.bytes += theirs.bytes;
        }
        self.tenths.resize(self.tenths.len().max(other.tenths.len()), 0);
        for (mine, theirs) in self.tenths.iter_mut().zip(&other.tenths) {
            *mine = mine.saturating_add(*theirs);
        }
        self.sent += other.sent;
        self.answered += other.answered;
        self.in_flight += other.in_flight;
        self.opened += other.opened;
        self.threads.extend(other.threads);
        if let (Some(mine), Some(theirs)) = (&mut self.paced, &other.paced) {
            mine.uncorrected.add(&theirs.uncorrected);
            mine.late.add(&theirs.late);
            mine.unsent += theirs.unsent;
        }
        for pod in other.pods {
            match self.pods.binary_search_by(|mine| mine.name.cmp(&pod.name)) {
                Ok(at) => {
                    self.pods[at].requests += pod.requests;
                    self.pods[at].connections += pod.connections;
                    match (&mut self.pods[at].latency, &pod.latency) {
                        (Some(mine), Some(theirs)) => mine.add(theirs),
                        // What was not timed by all cannot stand for all.
                        (mine, _) => *mine = None,
                    }
                }
                Err(at) => self.pods.insert(at, pod),
            }
        }
        for (fault, count) in other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::fault::Fault;
    use crate::load::record::Record;
    use std::num::NonZeroU32;

    fn outcome(pods: &[(&str, u64)], ended: Instant) -> Outcome {
        let mut record = Record::new(Duration::from_secs(2), true).unwrap();
        for (name, requests) in pods {
            let pod = record.pod(name.as_bytes());
            record.landed(pod);
            for _ in 0..*requests {
                record.answer(pod, Duration::ZERO, Duration::from_micros(100), 10);
            }
            record.fault(Fault::Reset, Duration::ZERO, Some(pod));
        }
        if let Some(paced) = &mut record.paced {
            paced.unsent = 7;
            paced.late.record(Duration::from_micros(10));
        }
        let usage = ThreadUsage { cpu: Duration::from_millis(1), voluntary_switches: 3, involuntary_switches: 2 };
        Outcome { record, ended, usage }
    }

    #[test]
    fn workers_add_up() {
        let start = Instant::now();
        let plan = Plan::new(NonZeroU32::new(3).unwrap(), Duration::from_secs(2));
        let ended = start + Duration::from_millis(1200);
        let outcomes = vec![outcome(&[("b", 2), ("a", 1)], start), outcome(&[("c", 5), ("b", 1)], ended)];
        let result = RunResult::merge(&plan, start, true, outcomes).unwrap();
        let pods: Vec<_> = result.pods.iter().map(|p| (p.name.as_str(), p.requests, p.connections)).collect();
        assert_eq!(pods, [("a", 1, 1), ("b", 3, 2), ("c", 5, 1)]);
        assert_eq!((result.answered, result.latency.count(), result.seconds[0].requests), (9, 9, 9));
        assert_eq!(result.tenths, [9]);
        assert_eq!(result.faults.values().sum::<u64>(), 4);
        assert_eq!((result.seconds.len(), result.elapsed), (2, Duration::from_millis(1200)));
        assert_eq!(result.threads.iter().map(|thread| thread.cpu).sum::<Duration>(), Duration::from_millis(2));
        let paced = result.paced.unwrap();
        assert_eq!((paced.unsent, paced.late.count()), (14, 2));
    }
}
