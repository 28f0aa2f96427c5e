//! A run as autocannon prints it: two tables and the closing lines.

use std::fmt::Write;

use super::number::{bytes, grouped, max_milliseconds, mean, mean_milliseconds, milliseconds, thousands, to_f64};
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_measure::{Latency, Measurement, Throughput, USUAL_STATUSES};

/// The whole text, from the empty line before the tables to the last closing line.
pub(super) fn text(run: &Measurement, look: Look) -> String {
    let mut text = format!("\n{}{}\n", latency(&run.latency_us).draw(look), throughput(run).draw(look));
    if (run.sample_seconds - 1.0).abs() < 1e-9 {
        text += "Req/Bytes counts sampled once per second.\n";
    } else {
        let _ = writeln!(text, "Req/Bytes counts sampled every {} seconds.", rounded(run.sample_seconds));
    }
    let _ = writeln!(text, "# of samples: {}\n", run.samples);
    text + &closing(run)
}

fn closing(run: &Measurement) -> String {
    let requests = &run.requests;
    let mut text = String::new();
    let good = requests.answered.saturating_sub(requests.non_2xx);
    if run.expected_statuses != USUAL_STATUSES {
        let (expected, bad) = (&run.expected_statuses, requests.non_2xx);
        let _ = writeln!(text, "{good} responses with an expected status ({expected}), {bad} with another one");
    } else if requests.non_2xx > 0 {
        let _ = writeln!(text, "{good} 2xx responses, {} non 2xx responses", requests.non_2xx);
    }
    let (sent, read) = (thousands(requests.sent), bytes(to_f64(run.bytes)));
    let _ = writeln!(text, "{sent} requests in {}s, {read} read", rounded(run.elapsed_seconds));
    if run.errors > 0 {
        let _ = writeln!(text, "{} errors ({} timeouts)", thousands(run.errors), thousands(run.timeouts));
    }
    text
}

/// Seconds to two decimals.
fn rounded(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

fn columns(names: [&str; 8]) -> Vec<(&str, Align)> {
    names.map(|name| (name, Align::Left)).into()
}

fn latency(latency: &Latency) -> TextTable<'static> {
    // Below a millisecond two decimals would say little.
    let fine = latency.average < 1000.0;
    let row = vec![
        "Latency".into(),
        milliseconds(latency.p2_5),
        milliseconds(latency.p50),
        milliseconds(latency.p97_5),
        milliseconds(latency.p99),
        mean_milliseconds(latency.average, fine),
        mean_milliseconds(latency.stdev, fine),
        max_milliseconds(latency.max),
    ];
    TextTable {
        columns: columns(["Stat", "2.5%", "50%", "97.5%", "99%", "Avg", "Stdev", "Max"]),
        rows: vec![row],
        borders: Borders::Rows,
    }
}

fn throughput(run: &Measurement) -> TextTable<'static> {
    let row = |name: &str, of: &Throughput, written: fn(f64) -> String| {
        let values = [of.p1, of.p2_5, of.p50, of.p97_5, mean(of.average), mean(of.stdev), of.min];
        std::iter::once(name.to_owned()).chain(values.map(written)).collect()
    };
    let requests = row("Req/Sec", &run.requests_per_second, grouped);
    let messages = run.messages.as_ref().map(|messages| row("Msg/Sec", &messages.per_second, grouped));
    let bytes = row("Bytes/Sec", &run.bytes_per_second, bytes);
    TextTable {
        columns: columns(["Stat", "1%", "2.5%", "50%", "97.5%", "Avg", "Stdev", "Min"]),
        rows: std::iter::once(requests).chain(messages).chain([bytes]).collect(),
        borders: Borders::Rows,
    }
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use evenkeel_load::Times;

    /// The data that autocannon's tables were made of (tests/golden/generate.js), as a measurement.
    fn measurement(data: &Value) -> Measurement {
        let number = |name: &str| data[name].as_u64().unwrap();
        let list = |name: &str| -> Vec<(u64, u64)> { serde_json::from_value(data[name].clone()).unwrap() };
        let mut times = Times::new().unwrap();
        for (ms, count) in list("latencies_ms") {
            (0..count).for_each(|_| times.record(Duration::from_millis(ms)));
        }
        let seconds = list("seconds");
        let mut run = super::super::sample::measurement();
        run.latency_us = crate::experiment::run_data::latency(&times);
        run.requests_per_second = Throughput::new(seconds.iter().map(|second| second.0 as f64));
        run.bytes_per_second = Throughput::new(seconds.iter().map(|second| second.1 as f64));
        run.bytes = seconds.iter().map(|second| second.1).sum();
        (run.samples, run.sample_seconds) = (seconds.len(), 1.0);
        run.elapsed_seconds = data["duration"].as_f64().unwrap();
        run.requests.sent = number("sent");
        run.requests.non_2xx = number("non2xx");
        run.requests.answered = number("2xx") + number("non2xx");
        (run.errors, run.timeouts) = (number("errors"), number("timeouts"));
        run
    }

    #[track_caller]
    fn compare(data: &str, autocannons: &str) {
        let data = serde_json::from_str(data).unwrap();
        assert_eq!(text(&measurement(&data), Look::default()), autocannons);
    }

    macro_rules! golden {
        ($($name:ident),*) => { $(
            #[test]
            fn $name() {
                compare(
                    include_str!(concat!("../../tests/golden/", stringify!($name), ".json")),
                    include_str!(concat!("../../tests/golden/", stringify!($name), ".txt")),
                );
            }
        )* };
    }

    golden!(fast, faults, slow, nothing);

    #[test]
    fn statuses_that_were_to_be_expected_are_named() {
        let mut run = super::super::sample::measurement();
        run.expected_statuses = "2xx,304".into();
        run.requests.non_2xx = 9;
        let text = text(&run, Look::default());
        assert!(text.contains("\n179991 responses with an expected status (2xx,304), 9 with another one\n"), "{text}");
    }

    #[test]
    fn a_run_shorter_than_a_second_says_so() {
        let mut run = super::super::sample::measurement();
        (run.samples, run.sample_seconds) = (1, 0.5);
        assert!(text(&run, Look::default()).contains("sampled every 0.5 seconds.\n# of samples: 1\n"));
    }
}
