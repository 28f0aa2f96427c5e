//! The statistics of runs: latency, throughput, spread over pods, comparison and assertions. Pure: no clock, no I/O.

mod agent;
mod assertion;
mod comparison;
mod digits;
mod distribution;
mod error;
mod event;
mod generator;
mod latency;
mod machine;
mod mode;
mod node_use;
mod over_time;
mod percentile_curve;
mod pod_use;
mod run_data;
#[cfg(test)]
mod sample;
mod spread;
mod throughput;
mod topology;
mod traffic_policy;
mod transport;
mod way;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use agent::{Agent, AgentErrors};
pub use assertion::{Assertion, AssertionResult};
pub use comparison::{
    Change, Configuration, ConfigurationSummary, Difference, Interval, Naming, Ratio, SlowPodSummary, against_baseline,
    change_sentences, compare, comparison_sentences, median_rounds, policy_sentences, slow_pod_summaries,
    spread_sentence,
};
pub use digits::{grouped_count, grouped_digits, some};
pub use error::AssertionError;
pub use event::{Around, Dip, Event, FailureKind, Gap, Impact, NodeEffect, RequestTimes, SlowPod, SlowPodLoad};
pub use generator::{ContextSwitches, Rate};
pub use latency::Latency;
pub use machine::{ComponentsReading, MachineLimit};
pub use mode::Mode;
pub use node_use::{NodeReading, NodeUse};
pub use over_time::{OverTime, PodOverTime};
pub use percentile_curve::{PercentilePoint, percentile_curve};
pub use pod_use::PodUse;
pub use run_data::{
    Absence, Failure, FailureClass, ObservedEvent, ObservedNode, ObservedSlowPod, PodLoad, PodReading, RunData,
    ScheduledRun, SlowPodRequests, ThreadUsage,
};
pub use spread::{
    Balancer, Band, Chance, CountedBy, Crossing, Evenness, NodeShare, PodLatency, PodShare, Policy, Spread, Uniformity,
    ZoneShare, sentence,
};
pub use throughput::{Throughput, samples};
pub use topology::{ClusterNode, EnteredConnections, EntryCounts, PlacedPod, Topology};
pub use traffic_policy::{ClientAddress, TrafficPolicy, client_address_words};
pub use transport::{Handshakes, Http2, Messages};
pub use way::{Protocol, Way};

/// Requests by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Sent.
    pub sent: u64,
    /// Answered, with any status.
    pub answered: u64,
    /// Answered with a status that was not expected: with another one than 2xx, unless others were to be expected.
    pub non_2xx: u64,
    /// Still open when the run ended.
    pub in_flight: u64,
}

/// What was counted for one of several requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestResult {
    /// Its method, and its path if that is not the one of the target.
    pub request: String,
    /// How often it was answered, with any status.
    pub answered: u64,
    /// How often it failed; with a status that was not expected, it was also answered.
    pub failed: u64,
    /// How long its responses took.
    pub latency_us: PodLatency,
}

/// Failures in one second of a run, by kind and pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    /// "refused", "reset", "closed early", "timed out", "protocol error", "unreachable", "no address" or "status 503";
    /// over HTTP/2 also "not processed", "stream reset" and "not HTTP/2"; with TLS also "not TLS", "TLS expected",
    /// "TLS error", "no HTTP/2 over TLS" and "certificate expired"; with gRPC also "grpc-status" and the name of the status,
    /// followed by "(HTTP status 503)" where the response had no status of gRPC.
    pub kind: String,
    /// Seconds since the run began.
    pub second: u32,
    /// The pod the connection led to, where that was known.
    pub pod: Option<String>,
    /// How often.
    pub count: u64,
}

/// One second of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineSecond {
    /// Requests answered.
    pub requests: u64,
    /// Bytes of their responses.
    pub bytes: u64,
}

