//! The figures of a run by name, as every format shows them: a new figure is one line here.

use super::number::{bytes, count, max_milliseconds, mean_milliseconds, milliseconds, to_f64};
use crate::measure::{Latency, Measurement, Spread};

/// A figure: what it is called, and how it is written.
pub(super) type Figure = (&'static str, String);

/// What autocannon's own table of latency leaves out.
pub(super) fn tail(of: &Latency) -> Vec<Figure> {
    [("75%", of.p75), ("90%", of.p90), ("99.9%", of.p99_9), ("99.99%", of.p99_99)]
        .map(|(name, us)| (name, milliseconds(us)))
        .into()
}

/// A distribution of times, whole.
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

/// How a run was made and what it moved.
pub(super) fn run(run: &Measurement) -> Vec<Figure> {
    vec![
        ("Connections", count(run.connections.into())),
        ("Measured", format!("{} s", (run.elapsed_seconds * 100.0).round() / 100.0)),
        ("Requests answered", count(run.requests.answered)),
        ("Failed requests and connections", count(run.errors)),
        ("Of those, timed out", count(run.timeouts)),
        ("Answers other than 2xx", count(run.requests.non_2xx)),
        ("Bytes read", bytes(to_f64(run.bytes))),
        ("Opening a connection, median", milliseconds(run.connect_us.p50)),
        ("CPU time of the load generator", format!("{:.2} s", run.generator_cpu_seconds)),
    ]
}

/// How the run fell on pods; nothing where no answer named one.
pub(super) fn spread(of: &Spread) -> Vec<Figure> {
    if of.pods.is_empty() {
        return Vec::new();
    }
    vec![
        ("Pods that answered", format!("{} of {}", of.pods.len(), of.expected)),
        ("Busiest pod", format!("{:.2} × its share", of.busiest)),
        ("Connections on them", count(of.connections)),
    ]
}
