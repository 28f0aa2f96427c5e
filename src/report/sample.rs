//! Synthetic runs for tests.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use super::Report;
use crate::experiment::run_data::run_data;
use evenkeel_load::{Fault, FaultAt, LoadPlan, Pod, RunResult, Second, ThreadUsage, TimeBins, Times};
use evenkeel_measure::{
    ClusterNode, ContextSwitches, EnteredConnections, EntryCounts, Event, FaultCount, Latency, Measurement, Messages,
    Mode, NodeUse, OverTime, PercentilePoint, PlacedPod, PodLatency, PodLoad, PodOverTime, PodUse, Policy, Protocol,
    RequestResult, RequestTimes, Requests, SlowPod, SlowPodLoad, Spread, Throughput, TimelineSecond, Topology,
    USUAL_STATUSES,
};

/// A run of two seconds against two pods.
pub(super) fn measurement() -> Measurement {
    let pod =
        |name: &str, requests, connections| PodLoad { name: name.into(), requests, connections, ..PodLoad::default() };
    let pods = [pod("server-6c9f5d7b8-4xkzq", 110_000, 18), pod("server-6c9f5d7b8-w8n2j", 70_000, 12)];
    let mut spread = Spread::new(&pods, Some(2));
    for (pod, p99) in spread.pods.iter_mut().zip([1_050, 910]) {
        pod.latency_us = Some(PodLatency { p50: 312, p99, max: 12_345 });
    }
    Measurement {
        replicas: Some(2),
        mode: Some(Mode::Keepalive),
        protocol: Protocol::Http1,
        service: Some("web/server:http".into()),
        traffic_policy: None,
        client_address: None,
        proxy_use: Vec::new(),
        agents: Vec::new(),
        connections: 30,
        planned_seconds: 2.0,
        planned_requests: None,
        elapsed_seconds: 2.0,
        interrupted: false,
        expected_statuses: USUAL_STATUSES.into(),
        requests: Requests { sent: 180_030, answered: 180_000, non_2xx: 0, in_flight: 30 },
        bytes: 25_920_000,
        latency_us: Latency {
            count: 180_000,
            p2_5: 201,
            p50: 312,
            p75: 340,
            p90: 401,
            p97_5: 655,
            p99: 1024,
            p99_9: 3999,
            p99_99: 8003,
            average: 330.5,
            stdev: 88.25,
            max: 12_345,
        },
        uncorrected_latency_us: None,
        rate: None,
        http2: None,
        tls_handshakes: None,
        messages: None,
        connections_opened: 30,
        connect_us: Latency { count: 30, p50: 210, max: 400, ..Latency::default() },
        requests_per_second: Throughput::new([88_000.0, 92_000.0]),
        bytes_per_second: Throughput::new([12_672_000.0, 13_248_000.0]),
        samples: 2,
        sample_seconds: 1.0,
        errors: 0,
        timeouts: 0,
        faults: Vec::new(),
        spread,
        timeline: [88_000, 92_000].map(|requests| TimelineSecond { requests, bytes: requests * 144 }).into(),
        over_time: Some(over_time()),
        latency_curve: [(0.0, 150, 1), (50.0, 312, 90_000), (99.0, 1024, 178_200), (100.0, 12_345, 180_000)]
            .map(|(percentile, us, count)| PercentilePoint { percentile, us, count })
            .into(),
        latency_histogram: None,
        events: Vec::new(),
        by_request: Vec::new(),
        pod_use: Vec::new(),
        node_use: Vec::new(),
        machine_limit: None,
        generator_cpu_seconds: 1.25,
        generator_busiest: 0.625,
        generator_bound: false,
        generator_context_switches: ContextSwitches { voluntary: 1_234, involuntary: 56 },
    }
}

