//! Pods that events made slow: what share of the requests met them, and how long those took.

use super::number::{count, milliseconds};
use super::pods::{WIDTH, sentences, shortened};
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_measure::{
    Event, Measurement, Naming, RequestTimes, SlowPod, SlowPodLoad, SlowPodSummary, slow_pod_summaries, some,
};

/// The columns of the pods of one run.
pub(super) const COLUMNS: [&str; 6] = ["While a pod was slow", "Requests", "Share", "Before", "50%", "99%"];
/// The columns of the comparison, after the one that names the configuration.
const COMPARED: [&str; 6] = ["Share", "Before", "Even", "99% slow pod", "99% others", "99% all"];

/// For each event with a slow pod whose requests are known: the pod, the other pods, and all.
pub(super) fn rows(run: &Measurement) -> Vec<Vec<String>> {
    let slow = run.events.iter().filter_map(|event| event.slow_pod.as_ref());
    slow.filter_map(|slow| Some(rows_of(slow, slow.load.as_ref()?))).flatten().collect()
}

fn rows_of(slow: &SlowPod, load: &SlowPodLoad) -> [Vec<String>; 3] {
    let row = |name: String, times: RequestTimes, share: Option<f64>, before: Option<f64>| {
        let time = |us| if times.requests > 0 { milliseconds(us) } else { "-".to_owned() };
        vec![name, count(times.requests), percent(share), percent(before), time(times.p50_us), time(times.p99_us)]
    };
    let rest = |share: Option<f64>| share.map(|share| 1.0 - share);
    let whole = |share: Option<f64>| share.map(|_| 1.0);
    let (share, before) = (load.share, load.share_before);
    [
        row(shortened(&slow.pod), load.of_pod, share, before),
        row("all other pods".into(), load.of_others, rest(share), rest(before)),
        row("all pods".into(), load.of_all, whole(share), whole(before)),
    ]
}

/// The table of a run, or nothing.
pub(super) fn text(run: &Measurement, look: Look) -> String {
    table(&COLUMNS, rows(run), look)
}

fn table(columns: &[&str], rows: Vec<Vec<String>>, look: Look) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns = columns.iter().enumerate();
    let columns = columns.map(|(at, name)| (*name, if at == 0 { Align::Left } else { Align::Right })).collect();
    TextTable { columns, rows, borders: Borders::Frame }.draw(look)
}

/// What an event did to the pod that it made slow, in sentences.
pub(super) fn told(event: &Event) -> Vec<String> {
    let Some(slow) = &event.slow_pod else { return Vec::new() };
    if slow.load.is_none() && slow.ended_early {
        return vec![format!("{}: {}", event.what, readiness(slow))];
    }
    vec![shares(&event.what, slow), readiness(slow)]
}

/// "pause a pod for 3 s: server-x answered 0.1% of the requests, 25.3% before; 25.0% would be even."
fn shares(what: &str, slow: &SlowPod) -> String {
    let pod = &slow.pod;
    let even = slow.even_share.map(|even| format!("; {} would be even", percent(Some(even)))).unwrap_or_default();
    let Some(load) = &slow.load else {
        return format!("{what}: the responses do not name their pods, so it is unknown how many {pod} answered.");
    };
    let before = load.share_before.map(|before| format!(", {} before", percent(Some(before)))).unwrap_or_default();
    match load.share {
        Some(share) => format!("{what}: {pod} answered {} of the requests{before}{even}.", percent(Some(share))),
        None => format!("{what}: no pod answered a request meanwhile."),
    }
}

fn readiness(slow: &SlowPod) -> String {
    let pod = &slow.pod;
    if slow.ended_early {
        let after = slow.seconds;
        return format!(
            "{pod}, or its container, ended before the event was over, at most {after:.1} s after it began."
        );
    }
    let not_ready = |from: f64| format!("Kubernetes took {pod} for not ready from {from:.1} s");
    match (slow.not_ready_seconds, slow.ready_again_seconds) {
        (Some(from), Some(to)) => format!("{} to {to:.1} s after the event began.", not_ready(from)),
        (Some(from), None) => format!("{} after the event began.", not_ready(from)),
        (None, _) => format!("{pod} stayed ready, so it got new connections all the time."),
    }
}

/// The columns and rows of the comparison; `None` if no event made a pod slow, or if there is nothing to compare.
pub(super) fn compared(runs: &[Measurement]) -> Option<(Vec<&'static str>, Vec<Vec<String>>)> {
    let summaries = slow_pod_summaries(runs);
    let naming = Naming::of(summaries.iter().map(|each| each.configuration.clone()));
    if !(naming.has_ways() || naming.replicas) {
        return None;
    }
    let first = naming.heading();
    let several = summaries.iter().any(|each| each.what != summaries[0].what);
    let name = |each: &SlowPodSummary| {
        let name = naming.name(&each.configuration);
        if several { format!("{name}, {}", each.what) } else { name }
    };
    let rows = summaries.iter().map(|each| {
        let shares = [each.share, each.share_before, each.even_share].map(percent);
        let times = [each.pod_p99_us, each.others_p99_us, each.all_p99_us].map(mean_time);
        std::iter::once(name(each)).chain(shares).chain(times).collect()
    });
    Some((std::iter::once(first).chain(COMPARED).collect(), rows.collect()))
}