/// One run, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// How many pods there were, where that is known.
    pub replicas: Option<u32>,
    /// How requests reached the pods; `None` where connections were replaced after more than one response, and in
    /// reports of older versions.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// What the requests were sent over. Reports of older versions may have HTTP/1.1 here for HTTP/2.
    #[serde(default)]
    pub protocol: Protocol,
    /// The Service that the load was sent to, as `namespace/name:port`; `None` for a target outside of the cluster, and in
    /// reports of older versions.
    #[serde(default)]
    pub service: Option<String>,
    /// The external traffic policy that a comparison set for this run; `None` where the Service had its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
    /// Which source address the pods of that Service saw; `None` where that is unknown. It is looked up only in comparisons
    /// of policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_address: Option<ClientAddress>,
    /// Connections that were open.
    pub connections: u32,
    /// HTTP/2, if the requests were sent over it.
    #[serde(default)]
    pub http2: Option<Http2>,
    /// How long was to be measured, in seconds; at most, where `planned_requests` is given.
    pub planned_seconds: f64,
    /// How many requests, answered or failed, were to end the run.
    #[serde(default)]
    pub planned_requests: Option<u64>,
    /// How long was measured, in seconds.
    pub elapsed_seconds: f64,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// The statuses that count as successes: classes, codes and ranges of HTTP, or OK of gRPC. Reports that are older than the choice have 2xx.
    #[serde(default = "usual_statuses")]
    pub expected_statuses: String,
    /// Requests by outcome.
    pub requests: Requests,
    /// Bytes of all responses.
    pub bytes: u64,
    /// In microseconds, up to the last byte of a response. It is measured from the first byte of the request or, if the
    /// load had a rate, from when the request was due (corrected for coordinated omission).
    pub latency_us: Latency,
    /// If the load had a rate: from the first byte of a request to the last byte of its response, in microseconds.
    #[serde(default)]
    pub uncorrected_latency_us: Option<Latency>,
    /// The target rate and the rate that was reached; `None` in a closed loop.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// How long opening a connection took, in microseconds, warm-up included.
    pub connect_us: Latency,
    /// The TLS handshakes, if there was TLS.
    #[serde(default)]
    pub tls_handshakes: Option<Handshakes>,
    /// The messages, if calls of gRPC are answered with streams.
    #[serde(default)]
    pub messages: Option<Messages>,
    /// Connections opened for the run; those that the warm-up opened count when the run uses them.
    #[serde(default)]
    pub connections_opened: u64,
    /// Responses per second.
    pub requests_per_second: Throughput,
    /// Bytes of responses per second.
    pub bytes_per_second: Throughput,
    /// The number of samples of the two above.
    pub samples: usize,
    /// How long a sample is, in seconds.
    pub sample_seconds: f64,
    /// Failed requests and connections. Responses with a bad status are not included.
    pub errors: u64,
    /// Of those, how many timed out.
    pub timeouts: u64,
    /// Errors and bad statuses by second, kind and pod.
    pub faults: Vec<FaultCount>,
    /// Each of several requests; empty for one, for more than 20, and in reports of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_request: Vec<RequestResult>,
    /// How requests and connections were distributed over pods.
    pub spread: Spread,
    /// Each second.
    pub timeline: Vec<TimelineSecond>,
    /// Latency and the requests of each pod over time; `None` in reports of older versions.
    #[serde(default)]
    pub over_time: Option<OverTime>,
    /// Latency by percentile; empty in reports of older versions.
    #[serde(default)]
    pub latency_curve: Vec<PercentilePoint>,
    /// The histogram of the latency, in microseconds, as `HdrHistogram` encodes it (V2, deflated) in base64;
    /// `None` in reports of older versions.
    #[serde(default)]
    pub latency_histogram: Option<String>,
    /// What was done to the workload or the cluster during the run, where that is known.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What each pod used, where that is known.
    #[serde(default)]
    pub pod_use: Vec<PodUse>,
    /// What the pods of a proxy used: pods of the Service that the load was sent to, where other pods answered.
    #[serde(default)]
    pub proxy_use: Vec<PodUse>,
    /// What each node of a lab used, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_use: Vec<NodeUse>,
    /// When the machine slowed the run, and not the service; `None` if that was not the case, or is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_limit: Option<MachineLimit>,
    /// Processor time of the load generator, in seconds.
    pub generator_cpu_seconds: f64,
    /// The part of the run that the busiest thread of the generator was on a processor, 0 to 1.
    #[serde(default)]
    pub generator_busiest: f64,
    /// Whether that was at least 0.9 while there was more to send: the generator was the limit, not the server.
    #[serde(default)]
    pub generator_bound: bool,
    /// How often the load generator's threads left the processor.
    #[serde(default)]
    pub generator_context_switches: ContextSwitches,
    /// The agents that sent the load, if there were any; else this machine sent it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<Agent>,
}