/// Two pods in bins of half a second; the second one answers nothing in the third.
fn over_time() -> OverTime {
    let pod = |name: &str, requests: [u64; 4]| PodOverTime { name: name.into(), requests: requests.into() };
    let latency = |p99| Some(PodLatency { p50: 312, p99, max: 12_345 });
    OverTime {
        bin_seconds: 0.5,
        latency_us: vec![latency(1_000), latency(1_050), None, latency(910)],
        pods: vec![
            pod("server-6c9f5d7b8-4xkzq", [27_000, 27_500, 28_000, 27_500]),
            pod("server-6c9f5d7b8-w8n2j", [23_000, 23_500, 0, 23_500]),
        ],
    }
}

/// The messages of a run of two seconds.
pub(super) fn messages() -> Messages {
    let first = Latency { count: 180_000, p50: 410, p99: 2_100, max: 9_000, average: 430.0, ..Latency::default() };
    Messages::new(&[900_000, 950_000], Duration::from_secs(2), first)
}

/// The run above, and one at five pods with failures.
pub(super) fn report() -> Report {
    let mut worse = measurement();
    let pods: Vec<PodLoad> = (1..=4)
        .map(|n| PodLoad {
            name: format!("server-6c9f5d7b8-pod{n}x"),
            requests: n * 15_000,
            connections: 3 * n,
            ..PodLoad::default()
        })
        .collect();
    (worse.replicas, worse.spread, worse.interrupted) = (Some(5), Spread::new(&pods, Some(5)), true);
    worse.requests_per_second = Throughput::new([76_500.0]);
    worse.latency_us.max = 1_234_567;
    (worse.elapsed_seconds, worse.samples, worse.over_time) = (1.25, 1, None);
    worse.requests.non_2xx = 9;
    (worse.errors, worse.timeouts) = (1_241, 1);
    let fault = |kind: &str, second, pod: Option<&str>, count| FaultCount {
        kind: kind.into(),
        second,
        pod: pod.map(str::to_owned),
        count,
    };
    worse.faults = vec![
        fault("refused", 0, None, 1_200),
        fault("refused", 1, None, 40),
        fault("timed out", 1, Some("server-6c9f5d7b8-pod1x"), 1),
        fault("status 503", 1, Some("server-6c9f5d7b8-pod2x"), 9),
    ];
    Report { evenkeel_version: "0.0.0".into(), ..Report::new("http://198.18.1.1/", vec![measurement(), worse]) }
}

/// Three realistic runs of half a minute: uneven pods, a second with failures, and one pod without a request.
pub(super) fn three_runs() -> Report {
    let mut runs = vec![
        run(&[17, 13], 9_050, 3_300, None),
        run(&[9, 8, 6, 4, 3], 8_900, 3_350, None),
        run(&[6, 5, 4, 4, 3, 3, 2, 2, 1], 8_610, 3_450, Some(12)),
    ];
    runs[2].1 = 10;
    let killed =
        |fault, second: u32, pod: Option<&str>| FaultAt { tenth: 10 * second, fault, pod: pod.map(str::to_owned) };
    runs[2].0.faults = BTreeMap::from([
        (killed(Fault::Reset, 12, Some("server-6c9f5d7b8-c3zzq")), 4),
        (killed(Fault::Refused, 12, None), 1_180),
        (killed(Fault::Refused, 13, None), 61),
        (killed(Fault::Status(503), 13, Some("server-6c9f5d7b8-d4zzq")), 9),
    ]);
    let mut runs: Vec<Measurement> =
        runs.into_iter().map(|(run, replicas)| Measurement::new(&run_data(&run), Some(replicas))).collect();
    let latency_us = PodLatency { p50: 310, p99: 2_100, max: 9_000 };
    runs[2].by_request = vec![
        RequestResult { request: "GET /".into(), answered: 700, failed: 0, latency_us },
        RequestResult { request: "POST /orders/{{uuid}}".into(), answered: 690, failed: 12, latency_us },
    ];
    // 100 bins fill half a minute.
    runs.iter_mut().filter_map(|run| run.over_time.as_mut()).for_each(|over_time| over_time.bin_seconds = 0.3);
    runs[2].pod_use = (0..10)
        .map(|pod| PodUse {
            name: format!("server-6c9f5d7b8-{pod}"),
            restarts: Some(u32::from(pod == 2)),
            cpu_seconds: Some(2.5),
            throttled_periods: Some(0),
            memory_bytes: Some(1_700_000),
        })
        .collect();
    runs[2].events = vec![killed_event(), throttled_event()];
    let mut report = Report::new("http://198.18.1.1/", runs);
    let environment = [("kernel", "Linux 6.18.5"), ("CPU", "2 × made-up processor"), ("kube-proxy mode", "nftables")];
    report.environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    report
}

