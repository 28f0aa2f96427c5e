//! Converts the results of the load generator, the workload and the nodes to the plain values that `measure` takes.
//!
//! Only this module knows both sides, so that the statistics need neither a load generator nor a cluster.

use std::num::NonZeroU32;

use crate::cluster::NodeCgroup;
use crate::workload::event::{self, AffectedNode, EventRecord, SlowedPod};
use crate::workload::{PodCounters, ServicePolicy};
use evenkeel_load::{
    Fault, FaultAt, LoadPlan, Pod, PodTimes, Protocol, RequestCounts, RequestTemplate, RunResult, Times,
};
use evenkeel_measure::{
    Absence, Failure, FailureClass, Handshakes, Http2, Latency, Messages, Mode, NodeReading, ObservedEvent,
    ObservedNode, ObservedSlowPod, PodLatency, PodLoad, PodReading, Policy, RequestResult, RequestTimes, RunData,
    ScheduledRun, SlowPodRequests, ThreadUsage, TimelineSecond, percentile_curve,
};

/// The counts and times of a run.
#[must_use]
pub fn run_data(run: &RunResult) -> RunData {
    let schedule = run.plan.schedule.as_ref().zip(run.paced.as_ref());
    RunData {
        connections: run.plan.connections.get(),
        http2: match run.plan.protocol {
            Protocol::Http1 => None,
            Protocol::Http2 { streams } => Some(Http2 { streams_per_connection: streams.get(), streams: run.streams }),
        },
        protocol: protocol(&run.plan),
        mixed_connections: run.mixed,
        handshakes: run
            .handshakes
            .as_ref()
            .map(|handshakes| Handshakes { time_us: latency(&handshakes.times), resumed: handshakes.resumed }),
        messages: messages(run),
        mode: match run.plan.responses_per_connection.map(NonZeroU32::get) {
            None => Some(Mode::Keepalive),
            Some(1) => Some(Mode::NoKeepalive),
            Some(_) => None,
        },
        planned: run.plan.duration,
        planned_requests: run.plan.requests.map(Into::into),
        elapsed: run.elapsed,
        interrupted: run.interrupted,
        // The statuses of HTTP decide about nothing else.
        expected_statuses: if run.plan.request.is_grpc() { "OK".into() } else { run.plan.expected.to_string() },
        sent: run.sent,
        answered: run.answered,
        in_flight: run.in_flight,
        connections_opened: run.opened,
        latency: latency(&run.latency),
        latency_curve: percentile_curve(
            run.latency.count(),
            |quantile| run.latency.quantile(quantile),
            |us| run.latency.count_at_most(us),
        ),
        latency_histogram: run.latency.encoded(),
        connect: latency(&run.connect),
        scheduled: schedule.map(|(schedule, paced)| ScheduledRun {
            target: schedule.mean_rate(run.elapsed),
            unsent: paced.unsent,
            uncorrected: latency(&paced.uncorrected),
            late: latency(&paced.late),
        }),
        seconds: run
            .seconds
            .iter()
            .map(|second| TimelineSecond { requests: second.requests, bytes: second.bytes })
            .collect(),
        tenths: run.tenths.clone(),
        bin: run.time_bins.length(),
        bin_latency: run.time_bins.latency().iter().map(|times| times.as_ref().map(pod_latency)).collect(),
        pods: run.pods.iter().map(pod_load).collect(),
        by_request: run.plan.templates().iter().zip(&run.by_request).map(request_result).collect(),
        failures: run.faults.iter().map(|(at, count)| failure(at, *count)).collect(),
        threads: threads(run),
    }
}

/// Only what is counted of an agent: no times, which take most of the work, and nothing of single pods.
#[must_use]
pub fn counts(run: &RunResult) -> RunData {
    let schedule = run.plan.schedule.as_ref().zip(run.paced.as_ref());
    RunData {
        planned: run.plan.duration,
        elapsed: run.elapsed,
        sent: run.sent,
        answered: run.answered,
        scheduled: schedule.map(|(schedule, paced)| ScheduledRun {
            target: schedule.mean_rate(run.elapsed),
            unsent: paced.unsent,
            ..ScheduledRun::default()
        }),
        failures: run.faults.iter().map(|(at, count)| failure(at, *count)).collect(),
        threads: threads(run),
        ..RunData::default()
    }
}