impl Measurement {
    /// Measures a run against `replicas` pods, where that is known.
    #[must_use]
    pub fn new(run: &RunData, replicas: Option<u32>) -> Self {
        let requests: Vec<u64> = run.seconds.iter().map(|second| second.requests).collect();
        let bytes: Vec<u64> = run.seconds.iter().map(|second| second.bytes).collect();
        let (request_samples, sample) = samples(&requests, run.elapsed);
        let (byte_samples, _) = samples(&bytes, run.elapsed);
        let count = |counts: fn(FailureClass) -> bool| {
            run.failures.iter().filter(|failure| counts(failure.class)).map(|failure| failure.count).sum::<u64>()
        };
        let rate = Rate::new(run);
        let busiest = generator::busiest(&run.threads, run.elapsed);
        Self {
            replicas,
            mode: run.mode,
            protocol: run.protocol,
            service: None,
            traffic_policy: None,
            client_address: None,
            connections: run.connections,
            http2: run.http2,
            planned_seconds: run.planned.as_secs_f64(),
            planned_requests: run.planned_requests,
            elapsed_seconds: run.elapsed.as_secs_f64(),
            interrupted: run.interrupted,
            expected_statuses: run.expected_statuses.clone(),
            requests: Requests {
                sent: run.sent,
                answered: run.answered,
                non_2xx: count(|class| class == FailureClass::BadStatus),
                in_flight: run.in_flight,
            },
            bytes: bytes.iter().sum(),
            latency_us: run.latency.clone(),
            uncorrected_latency_us: run.scheduled.as_ref().map(|scheduled| scheduled.uncorrected.clone()),
            connect_us: run.connect.clone(),
            tls_handshakes: run.handshakes.clone(),
            messages: run.messages.clone(),
            connections_opened: run.connections_opened,
            samples: request_samples.len(),
            sample_seconds: sample.as_secs_f64(),
            requests_per_second: Throughput::new(request_samples),
            bytes_per_second: Throughput::new(byte_samples),
            errors: count(|class| class != FailureClass::BadStatus),
            timeouts: count(|class| class == FailureClass::Timeout),
            faults: fault_counts(run),
            by_request: run.by_request.clone(),
            spread: Spread::new(&run.pods, replicas)
                .over(run.http2.map_or(0, |http2| http2.streams), run.mixed_connections),
            timeline: run.seconds.clone(),
            over_time: OverTime::of(run),
            generator_cpu_seconds: run.threads.iter().map(|thread| thread.cpu.as_secs_f64()).sum(),
            generator_busiest: busiest,
            generator_bound: generator::is_bound(busiest, rate.as_ref()),
            generator_context_switches: ContextSwitches::of(&run.threads),
            rate,
            latency_curve: run.latency_curve.clone(),
            latency_histogram: run.latency_histogram.clone(),
            events: Vec::new(),
            pod_use: Vec::new(),
            proxy_use: Vec::new(),
            node_use: Vec::new(),
            machine_limit: None,
            agents: Vec::new(),
        }
    }

    /// Whether anything was received in response to a request: a response, or a message of one that has not ended.
    #[must_use]
    pub fn got_responses(&self) -> bool {
        self.requests.answered > 0 || self.messages.as_ref().is_some_and(|messages| messages.received > 0)
    }

    /// The same, where requests reached the pods in this `mode`.
    #[must_use]
    pub fn in_mode(self, mode: Mode) -> Self {
        let spread = if mode.is_by_client() { self.spread.chosen_by(Balancer::Client) } else { self.spread };
        Self { mode: Some(mode), spread, ..self }
    }

    /// The same, where these agents sent the load.
    #[must_use]
    pub fn sent_by(self, agents: Vec<Agent>) -> Self {
        let generator_bound = self.generator_bound || agents.iter().any(|agent| agent.generator_bound);
        Self { generator_bound, agents, ..self }
    }

