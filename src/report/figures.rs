//! The figures of a run by name, as every format shows them. To add a figure, add one line here.

use super::nodes;
use super::number::{bytes, count, grouped, max_milliseconds, mean, mean_milliseconds, milliseconds, to_f64};
use evenkeel_measure::{Latency, Measurement, PodUse, Spread, USUAL_STATUSES, client_address_words};

/// A figure: its name and its text.
pub(super) type Figure = (&'static str, String);

/// The percentiles that the table of autocannon leaves out.
pub(super) fn tail(of: &Latency) -> Vec<Figure> {
    [("75%", of.p75), ("90%", of.p90), ("99.9%", of.p99_9), ("99.99%", of.p99_99)]
        .map(|(name, us)| (name, milliseconds(us)))
        .into()
}

/// All figures of a distribution of times.
pub(super) fn latency(of: &Latency) -> Vec<Figure> {
    let fine = of.average < 1000.0;
    vec![
        ("2.5%", milliseconds(of.p2_5)),
        ("50%", milliseconds(of.p50)),
        ("75%", milliseconds(of.p75)),
        ("90%", milliseconds(of.p90)),
        ("97.5%", milliseconds(of.p97_5)),
        ("99%", milliseconds(of.p99)),
        ("99.9%", milliseconds(of.p99_9)),
        ("99.99%", milliseconds(of.p99_99)),
        ("Max", max_milliseconds(of.max)),
        ("Avg", mean_milliseconds(of.average, fine)),
        ("Stdev", mean_milliseconds(of.stdev, fine)),
    ]
}

/// The load of a run.
pub(super) fn run(run: &Measurement) -> Vec<Figure> {
    let mut figures = vec![
        ("Connections", count(run.connections.into())),
        ("Measured", format!("{} s", (run.elapsed_seconds * 100.0).round() / 100.0)),
        ("Requests answered", count(run.requests.answered)),
        ("Failed requests and connections", count(run.errors)),
        ("Of those, timed out", count(run.timeouts)),
        (unexpected(run), count(run.requests.non_2xx)),
        ("Bytes read", bytes(to_f64(run.bytes))),
        ("Opening a connection, median", milliseconds(run.connect_us.p50)),
        ("Connections opened", count(run.connections_opened)),
        ("CPU time of the load generator", format!("{:.2} s", run.generator_cpu_seconds)),
        ("Busiest thread of the load generator", format!("{:.0}% of a processor", run.generator_busiest * 100.0)),
    ];
    if let Some(http2) = &run.http2 {
        figures.push(("HTTP/2 streams on each connection, at most", count(http2.streams_per_connection.into())));
        figures.push(("HTTP/2 streams open at the same time, all connections", count(http2.streams)));
    }
    if let Some(tls) = &run.tls_handshakes {
        figures.push(("TLS handshakes", count(tls.time_us.count)));
        figures.push(("TLS handshakes that resumed a session", count(tls.resumed)));
        figures.push(("TLS handshake, median", milliseconds(tls.time_us.p50)));
        figures.push(("TLS handshake, 99%", milliseconds(tls.time_us.p99)));
    }
    if let Some(messages) = &run.messages {
        figures.push(("Messages received", count(messages.received)));
        figures.push(("Messages per second", grouped(mean(messages.per_second.average))));
        figures.push(("First message, median", milliseconds(messages.first_us.p50)));
        figures.push(("First message, 99%", milliseconds(messages.first_us.p99)));
    }
    if run.expected_statuses != USUAL_STATUSES {
        figures.push(("Expected statuses", run.expected_statuses.clone()));
    }
    if let Some(policy) = run.traffic_policy {
        figures.push(("externalTrafficPolicy that was set", policy.value().to_owned()));
    }
    if run.traffic_policy.is_some() || run.client_address.is_some() {
        figures.push(("The client's address at the pods", client_address_words(run.client_address).to_owned()));
    }
    if run.generator_bound {
        figures.push(("The limit of this run", "the load generator".to_owned()));
    }
    if let Some(rate) = &run.rate {
        figures.push(("Target rate, requests per second", format!("{:.2}", rate.target)));
        figures.push(("Requests per second sent", format!("{:.2}", rate.achieved)));
        figures.push(("Requests due but never sent", count(rate.unsent)));
    }
    figures.extend(pods(run));
    figures.extend(nodes::only_node(run).map(|used| ("Used by the node", used)));
    figures
}

fn unexpected(run: &Measurement) -> &'static str {
    if run.expected_statuses == USUAL_STATUSES { "Responses other than 2xx" } else { "Responses with another status" }
}

/// The resources that the pods used, if they are known.
fn pods(run: &Measurement) -> Vec<Figure> {
    let pods = &run.pod_use;
    if pods.is_empty() {
        return Vec::new();
    }
    let sum = |of: fn(&PodUse) -> Option<u64>| pods.iter().map(of).sum::<Option<u64>>();
    let told = |value: Option<String>| value.unwrap_or_else(|| "not known".to_owned());
    let cpu = pods.iter().map(|pod| pod.cpu_seconds).sum::<Option<f64>>();
    let memory = sum(|pod| pod.memory_bytes).map(|all| bytes(to_f64(all) / to_f64(pods.len() as u64)));
    vec![
        ("Restarts of the pods", told(sum(|pod| pod.restarts.map(u64::from)).map(count))),
        ("CPU time of the pods", told(cpu.map(|seconds| format!("{seconds:.2} s")))),
        ("Periods throttled by CPU limits", told(sum(|pod| pod.throttled_periods).map(count))),
        ("Memory of a pod, mean", told(memory)),
    ]
}

/// What the busiest pod is compared with.
fn share(of: &Spread) -> &'static str {
    if of.has_unequal_shares() { "the even share" } else { "its share" }
}

/// How the run was distributed over pods; empty if no pod is known.
pub(super) fn spread(of: &Spread) -> Vec<Figure> {
    if of.pods.is_empty() {
        return Vec::new();
    }
    let reached = format!("{} of {}", of.pods.len(), of.expected);
    let mut figures = if of.knows_requests() {
        vec![("Pods that answered", reached), ("Busiest pod", format!("{:.2} × {}", of.busiest, share(of)))]
    } else {
        vec![("Pods with a connection", reached), ("Counted by", "the node's connection tracking".to_owned())]
    };
    figures.push(("Connections on them", count(of.connections)));
    if of.uncounted > 0 {
        figures.push(("Connections that could not be counted", count(of.uncounted)));
    }
    if let Some(evenness) = of.evenness_of_requests {
        figures.push(("Jain's index of the requests", format!("{:.3}", evenness.jain_index)));
        figures.push(("Coefficient of variation of the requests", format!("{:.3}", evenness.coefficient_of_variation)));
        figures.push(("Effective pods", format!("{:.2}", evenness.effective_pods)));
    }
    if let Some(uniformity) = of.uniformity {
        figures.push(("Chi-square of the connections", format!("{:.2}", uniformity.chi_square)));
        let choice = if of.has_unequal_shares() {
            "p-value against a random choice with the expected shares"
        } else {
            "p-value against a uniform choice"
        };
        figures.push((choice, uniformity.p_text()));
        figures.push(("Significance level, corrected for the number of runs", uniformity.significance_text()));
    }
    if let Some(chance) = of.chance {
        let share = share(of);
        figures.push(("Busiest pod by chance alone, on average", format!("{:.2} × {share}", chance.busiest)));
        figures.push(("Some pod idle by chance alone", format!("{:.0}% of runs", chance.some_idle * 100.0)));
    }
    figures
}
