//! What a load generator counted in one run, as plain values: the input of every statistic.
//!
//! Nothing here says how the load was sent or what it was sent to, so any generator, and one on another machine, can
//! supply it.

use std::time::Duration;

use super::{
    Handshakes, Http2, Latency, Messages, Mode, PercentilePoint, PodLatency, Protocol, RequestResult, RequestTimes,
    TimelineSecond,
};

/// One run as it was counted. Times are in microseconds where they are whole numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunData {
    /// Connections that were open.
    pub connections: u32,
    /// What the requests were sent over.
    pub protocol: Protocol,
    /// HTTP/2, if the requests were sent over it.
    pub http2: Option<Http2>,
    /// Connections whose responses came from more than one pod.
    pub mixed_connections: u64,
    /// The TLS handshakes, if there was TLS.
    pub handshakes: Option<Handshakes>,
    /// The messages, if calls of gRPC are answered with streams.
    pub messages: Option<Messages>,
    /// How requests reached the pods, where that is known.
    pub mode: Option<Mode>,
    /// How long was to be measured at most.
    pub planned: Duration,
    /// How many requests, answered or failed, were to end the run.
    pub planned_requests: Option<u64>,
    /// How long was measured.
    pub elapsed: Duration,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// The statuses that count as successes: classes, codes and ranges of HTTP, such as "2xx,304", or "OK" of gRPC.
    pub expected_statuses: String,
    /// Requests begun.
    pub sent: u64,
    /// Answered requests, with any status.
    pub answered: u64,
    /// Requests that were still open when the run ended.
    pub in_flight: u64,
    /// Connections opened for the run.
    pub connections_opened: u64,
    /// From when a request was due, or where nothing was scheduled from its first byte, to the last byte of its
    /// response.
    pub latency: Latency,
    /// The same by percentile.
    pub latency_curve: Vec<PercentilePoint>,
    /// The same as an encoded histogram, where there is one.
    pub latency_histogram: Option<String>,
    /// How long opening a connection took.
    pub connect: Latency,
    /// What was scheduled, where requests were due at a rate.
    pub scheduled: Option<ScheduledRun>,
    /// Responses and their bytes, second by second.
    pub seconds: Vec<TimelineSecond>,
    /// Responses in each tenth of a second.
    pub tenths: Vec<u32>,
    /// How long a bin of time is; zero if nothing was counted in bins.
    pub bin: Duration,
    /// How long the responses in each bin took.
    pub bin_latency: Vec<Option<PodLatency>>,
    /// Requests and connections by pod. One without a name has the responses that named no pod.
    pub pods: Vec<PodLoad>,
    /// What was counted for each of several requests, where that is known.
    pub by_request: Vec<RequestResult>,
    /// What failed, in the order of time.
    pub failures: Vec<Failure>,
    /// What each thread of the generator used.
    pub threads: Vec<ThreadUsage>,
}

/// What else was counted where requests were due at a rate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScheduledRun {
    /// Requests a second that were due, on average.
    pub target: f64,
    /// Requests that were due before the end, and never sent.
    pub unsent: u64,
    /// From a request's first byte to the last byte of its response.
    pub uncorrected: Latency,
    /// From when a request was due to its first byte.
    pub late: Latency,
}

/// What one pod did in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodLoad {
    /// Its name; empty for responses that named none.
    pub name: String,
    /// Requests it answered.
    pub requests: u64,
    /// Connections that led to it.
    pub connections: u64,
    /// How long its responses took, where that was measured.
    pub latency: Option<PodLatency>,
    /// Requests it answered in each bin of time, where that was counted.
    pub bins: Option<Vec<u64>>,
}

/// Failures of one kind in one tenth of a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Tenths of a second since the run began.
    pub tenth: u32,
    /// What happened: "refused", "status 503".
    pub kind: String,
    /// How it is counted.
    pub class: FailureClass,
    /// The pod that the connection led to, where that was known.
    pub pod: Option<String>,
    /// How often.
    pub count: u64,
}

/// How a failure is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// A response arrived whose status is not a success.
    BadStatus,
    /// No response arrived in time.
    Timeout,
    /// No response arrived, for any other reason.
    Error,
}

/// Processor time and context switches of one thread of the generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// Time on a processor.
    pub cpu: Duration,
    /// How often it waited for something.
    pub voluntary_switches: u64,
    /// How often it was preempted.
    pub involuntary_switches: u64,
}

/// Something that was done to the workload or to the cluster during a run. Times count from the begin of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedEvent {
    /// When it began.
    pub began: Duration,
    /// When it was over.
    pub over: Duration,
    /// What, in a few words: "scale to 10 pods".
    pub what: String,
    /// Whether pods were added, removed or out of service for a while.
    pub changes_pods: bool,
    /// Why it did not complete.
    pub trouble: Option<String>,
    /// The pod that it made slow.
    pub slow_pod: Option<ObservedSlowPod>,
    /// The node that it acted on.
    pub node: Option<ObservedNode>,
}

/// A node that an event acted on. Times count from the begin of the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedNode {
    /// Its name.
    pub name: String,
    /// How many pods were evicted from it; `None` if the event evicts none.
    pub evicted: Option<u64>,
    /// When it was not Ready.
    pub not_ready: Absence,
    /// When the Service had no ready endpoint there.
    pub no_endpoints: Absence,
    /// When the router sent no new connection for the Service there.
    pub no_route: Absence,
    /// The Service's pods that were there when the event began.
    pub pods: Vec<String>,
}

/// From when to when something was missing; each `None` if that did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absence {
    /// When it was missing first.
    pub began: Option<Duration>,
    /// When it was back for good.
    pub ended: Option<Duration>,
}

/// A pod that an event made slow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedSlowPod {
    /// Its name.
    pub pod: String,
    /// How many pods were ready when the event began, this one included.
    pub pods: u64,
    /// How long it was slow.
    pub slow: Duration,
    /// The requests that were open meanwhile, where responses name their pods.
    pub requests: Option<SlowPodRequests>,
    /// From the begin of the event until the pod was not ready.
    pub not_ready: Option<Duration>,
    /// From the begin of the event until the pod was ready again.
    pub ready_again: Option<Duration>,
    /// Whether its container, or the pod, ended before the event was over.
    pub ended_early: bool,
}

/// The requests that were open while a pod was slow, and those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowPodRequests {
    /// Requests that the pod answered before the event.
    pub pod_before: u64,
    /// Requests that all pods answered before the event.
    pub all_before: u64,
    /// Those of the slow pod.
    pub of_pod: RequestTimes,
    /// Those of all other pods.
    pub of_others: RequestTimes,
    /// All.
    pub of_all: RequestTimes,
}

/// A pod's counters at one moment. What is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodReading {
    /// Its name.
    pub name: String,
    /// The pod's unique ID. A later pod of the same name has another one.
    pub uid: String,
    /// How often its containers were restarted.
    pub restarts: u32,
    /// Processor time, in microseconds.
    pub cpu_us: Option<u64>,
    /// Periods in which its CPU limit held it back.
    pub throttled_periods: Option<u64>,
    /// Its working set, in bytes.
    pub memory_bytes: Option<u64>,
}