fn threads(run: &RunResult) -> Vec<ThreadUsage> {
    let usage = |thread: &evenkeel_load::ThreadUsage| ThreadUsage {
        cpu: thread.cpu,
        voluntary_switches: thread.voluntary_switches,
        involuntary_switches: thread.involuntary_switches,
    };
    run.threads.iter().map(usage).collect()
}

/// What the requests of a plan are sent over.
#[must_use]
pub fn protocol(plan: &LoadPlan) -> evenkeel_measure::Protocol {
    match plan.protocol {
        Protocol::Http1 => evenkeel_measure::Protocol::Http1,
        Protocol::Http2 { .. } if plan.request.is_grpc() => evenkeel_measure::Protocol::Grpc,
        Protocol::Http2 { .. } => evenkeel_measure::Protocol::Http2,
    }
}

/// The messages of gRPC. Where it was not known whether the calls are answered with streams, it shows now.
fn messages(run: &RunResult) -> Option<Messages> {
    let messages = run.messages.as_ref().filter(|messages| messages.several || run.plan.request.streams())?;
    Some(Messages::new(&messages.seconds, run.elapsed, latency(&messages.first)))
}

/// The summary of a distribution of times.
#[must_use]
pub fn latency(times: &Times) -> Latency {
    Latency::new(times.count(), times.mean(), times.stdev(), times.max(), |quantile| times.quantile(quantile))
}

/// The policies of the Service under test.
#[must_use]
pub fn policies(policies: &[ServicePolicy]) -> Vec<Policy> {
    let policy = |policy: &ServicePolicy| match policy {
        ServicePolicy::ExternalCluster => Policy::ExternalCluster,
        ServicePolicy::ExternalLocal => Policy::ExternalLocal,
        ServicePolicy::InternalCluster => Policy::InternalCluster,
        ServicePolicy::InternalLocal => Policy::InternalLocal,
        ServicePolicy::ClientIpAffinity => Policy::ClientIpAffinity,
        ServicePolicy::PreferSameNode => Policy::PreferSameNode,
        ServicePolicy::PreferSameZone => Policy::PreferSameZone,
        ServicePolicy::PreferClose => Policy::PreferClose,
    };
    policies.iter().map(policy).collect()
}

fn pod_latency(times: &PodTimes) -> PodLatency {
    PodLatency { p50: times.quantile(0.5), p99: times.quantile(0.99), max: times.quantile(1.0) }
}

fn pod_load(pod: &Pod) -> PodLoad {
    PodLoad {
        name: pod.name.clone(),
        requests: pod.requests,
        connections: pod.connections,
        latency: pod.latency.as_ref().map(pod_latency),
        bins: pod.bins.clone(),
    }
}

fn request_result((template, counts): (&RequestTemplate, &RequestCounts)) -> RequestResult {
    let RequestCounts { answered, failed, latency } = counts;
    RequestResult { request: template.name(), answered: *answered, failed: *failed, latency_us: pod_latency(latency) }
}

fn failure(at: &FaultAt, count: u64) -> Failure {
    let class = match at.fault {
        Fault::TimedOut => FailureClass::Timeout,
        fault if fault.is_response() => FailureClass::BadStatus,
        _ => FailureClass::Error,
    };
    Failure { tenth: at.tenth, kind: at.fault.to_string(), class, pod: at.pod.clone(), count }
}

/// The events of a run.
#[must_use]
pub fn observed_events(records: &[EventRecord], run: &RunResult) -> Vec<ObservedEvent> {
    let event = |record: &EventRecord| ObservedEvent {
        began: record.began,
        over: record.over,
        what: record.what.clone(),
        changes_pods: record.changes_pods,
        trouble: record.trouble.clone(),
        slow_pod: record.slowed.as_ref().map(|slowed| observed_slow_pod(slowed, run)),
        node: record.node.as_ref().map(observed_node),
    };
    records.iter().map(event).collect()
}