/// The comparison with a sentence below it; empty where there is none.
pub(super) fn comparison(runs: &[Measurement], look: Look) -> String {
    let Some((columns, rows)) = compared(runs) else { return String::new() };
    let look = Look { width: look.width.or(Some(WIDTH)), ..look };
    table(&columns, rows, look) + &sentences(&[about(runs)])
}

/// What the comparison shows.
pub(super) fn about(runs: &[Measurement]) -> String {
    let events = runs.iter().flat_map(|run| &run.events).filter(|event| event.slow_pod.is_some());
    let mut whats: Vec<&str> = events.map(|event| event.what.as_str()).collect();
    whats.sort_unstable();
    whats.dedup();
    let what = match whats.as_slice() {
        [only] => (*only).to_owned(),
        several => some(several.len() as u64, "event"),
    };
    format!("Requests that were open while a pod was slow ({what}): the share of the slow pod, and latencies.")
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds of a day")]
fn mean_time(us: Option<f64>) -> String {
    us.map_or_else(|| "-".to_owned(), |us| milliseconds(us.max(0.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use console::measure_text_width;
    use evenkeel_measure::Mode;

    fn event(share: Option<f64>) -> Event {
        let times = |requests, p99_us| RequestTimes { requests, p50_us: 300, p99_us };
        let load = SlowPodLoad {
            share,
            share_before: Some(0.253),
            of_pod: times(1_234, 98_000),
            of_others: times(98_000, 1_200),
            of_all: times(99_234, 3_400),
        };
        let slow_pod = SlowPod {
            pod: "server-6c9f5d7b8-d4zzq".into(),
            seconds: 5.0,
            even_share: Some(0.25),
            load: Some(load),
            ..SlowPod::default()
        };
        let what = "throttle a pod to 10% of a CPU for 5 s".into();
        Event { second: 2.0, over_second: Some(7.1), what, slow_pod: Some(slow_pod), ..Event::default() }
    }

    #[test]
    fn an_event_says_what_share_met_the_slow_pod() {
        let mut run = sample::measurement();
        assert_eq!(text(&run, Look::default()), "");
        run.events = vec![event(Some(0.0124))];
        assert_eq!(
            rows(&run),
            [
                ["server-6c9f5d7b8-d4zzq", "1,234", "1.2%", "25.3%", "0.3 ms", "98 ms"],
                ["all other pods", "98,000", "98.8%", "74.7%", "0.3 ms", "1.2 ms"],
                ["all pods", "99,234", "100.0%", "100.0%", "0.3 ms", "3.4 ms"],
            ]
        );
        assert_eq!(
            told(&run.events[0]),
            [
                "throttle a pod to 10% of a CPU for 5 s: server-6c9f5d7b8-d4zzq answered 1.2% of the requests, 25.3% \
                 before; 25.0% would be even.",
                "server-6c9f5d7b8-d4zzq stayed ready, so it got new connections all the time.",
            ]
        );
        assert!(told(&Event::default()).is_empty());
    }

    #[test]
    fn what_kubernetes_saw_is_said() {
        let said = |change: fn(&mut SlowPod)| {
            let mut event = event(None);
            change(event.slow_pod.as_mut().unwrap());
            told(&event).join(" ")
        };
        let not_ready = said(|slow| (slow.not_ready_seconds, slow.ready_again_seconds) = (Some(1.1), Some(4.25)));
        assert!(not_ready.contains("no pod answered a request meanwhile."), "{not_ready}");
        assert!(not_ready.ends_with("not ready from 1.1 s to 4.2 s after the event began."), "{not_ready}");
        let gone = said(|slow| slow.ended_early = true);
        assert!(gone.ends_with("ended before the event was over, at most 5.0 s after it began."), "{gone}");
        assert!(said(|slow| slow.load = None).contains("do not name their pods"));
        let never = said(|slow| (slow.load, slow.ended_early) = (None, true));
        assert!(never.starts_with("throttle a pod") && never.contains("ended before the event was over"), "{never}");
        assert!(!never.contains("do not name their pods"), "{never}");
    }

    #[test]
    fn the_ways_of_balancing_are_compared() {
        let with = |mode, share| {
            let mut run = sample::measurement();
            (run.mode, run.events) = (Some(mode), vec![event(share)]);
            run
        };
        let runs = [with(Mode::Keepalive, Some(0.2)), with(Mode::NoKeepalive, Some(0.1)), with(Mode::Client, None)];
        let (columns, rows) = compared(&runs).unwrap();
        assert_eq!(columns[..3], ["Way", "Share", "Before"]);
        assert_eq!(rows[0], ["keepalive", "20.0%", "25.3%", "25.0%", "98 ms", "1.2 ms", "3.4 ms"]);
        assert_eq!(rows[2][..2], ["client", "-"]);
        let text = comparison(&runs, Look::default());
        assert!(text.lines().all(|line| measure_text_width(line) <= WIDTH), "{text}");
        assert!(text.replace('\n', " ").contains("throttle a pod to 10% of a CPU for 5 s"), "{text}");
        assert_eq!(compared(&runs[..1]), None, "one configuration is not compared");
        assert_eq!(compared(&sample::report().runs), None);
    }
}