    /// Whether a part of the load is missing, because an agent did not do its part.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.agents.iter().any(|agent| agent.trouble.is_some())
    }

    /// The same, where the load was sent to this Service.
    #[must_use]
    pub fn sent_to(self, service: Option<String>) -> Self {
        Self { service, ..self }
    }

    /// The same, where no response named its pod, with the connections that the node's connection tracking found on
    /// each.
    #[must_use]
    pub fn with_tracked(self, found: &[(String, u64)]) -> Self {
        Self { spread: self.spread.counted_by_conntrack(found, self.connections_opened), ..self }
    }

    /// The same, where no response named its pod, and the node's connection tracking told the pods of the connections whose
    /// requests were counted.
    #[must_use]
    pub fn named_by_connection(self) -> Self {
        Self { spread: self.spread.counted_by_connection(), ..self }
    }

    /// The same, with what was done during `run`, of which this is the measurement. If pods were added or removed, it
    /// is not known how many pods there were to choose from.
    #[must_use]
    pub fn with_events(self, run: &RunData, events: &[ObservedEvent]) -> Self {
        let steady = events.iter().all(|event| !event.changes_pods);
        let spread = if steady { self.spread } else { self.spread.of_changing_pods() };
        Self { events: Event::of(run, events), spread, ..self }
    }

    /// The same, where a proxy chose the pods, with what each of its own pods used.
    #[must_use]
    pub fn through_proxy(self, proxy_use: Vec<PodUse>) -> Self {
        Self { proxy_use, spread: self.spread.chosen_by(Balancer::Proxy), ..self }
    }

    /// The same, of a Service with these policies.
    #[must_use]
    pub fn under(self, policies: &[Policy]) -> Self {
        Self { spread: self.spread.under(policies), ..self }
    }

    /// The same with the node and zone of each pod, and what is to be expected of these under the policies, which have to
    /// be known before.
    #[must_use]
    pub fn on_nodes(self, topology: &Topology) -> Self {
        Self { spread: self.spread.on_nodes(topology, self.connections_opened), ..self }
    }

    /// The same, with what each node used.
    #[must_use]
    pub fn with_node_use(self, node_use: Vec<NodeUse>) -> Self {
        Self { node_use, ..self }
    }

    /// The same, where the machine slowed the run.
    #[must_use]
    pub fn slowed_by_machine(self, machine_limit: Option<MachineLimit>) -> Self {
        Self { machine_limit, ..self }
    }

    /// The same as one of `tests` runs of an invocation that are tested for a uniform choice: the more there are, the
    /// smaller a probability has to be to mean something.
    #[must_use]
    pub fn as_one_of(self, tests: u32) -> Self {
        Self { spread: self.spread.as_one_of(tests), ..self }
    }

    /// The same, with what each pod used. The restarts are also added to the spread.
    #[must_use]
    pub fn with_pod_use(mut self, pod_use: Vec<PodUse>) -> Self {
        for share in &mut self.spread.pods {
            share.restarts = pod_use.iter().find(|pod| pod.name == share.name).and_then(|pod| pod.restarts);
        }
        Self { pod_use, ..self }
    }
}

/// [`Measurement::expected_statuses`] when nothing else is asked for.
pub const USUAL_STATUSES: &str = "2xx";

fn usual_statuses() -> String {
    USUAL_STATUSES.to_owned()
}

/// Counts the tests for a uniform choice among `runs`, which are all of one invocation, for those that do not know it.
pub fn count_uniformity_tests(runs: &mut [Measurement]) {
    let tests = runs.iter().filter(|run| run.spread.uniformity.is_some()).count();
    let tests = u32::try_from(tests).unwrap_or(u32::MAX);
    for uniformity in runs.iter_mut().filter_map(|run| run.spread.uniformity.as_mut()) {
        if uniformity.tests == 0 {
            uniformity.tests = tests;
        }
    }
}

/// Failures second by second.
fn fault_counts(run: &RunData) -> Vec<FaultCount> {
    let mut counts: BTreeMap<(u32, &str, Option<&str>), u64> = BTreeMap::new();
    for Failure { tenth, kind, pod, count, .. } in &run.failures {
        *counts.entry((tenth / 10, kind, pod.as_deref())).or_default() += count;
    }
    let counted = |((second, kind, pod), count): ((u32, &str, Option<&str>), u64)| FaultCount {
        kind: kind.to_owned(),
        second,
        pod: pod.map(str::to_owned),
        count,
    };
    counts.into_iter().map(counted).collect()
}
