//! A synthetic run for tests.

use super::{ContextSwitches, Latency, Measurement, Mode, PodLoad, Protocol, Requests, Spread, Throughput};

/// One second against `replicas` pods that all served the same number of requests, at `rate` requests per second.
pub(super) fn run(replicas: u32, rate: f64) -> Measurement {
    let pod = |n: u32| PodLoad { name: format!("server-{n}"), requests: 1_000, connections: 3, ..PodLoad::default() };
    let pods: Vec<PodLoad> = (0..replicas).map(pod).collect();
    let answered = 1_000 * u64::from(replicas);
    Measurement {
        replicas: Some(replicas),
        mode: Some(Mode::Keepalive),
        protocol: Protocol::Http1,
        service: None,
        traffic_policy: None,
        client_address: None,
        proxy_use: Vec::new(),
        agents: Vec::new(),
        connections: 3 * replicas,
        planned_requests: None,
        planned_seconds: 1.0,
        elapsed_seconds: 1.0,
        interrupted: false,
        expected_statuses: super::usual_statuses(),
        requests: Requests { sent: answered, answered, ..Requests::default() },
        bytes: 0,
        latency_us: Latency { count: answered, ..Latency::default() },
        uncorrected_latency_us: None,
        rate: None,
        connect_us: Latency::default(),
        http2: None,
        tls_handshakes: None,
        messages: None,
        connections_opened: u64::from(3 * replicas),
        requests_per_second: Throughput::new([rate]),
        bytes_per_second: Throughput::default(),
        samples: 1,
        sample_seconds: 1.0,
        errors: 0,
        timeouts: 0,
        faults: Vec::new(),
        by_request: Vec::new(),
        spread: Spread::new(&pods, Some(replicas)),
        timeline: Vec::new(),
        over_time: None,
        latency_curve: Vec::new(),
        latency_histogram: None,
        events: Vec::new(),
        pod_use: Vec::new(),
        node_use: Vec::new(),
        machine_limit: None,
        generator_cpu_seconds: 0.0,
        generator_busiest: 0.0,
        generator_bound: false,
        generator_context_switches: ContextSwitches::default(),
    }
}
