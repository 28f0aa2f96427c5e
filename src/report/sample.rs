//! Runs for tests, made up.

use super::Report;
use crate::load::Pod;
use crate::measure::{ContextSwitches, FaultCount, Latency, Measurement, Requests, Spread, Throughput, TimelineSecond};

/// A run of two seconds against two pods.
pub(super) fn measurement() -> Measurement {
    let pod = |name: &str, requests, connections| Pod { name: name.into(), requests, connections };
    let pods = [pod("server-6c9f5d7b8-4xkzq", 110_000, 18), pod("server-6c9f5d7b8-w8n2j", 70_000, 12)];
    Measurement {
        replicas: Some(2),
        connections: 30,
        planned_seconds: 2.0,
        planned_requests: None,
        elapsed_seconds: 2.0,
        interrupted: false,
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
        connections_opened: 30,
        connect_us: Latency { count: 30, p50: 210, max: 400, ..Latency::default() },
        requests_per_second: Throughput::new([88_000.0, 92_000.0]),
        bytes_per_second: Throughput::new([12_672_000.0, 13_248_000.0]),
        samples: 2,
        sample_seconds: 1.0,
        errors: 0,
        timeouts: 0,
        faults: Vec::new(),
        spread: Spread::new(&pods, Some(2)),
        timeline: [88_000, 92_000].map(|requests| TimelineSecond { requests, bytes: requests * 144 }).into(),
        generator_cpu_seconds: 1.25,
        generator_busiest: 0.625,
        generator_bound: false,
        generator_context_switches: ContextSwitches { voluntary: 1_234, involuntary: 56 },
    }
}

/// That run, and one at five pods where things went wrong.
pub(super) fn report() -> Report {
    let mut worse = measurement();
    let pods: Vec<Pod> = (1..=4)
        .map(|n| Pod { name: format!("server-6c9f5d7b8-pod{n}x"), requests: n * 15_000, connections: 3 * n })
        .collect();
    (worse.replicas, worse.spread, worse.interrupted) = (Some(5), Spread::new(&pods, Some(5)), true);
    worse.requests_per_second = Throughput::new([76_500.0]);
    worse.latency_us.max = 1_234_567;
    (worse.elapsed_seconds, worse.samples) = (1.25, 1);
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

/// Compares a text with its snapshot, which stands with all others below tests/.
pub(super) fn pinned(name: &str, text: &str) {
    insta::with_settings!({ snapshot_path => "../../tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}
