//! The runs of a test, and their order.

use std::num::NonZeroU32;
use std::time::Duration;

use super::agents::Agents;
use super::grpc_call::GrpcCall;
use super::service_target::{AddressUse, Requirements};
use crate::config::Replicas;
use crate::workload::event::{Action, Planned};
use evenkeel_load::{self as load, LoadPlan, RequestTemplate};
use evenkeel_measure::{Mode, Protocol, TrafficPolicy};

/// The longest run. A run that ends after a number of requests or events may take so long.
pub const LONGEST_RUN: Duration = Duration::from_secs(86_400);
/// The default number of rounds in a comparison, which is enough for a useful interval. Each run takes this fraction of
/// the usual time.
const DEFAULT_ROUNDS: u32 = 5;

/// One kind of run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// The number of the Service that the load is sent to, among those of the trial.
    pub service: usize,
    /// What the requests are sent over; `None`: as in the plan.
    pub protocol: Option<Protocol>,
    /// How requests reach the pods; `None`: as in the plan.
    pub mode: Option<Mode>,
    /// The external traffic policy of the Service; `None`: its own.
    pub policy: Option<TrafficPolicy>,
    /// The number of pods to scale to; `None`: no scaling.
    pub replicas: Option<Replicas>,
}

impl Case {
    /// Whether the client chooses the pods.
    #[must_use]
    pub fn is_by_client(self) -> bool {
        self.mode.is_some_and(Mode::is_by_client)
    }
}

/// All runs of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The load of each run.
    pub plan: LoadPlan,
    /// The call of gRPC in runs over gRPC, where protocols are compared.
    pub grpc: Option<RequestTemplate>,
    /// How many requests a connection has in flight in runs over HTTP/2 and gRPC, where protocols are compared; `None`: all
    /// requests that are in flight.
    pub streams: Option<NonZeroU32>,
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
    /// The agents that send the load; `None`: this process.
    pub agents: Option<Agents>,
}

impl Trial {
    /// One run of `plan`.
    #[must_use]
    pub fn of(plan: LoadPlan) -> Self {
        let cases = vec![Case::default()];
        let (grpc, streams, call, agents, events) = (None, None, None, None, Vec::new());
        Self { plan, grpc, streams, cases, rounds: 1, events, ends_with_events: false, call, agents }
    }

    /// The requests of runs over gRPC.
    #[must_use]
    pub fn calls(&self) -> &[RequestTemplate] {
        self.grpc.as_ref().map_or_else(|| self.plan.templates(), std::slice::from_ref)
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
        let case = |replicas: &Replicas| Case { replicas: Some(*replicas), ..Case::default() };
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
        let tests = self.turns().filter(|(_, case)| !case.is_by_client()).count();
        u32::try_from(tests).unwrap_or(u32::MAX)
    }

    /// What the runs need of this Service of the trial. The first one is scaled.
    #[must_use]
    pub fn requirements(&self, service: usize) -> Requirements {
        let scales = |event: &Planned| matches!(event.action, Action::Scale(_));
        let is_scaled = !self.counts().is_empty() || self.events.iter().any(scales);
        Requirements {
            address: if self.cases.iter().any(|case| case.service == service && !case.is_by_client()) {
                AddressUse::Load
            } else if service == 0 && self.call.as_ref().is_some_and(GrpcCall::asks_server) {
                AddressUse::Reflection
            } else {
                AddressUse::None
            },
            scaling: is_scaled && service == 0,
            external_policy: self.sets_policies(),
            inside: self.agents.is_some(),
            // A run may begin without pods if an event starts some.
            pods: !is_scaled,
        }
    }

    /// Whether external traffic policies are compared, so that the runs change the Services.
    #[must_use]
    pub fn sets_policies(&self) -> bool {
        self.cases.iter().any(|case| case.policy.is_some())
    }

    /// Whether the client chooses the pods in one of the runs.
    #[must_use]
    pub fn knows_pods(&self) -> bool {
        self.cases.iter().any(|case| case.is_by_client())
    }

    /// The load of a run of this case. A comparison of protocols has the same number of requests in flight in each: over
    /// HTTP/2 and gRPC, fewer connections carry them.
    #[must_use]
    pub fn plan_of(&self, case: Case) -> LoadPlan {
        let mut plan = self.plan.clone();
        if let Some(protocol) = case.protocol {
            let in_flight = plan.connections;
            let kept = case.mode != Some(Mode::NoKeepalive);
            let streams = if kept { self.streams.unwrap_or(in_flight).min(in_flight) } else { NonZeroU32::MIN };
            if protocol == Protocol::Http1 {
                plan.protocol = load::Protocol::Http1;
            } else {
                plan.protocol = load::Protocol::Http2 { streams };
                plan.connections = connections_for(in_flight, streams);
            }
            if let (Protocol::Grpc, Some(call)) = (protocol, &self.grpc) {
                (plan.request, plan.mix) = (call.clone(), None);
            }
        }
        if case.mode == Some(Mode::NoKeepalive) { plan.without_keepalive() } else { plan }
    }
}

/// The number of connections that carry so many requests in flight, with so many on each.
fn connections_for(requests: NonZeroU32, each: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(requests.get().div_ceil(each.get())).unwrap_or(NonZeroU32::MIN)
}