/// A run of half a minute at five pods on three nodes in two zones, with externalTrafficPolicy: Cluster.
pub(super) fn three_nodes() -> Report {
    on_nodes(&[9, 8, 6, 4, 3], &[0, 1, 1, 2, 2], &[Policy::ExternalCluster], |pod, connections| {
        let first = connections / 3;
        vec![(pod % 3, first), ((pod + 1) % 3, connections - first)]
    })
}

/// The same at ten pods, one of them alone on its node, with externalTrafficPolicy: Local. No node counted connections.
pub(super) fn uneven_nodes() -> Report {
    let nodes = [0, 1, 1, 1, 1, 2, 2, 2, 2, 2];
    on_nodes(&[9, 4, 3, 3, 2, 3, 2, 2, 1, 1], &nodes, &[Policy::ExternalLocal], |_, _| Vec::new())
}

/// A run with these connections on each pod, which is on the node with this number, and with the connections that entered
/// at each node on their way to the pod.
fn on_nodes(
    connections: &[u64],
    nodes: &[usize],
    policies: &[Policy],
    entered: impl Fn(usize, u64) -> Vec<(usize, u64)>,
) -> Report {
    let (result, replicas) = run(connections, 8_900, 3_350, None);
    let name = |node: usize| format!("evenkeel-{node}");
    let pod = |(pod, node): (&Pod, &usize)| PlacedPod { name: pod.name.clone(), node: name(*node), ready: true };
    let mut paths = Vec::new();
    for (at, pod) in result.pods.iter().enumerate() {
        for (node, connections) in entered(at, pod.connections) {
            paths.push(EnteredConnections { node: name(node), pod: pod.name.clone(), connections });
        }
    }
    let zone = |node: usize| Some(if node < 2 { "zone-a" } else { "zone-b" }.to_owned());
    let topology = Topology {
        nodes: (0..3).map(|node| ClusterNode { name: name(node), zone: zone(node) }).collect(),
        pods: result.pods.iter().zip(nodes).map(pod).collect(),
        entries: Some((0..3).map(name).collect()),
        entered: (!paths.is_empty()).then(|| EntryCounts { nodes: (0..3).map(name).collect(), connections: paths }),
    };
    let used = (0_u32..3).map(|node| NodeUse {
        name: name(node as usize),
        components_cpu_seconds: Some(if node == 0 { 9.6 } else { 3.3 }),
        pods_cpu_seconds: Some(f64::from(node + 1) * 4.5),
        components_memory_bytes: Some(if node == 0 { 412_000_000 } else { 148_000_000 }),
        pods_memory_bytes: (node > 0).then_some(5_100_000),
    });
    let mut measured = Measurement::new(&run_data(&result), Some(replicas));
    measured.over_time.iter_mut().for_each(|over_time| over_time.bin_seconds = 0.3);
    let measured = measured.under(policies).on_nodes(&topology).with_node_use(used.collect());
    Report { evenkeel_version: "0.0.0".into(), ..Report::new("http://198.18.1.1/", vec![measured]) }
}

