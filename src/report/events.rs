//! The events of a run, and their effect on the load.

use super::node_events;
use super::number::count;
use super::pods::{sentences, some};
use super::slow_pods;
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_measure::{Event, FailureKind, Impact, Measurement};

/// The columns of an event.
pub(super) const COLUMNS: [&str; 6] = ["Event", "At", "Took", "Failed", "Lowest", "Full again"];

/// One row for each event.
pub(super) fn rows(run: &Measurement) -> Vec<Vec<String>> {
    run.events.iter().map(row).collect()
}

fn row(event: &Event) -> Vec<String> {
    let none = || "-".to_owned();
    let impact = event.impact.as_ref();
    let percent = |part: f64| format!("{:.0}%", part * 100.0);
    let full = |impact: &Impact| match (impact.full_throughput_seconds, impact.lowest_throughput) {
        (Some(seconds), _) if seconds <= 0.0 => "not below".to_owned(),
        (Some(seconds), _) => format!("after {seconds:.1} s"),
        (None, Some(_)) => "not yet".to_owned(),
        (None, None) => none(),
    };
    let took = event.took_seconds().map(|seconds| format!("{seconds:.1} s"));
    vec![
        event.what.clone(),
        format!("{:.1} s", event.second),
        took.unwrap_or_else(|| if event.trouble.is_some() { "failed".into() } else { none() }),
        impact.map_or_else(none, |impact| count(impact.failures)),
        impact.and_then(|impact| impact.lowest_throughput).map_or_else(none, percent),
        impact.map_or_else(none, full),
    ]
}

/// The table, and below it a sentence for each event with failures; empty without an event.
pub(super) fn text(run: &Measurement, look: Look) -> String {
    if run.events.is_empty() {
        return String::new();
    }
    let columns = COLUMNS.iter().enumerate();
    let columns = columns.map(|(at, name)| (*name, if at == 0 { Align::Left } else { Align::Right })).collect();
    let events = TextTable { columns, rows: rows(run), borders: Borders::Frame }.draw(look);
    events + &slow_pods::text(run, look) + &sentences(&told(run))
}

/// "kill a pod's server: 17 requests failed (12 refused, 5 reset on server-x), 0.1 s to 0.9 s after it began."
pub(super) fn told(run: &Measurement) -> Vec<String> {
    let told = |event: &Event| {
        let said = [troubled(event), failed(event), node_events::told(event)].into_iter().flatten();
        said.chain(slow_pods::told(event)).collect::<Vec<_>>()
    };
    run.events.iter().flat_map(told).collect()
}

fn troubled(event: &Event) -> Option<String> {
    Some(format!("{} did not complete: {}.", event.what, event.trouble.as_ref()?))
}

fn failed(event: &Event) -> Option<String> {
    let impact = event.impact.as_ref().filter(|impact| impact.failures > 0)?;
    let kinds: Vec<String> = impact.kinds.iter().map(kind).collect();
    let when = match (impact.first_failure_seconds, impact.last_failure_seconds) {
        (Some(first), Some(last)) if last > first => format!(", {first:.1} s to {last:.1} s after it began"),
        (Some(first), _) => format!(", {first:.1} s after it began"),
        _ => String::new(),
    };
    Some(format!("{}: {} failed ({}){when}.", event.what, some(impact.failures, "request"), kinds.join(", ")))
}

fn kind(kind: &FailureKind) -> String {
    let on = kind.pod.as_ref().map(|pod| format!(" on {pod}")).unwrap_or_default();
    format!("{} {}{on}", count(kind.count), kind.kind)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn an_event_says_what_it_did_to_the_load() {
        let mut run = sample::measurement();
        assert_eq!(text(&run, Look::default()), "");
        let kinds = vec![
            FailureKind { kind: "refused".into(), pod: None, count: 12 },
            FailureKind { kind: "reset".into(), pod: Some("server-x".into()), count: 5 },
        ];
        let impact = Impact {
            requests: 90_000,
            failures: 17,
            kinds,
            first_failure_seconds: Some(0.1),
            last_failure_seconds: Some(0.9),
            lowest_throughput: Some(0.524),
            full_throughput_seconds: Some(1.2),
            ..Impact::default()
        };
        let event = |what: &str, over, trouble: Option<&str>, impact| Event {
            second: 2.0,
            what: what.into(),
            over_second: over,
            trouble: trouble.map(str::to_owned),
            impact,
            ..Event::default()
        };
        run.events = vec![
            event("kill a pod's server", Some(4.5), None, Some(impact)),
            event("kill etcd", None, Some("it is gone"), None),
        ];
        assert_eq!(rows(&run)[0], ["kill a pod's server", "2.0 s", "2.5 s", "17", "52%", "after 1.2 s"]);
        assert_eq!(rows(&run)[1], ["kill etcd", "2.0 s", "failed", "-", "-", "-"]);
        let text = text(&run, Look::default());
        let sentence = "kill a pod's server: 17 requests failed (12 refused, 5 reset on server-x), 0.1 s\nto 0.9 s after it began.\n";
        assert!(text.contains(sentence), "{text}");
        assert!(text.ends_with("kill etcd did not complete: it is gone.\n"), "{text}");
    }
}