fn observed_node(node: &AffectedNode) -> ObservedNode {
    let absence = |event::Absence { began, ended }| Absence { began, ended };
    ObservedNode {
        name: node.name.clone(),
        evicted: node.evicted,
        not_ready: absence(node.not_ready),
        no_endpoints: absence(node.no_endpoints),
        no_route: absence(node.no_route),
        pods: node.pods.clone(),
    }
}

fn observed_slow_pod(slowed: &SlowedPod, run: &RunResult) -> ObservedSlowPod {
    // Where responses do not name their pods, it is unknown which of them answered.
    let are_named = run.pods.iter().all(|pod| !pod.name.is_empty());
    let watched = slowed.watch.and_then(|watch| run.watches.get(watch.index())).filter(|_| are_named);
    ObservedSlowPod {
        pod: slowed.pod.clone(),
        pods: slowed.pods,
        slow: slowed.slow,
        requests: watched.map(|watched| SlowPodRequests {
            pod_before: watched.before.pod,
            all_before: watched.before.all,
            of_pod: request_times(&watched.of_pod),
            of_others: request_times(&watched.of_others),
            of_all: request_times(&watched.of_all()),
        }),
        not_ready: slowed.not_ready,
        ready_again: slowed.ready_again,
        ended_early: slowed.ended_early,
    }
}

fn request_times(times: &PodTimes) -> RequestTimes {
    RequestTimes { requests: times.count(), p50_us: times.quantile(0.5), p99_us: times.quantile(0.99) }
}

/// The counters of pods.
#[must_use]
pub fn pod_readings(pods: &[PodCounters]) -> Vec<PodReading> {
    let reading = |pod: &PodCounters| PodReading {
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        restarts: pod.restarts,
        cpu_us: pod.cgroup.cpu_us,
        throttled_periods: pod.cgroup.throttled_periods,
        memory_bytes: pod.cgroup.memory_bytes,
    };
    pods.iter().map(reading).collect()
}

