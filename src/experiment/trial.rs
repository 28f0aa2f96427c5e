//! The runs of a test, and their order.

use std::time::Duration;

use super::grpc_call::GrpcCall;
use super::service_target::{AddressUse, Requirements};
use crate::config::Replicas;
use crate::workload::event::{Action, Planned};
use evenkeel_load::LoadPlan;
use evenkeel_measure::Mode;

/// The longest run. A run that ends after a number of requests or events may take so long.
pub const LONGEST_RUN: Duration = Duration::from_secs(86_400);
/// The default number of rounds in a comparison, which is enough for a useful interval. Each run takes this fraction of
/// the usual time.
const DEFAULT_ROUNDS: u32 = 5;

/// One kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// How requests reach the pods; `None`: as in the plan.
    pub mode: Option<Mode>,
    /// The number of pods to scale to; `None`: no scaling.
    pub replicas: Option<Replicas>,
}

/// All runs of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The load of each run.
    pub plan: LoadPlan,
    /// The kinds of runs to compare; never empty.
    pub cases: Vec<Case>,
    /// The number of runs of each case.
    pub rounds: u32,
    /// The events during each run.
    pub events: Vec<Planned>,
    /// Whether a run ends when its events are over.
    pub ends_with_events: bool,
    /// The call of gRPC that each request makes, if it makes one.
    pub call: Option<GrpcCall>,
}

impl Trial {
    /// One run of `plan`.
    #[must_use]
    pub fn of(plan: LoadPlan) -> Self {
        let cases = vec![Case { mode: None, replicas: None }];
        Self { plan, cases, rounds: 1, events: Vec::new(), ends_with_events: false, call: None }
    }

    /// The same plan, ended by its events.
    #[must_use]
    pub fn ended_by_events(mut self) -> Self {
        self.plan.duration = LONGEST_RUN;
        Self { ends_with_events: true, ..self }
    }

    /// One round at each of `counts`.
    #[must_use]
    pub fn at(counts: &[Replicas], plan: LoadPlan) -> Self {
        let case = |replicas: &Replicas| Case { mode: None, replicas: Some(*replicas) };
        Self { cases: counts.iter().map(case).collect(), ..Self::of(plan) }
    }

    /// The same total time, divided into the usual number of rounds.
    #[must_use]
    pub fn in_rounds(mut self) -> Self {
        self.plan.duration /= DEFAULT_ROUNDS;
        Self { rounds: DEFAULT_ROUNDS, ..self }
    }

    /// Every run, round by round, so that a temporary slowdown of the machine affects all cases.
    pub fn turns(&self) -> impl Iterator<Item = (u32, Case)> {
        (1..=self.rounds).flat_map(|round| self.cases.iter().map(move |case| (round, *case)))
    }

    /// The numbers of pods to scale to.
    #[must_use]
    pub fn counts(&self) -> Vec<u32> {
        self.cases.iter().filter_map(|case| case.replicas).map(Replicas::get).collect()
    }

    /// The number of runs that are tested for a uniform choice of pods: all in which the client does not choose.
    #[must_use]
    pub fn uniformity_tests(&self) -> u32 {
        let tests = self.turns().filter(|(_, case)| case.mode != Some(Mode::Client)).count();
        u32::try_from(tests).unwrap_or(u32::MAX)
    }

    /// What the runs need of the Service under test.
    #[must_use]
    pub fn requirements(&self) -> Requirements {
        let scales = |event: &Planned| matches!(event.action, Action::Scale(_));
        Requirements {
            address: if self.cases.iter().any(|case| case.mode != Some(Mode::Client)) {
                AddressUse::Load
            } else if self.call.as_ref().is_some_and(GrpcCall::asks_server) {
                AddressUse::Reflection
            } else {
                AddressUse::None
            },
            scaling: !self.counts().is_empty() || self.events.iter().any(scales),
            // A run may begin without pods if an event starts some.
            pods: self.counts().is_empty() && !self.events.iter().any(scales),
        }
    }

    /// Whether the client chooses the pods in one of the runs.
    #[must_use]
    pub fn knows_pods(&self) -> bool {
        self.cases.iter().any(|case| case.mode == Some(Mode::Client))
    }

    /// The load of a run in this mode.
    #[must_use]
    pub fn plan_in(&self, mode: Option<Mode>) -> LoadPlan {
        let plan = self.plan.clone();
        if mode == Some(Mode::NoKeepalive) { plan.without_keepalive() } else { plan }
    }
}