fn throttled_event() -> Event {
    let times = |requests, p50_us, p99_us| RequestTimes { requests, p50_us, p99_us };
    let load = SlowPodLoad {
        share: Some(0.006),
        share_before: Some(0.1),
        of_pod: times(2_400, 3_100, 98_000),
        of_others: times(397_600, 310, 1_300),
        of_all: times(400_000, 311, 1_900),
    };
    Event {
        second: 18.0,
        what: "throttle a pod to 10% of a CPU for 5 s".into(),
        over_second: Some(23.1),
        slow_pod: Some(SlowPod {
            pod: "server-6c9f5d7b8-c3zzq".into(),
            seconds: 5.0,
            even_share: Some(0.1),
            load: Some(load),
            not_ready_seconds: Some(1.2),
            ready_again_seconds: Some(6.0),
            ended_early: false,
        }),
        ..Event::default()
    }
}

fn killed_event() -> Event {
    Event { second: 12.0, what: "pod killed".into(), over_second: Some(13.5), ..Event::default() }
}

/// A run with these connections on each pod, about `rate` requests per second of about `typical_us` microseconds each,
/// and half the rate in the `slow` second.
fn run(connections: &[u64], rate: u64, typical_us: u64, slow: Option<u64>) -> (RunResult, u32) {
    let mut random = Lcg(rate);
    let seconds: Vec<Second> = (0..30)
        .map(|second| rate * random.between(960, 1040) / if slow == Some(second) { 2000 } else { 1000 })
        .map(|requests| Second { requests, bytes: requests * 144 })
        .collect();
    let answered: u64 = seconds.iter().map(|second| second.requests).sum();
    let mut latency = Times::new().unwrap();
    for number in 1..=answered {
        // The sum of three uniform numbers, and a long tail.
        let hill = (0..3).map(|_| random.between(100, 567)).sum::<u64>();
        let tail = if number % 5_003 == 0 { random.between(5, 14) } else { 1 + u64::from(number % 211 == 0) };
        latency.record(Duration::from_micros(typical_us * hill / 1000 * tail));
    }
    let mut connect = Times::new().unwrap();
    let all: u64 = connections.iter().sum();
    (0..all).for_each(|at| connect.record(Duration::from_micros(180 + 7 * at)));
    let pods = ('a'..).zip(1_u64..).zip(connections);
    let pods = pods.map(|((letter, number), connections)| Pod {
        name: format!("server-6c9f5d7b8-{letter}{number}zzq"),
        requests: answered * connections / all,
        connections: *connections,
        bins: Some(bins(answered * connections / all)),
        ..Pod::default()
    });
    let plan = LoadPlan::new(NonZeroU32::new(30).unwrap(), Duration::from_secs(30));
    let result = RunResult {
        elapsed: plan.duration,
        plan,
        interrupted: false,
        latency,
        connect,
        seconds,
        tenths: Vec::new(),
        time_bins: TimeBins::default(),
        sent: answered + 30,
        answered,
        in_flight: 30,
        pods: pods.collect(),
        by_request: Vec::new(),
        faults: BTreeMap::new(),
        threads: vec![ThreadUsage { cpu: Duration::from_millis(2_700), ..ThreadUsage::default() }],
        paced: None,
        messages: None,
        opened: all,
        streams: 0,
        mixed: 0,
        handshakes: None,
        watches: Vec::new(),
    };
    (result, u32::try_from(connections.len()).unwrap())
}

/// The requests of a pod in the first 100 bins.
fn bins(requests: u64) -> Vec<u64> {
    (0..100).map(|at| requests * (at + 1) / 100 - requests * at / 100).collect()
}

/// A reproducible sequence of numbers (Knuth's linear congruential generator).
struct Lcg(u64);

impl Lcg {
    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (self.0 >> 33) % (high - low + 1)
    }
}

/// Compares a text with its snapshot in tests/snapshots.
pub(super) fn pinned(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}