/// The counters of nodes.
#[must_use]
pub fn node_readings(nodes: &[NodeCgroup]) -> Vec<NodeReading> {
    let reading = |node: &NodeCgroup| NodeReading {
        name: node.name.clone(),
        components_cpu_us: node.components.cpu_us,
        pods_cpu_us: node.pods.cpu_us,
        components_memory_bytes: node.components.memory_bytes,
        pods_memory_bytes: node.pods.memory_bytes,
    };
    nodes.iter().map(reading).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use evenkeel_load::{PacedResult, Schedule, Second, TimeBins};
    use evenkeel_measure::Measurement;

    fn times(micros: &[u64]) -> Times {
        let mut times = Times::new().unwrap();
        for us in micros {
            times.record(Duration::from_micros(*us));
        }
        times
    }

    /// A run of `plan` in which nothing happened.
    pub(in crate::experiment) fn empty(plan: LoadPlan) -> RunResult {
        RunResult {
            plan,
            elapsed: Duration::ZERO,
            interrupted: false,
            latency: times(&[]),
            paced: None,
            connect: times(&[]),
            handshakes: None,
            messages: None,
            seconds: Vec::new(),
            tenths: Vec::new(),
            sent: 0,
            answered: 0,
            in_flight: 0,
            opened: 0,
            streams: 0,
            mixed: 0,
            pods: Vec::new(),
            by_request: Vec::new(),
            time_bins: TimeBins::default(),
            watches: Vec::new(),
            faults: BTreeMap::new(),
            threads: Vec::new(),
        }
    }

    /// All numbers differ, so that a mix-up is noticed.
    fn run() -> RunResult {
        let fault = |fault, tenth, pod: Option<&str>| FaultAt { tenth, fault, pod: pod.map(str::to_owned) };
        let thread = |ms| evenkeel_load::ThreadUsage {
            cpu: Duration::from_millis(ms),
            voluntary_switches: 3,
            involuntary_switches: 4,
        };
        let plan = LoadPlan {
            protocol: Protocol::Http2 { streams: NonZeroU32::new(100).unwrap() },
            schedule: Some(Schedule::constant(50.0)),
            ..LoadPlan::new(NonZeroU32::new(7).unwrap(), Duration::from_secs(3))
        };
        RunResult {
            elapsed: Duration::from_secs(2),
            interrupted: true,
            latency: times(&[100, 200, 900]),
            paced: Some(PacedResult { uncorrected: times(&[90]), late: times(&[5, 6]), unsent: 11 }),
            connect: times(&[40]),
            handshakes: Some(evenkeel_load::Handshakes { times: times(&[70]), resumed: 1 }),
            messages: Some(evenkeel_load::Messages { seconds: vec![8, 9], first: times(&[60]), several: true }),
            seconds: vec![Second { requests: 13, bytes: 1_300 }, Second { requests: 17, bytes: 1_700 }],
            tenths: vec![13, 17],
            sent: 43,
            answered: 30,
            in_flight: 2,
            opened: 8,
            streams: 700,
            pods: vec![Pod {
                name: "a".into(),
                requests: 30,
                connections: 5,
                bins: Some(vec![13, 17]),
                ..Pod::default()
            }],
            faults: BTreeMap::from([
                (fault(Fault::Status(503), 9, Some("a")), 5),
                (fault(Fault::TimedOut, 11, None), 2),
                (fault(Fault::Reset, 11, Some("a")), 4),
            ]),
            threads: vec![thread(500), thread(1_900)],
            ..empty(plan)
        }
    }

    #[test]
    fn every_figure_of_a_run_is_converted() {
        let measured = Measurement::new(&run_data(&run()), Some(1));
        assert_eq!((measured.connections, measured.connections_opened), (7, 8));
        assert_eq!(measured.http2, Some(Http2 { streams_per_connection: 100, streams: 700 }));
        assert_eq!((measured.spread.streams, measured.spread.mixed_connections), (700, 0));
        let handshakes = measured.tls_handshakes.as_ref().unwrap();
        assert_eq!((handshakes.time_us.max, handshakes.resumed), (70, 1));
        let messages = measured.messages.as_ref().unwrap();
        assert_eq!((messages.received, messages.first_us.max, messages.per_second.min), (17, 60, 8.0));
        assert_eq!((measured.planned_seconds, measured.elapsed_seconds, measured.interrupted), (3.0, 2.0, true));
        let requests = &measured.requests;
        assert_eq!((requests.sent, requests.answered, requests.non_2xx, requests.in_flight), (43, 30, 5, 2));
        assert_eq!((measured.errors, measured.timeouts, measured.bytes), (6, 2, 3_000));
        assert_eq!((measured.latency_us.count, measured.latency_us.p50, measured.latency_us.max), (3, 200, 900));
        assert!((measured.latency_us.average - 400.0).abs() < 1e-9 && measured.latency_us.stdev > 0.0);
        assert_eq!((measured.connect_us.max, measured.uncorrected_latency_us.as_ref().unwrap().max), (40, 90));
        let rate = measured.rate.as_ref().unwrap();
        assert_eq!((rate.target, rate.achieved, rate.unsent, rate.late_us.max), (50.0, 21.5, 11, 6));
        assert_eq!(measured.latency_curve.last().unwrap().us, 900);
        assert!(measured.latency_histogram.as_ref().unwrap().starts_with("HISTFAAA"));
        assert_eq!(measured.mode, Some(Mode::Keepalive));
        let faults: Vec<_> =
            measured.faults.iter().map(|fault| (fault.second, fault.kind.as_str(), fault.count)).collect();
        assert_eq!(faults, [(0, "status 503", 5), (1, "reset", 4), (1, "timed out", 2)]);
        assert_eq!((measured.spread.pods[0].requests, measured.spread.pods[0].connections), (30, 5));
        let over_time = measured.over_time.as_ref().unwrap();
        assert_eq!((over_time.bin_seconds, over_time.pods[0].requests.as_slice()), (0.1, &[13, 17][..]));
        assert!(
            (measured.generator_cpu_seconds - 2.4).abs() < 1e-9 && (measured.generator_busiest - 0.95).abs() < 1e-9
        );
        assert_eq!(measured.generator_context_switches.voluntary, 6);
    }

    #[test]
    fn connections_that_are_replaced_have_their_own_mode() {
        let mode = |answers| {
            let mut run = run();
            run.plan.responses_per_connection = NonZeroU32::new(answers);
            run_data(&run).mode
        };
        assert_eq!([mode(0), mode(1), mode(2)], [Some(Mode::Keepalive), Some(Mode::NoKeepalive), None]);
    }
}
