//! The findings of a report in sentences, which are the same in every format that shows sentences.

use std::collections::BTreeMap;

use super::number::{count, grouped, milliseconds, to_f64};
use super::rounds::{self, names, shown};
use super::{Report, pods};
use evenkeel_measure::{
    Configuration, Measurement, Naming, compare, comparison_sentences, policy_sentences, sentence, spread_sentence,
};

/// The worst outcome of all runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportStatus {
    /// Every request got a response with a good status.
    Clean,
    /// Some requests failed or got a bad status.
    WithErrors,
    /// A run was stopped before its end.
    Interrupted,
    /// A run got no response.
    NoResponse,
}

impl ReportStatus {
    /// In two or three words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Clean => "No errors",
            Self::WithErrors => "With errors",
            Self::Interrupted => "Stopped early",
            Self::NoResponse => "No responses",
        }
    }
}

/// The status of a report.
pub(super) fn status(report: &Report) -> ReportStatus {
    let any = |is: fn(&Measurement) -> bool| report.runs.iter().any(is);
    if report.runs.is_empty() || any(|run| !run.got_responses()) {
        ReportStatus::NoResponse
    } else if any(|run| run.interrupted) {
        ReportStatus::Interrupted
    } else if any(|run| went_wrong(run) > 0) {
        ReportStatus::WithErrors
    } else {
        ReportStatus::Clean
    }
}

/// "2 → 10 pods: 90,531 → 86,120 requests a second"; the mean if there are several rounds.
pub(super) fn headline(report: &Report) -> String {
    let cases = compare(&report.runs);
    let (Some(first), Some(last)) = (report.runs.first(), report.runs.last()) else {
        return "Nothing was measured".into();
    };
    let rate = |run: &Measurement| {
        let case = cases.iter().find(|case| case.configuration == Configuration::of(run) && case.rounds > 1);
        let rate = case.map_or(run.requests_per_second.average, |case| case.requests_per_second);
        grouped(rate.round())
    };
    let at = |run: &Measurement| run.replicas.map(|replicas| pods::some(replicas, "pod"));
    if report.runs.iter().all(|run| Configuration::of(run) == Configuration::of(first))
        && (cases.len() == 1 || report.runs.len() == 1)
    {
        let pods = at(first).map(|pods| format!(" from {pods}")).unwrap_or_default();
        return format!("{} requests a second{pods}", rate(first));
    }
    let naming = Naming::of(report.runs.iter().map(Configuration::of));
    let way = |run: &Measurement| naming.way(&Configuration::of(run));
    let pods = match (way(first), way(last), first.replicas, at(last)) {
        (Some(from), Some(to), ..) if from != to => format!("{from} → {to}: "),
        (.., Some(from), Some(to)) if first.replicas != last.replicas => format!("{from} → {to}: "),
        (.., Some(_), Some(to)) => format!("{to}, first → last run: "),
        _ => String::new(),
    };
    format!("{pods}{} → {} requests a second", rate(first), rate(last))
}

/// The test in a sentence without its full stop: "30 connections for 30 s at 2, 5 and 10 pods", "30 connections
/// for 6 s in each of 5 rounds at 2, 5 and 10 pods".
pub(super) fn tested(report: &Report) -> String {
    let Some(first) = report.runs.first() else { return "no run".into() };
    let connections = pods::some(first.connections, "connection");
    let rounds = (0..report.runs.len()).filter_map(|at| rounds::round_of(&report.runs, at)).max();
    let each = match rounds {
        Some(rounds) => format!(" in each of {rounds} rounds"),
        None if report.runs.len() > 1 => " each".to_owned(),
        None => String::new(),
    };
    let mut counts: Vec<String> = Vec::new();
    for count in report.runs.iter().filter_map(|run| run.replicas).map(|count| count.to_string()) {
        if !counts.contains(&count) {
            counts.push(count);
        }
    }
    let at = match counts.as_slice() {
        [] => String::new(),
        [one] => format!(" at {one} {}", if one == "1" { "pod" } else { "pods" }),
        many => format!(" at {} pods", listed(many)),
    };
    format!("{connections} for {} s{each}{at}", first.planned_seconds)
}

/// The findings, one sentence each: latency, failures, the comparison of rounds, spread, interruption.
pub(super) fn sentences(report: &Report) -> Vec<String> {
    let (runs, shown) = (&report.runs, shown(&report.runs));
    let (Some(first), Some(last)) = (shown.first(), shown.last()) else { return Vec::new() };
    let mut sentences = vec![latency(first, last, &names(&shown)), wrong(runs)];
    let cases = compare(runs);
    if rounds::has_rounds(runs) {
        sentences.extend(comparison_sentences(&cases));
    }
    sentences.extend(spread_sentence(&cases));
    sentences.extend(policy_sentences(&cases));
    if !last.spread.pods.is_empty() {
        let way = Naming::of(shown.iter().map(Configuration::of)).way(&Configuration::of(last));
        let at = match (way, last.replicas.filter(|_| shown.len() > 1)) {
            (Some(way), _) => format!("With {way}, "),
            (None, Some(replicas)) => format!("At {}, ", pods::some(replicas, "pod")),
            (None, None) => String::new(),
        };
        sentences.push(format!("{at}{}", sentence(&last.spread)));
    }
    for (run, name) in runs.iter().zip(names(runs)).filter(|(run, _)| run.interrupted) {
        let (elapsed, planned) = (run.elapsed_seconds, run.planned_seconds);
        sentences.push(format!("The run at {name} was stopped after {elapsed:.1} of {planned} s."));
    }
    sentences
}

fn latency(first: &Measurement, last: &Measurement, names: &[String]) -> String {
    let (a, b) = (&first.latency_us, &last.latency_us);
    if a.count == 0 || b.count == 0 {
        return "A run got no response, so the latencies cannot be compared.".into();
    }
    match names {
        [_] => {
            format!("Half of the responses took at most {}, 99% at most {}.", milliseconds(a.p50), milliseconds(a.p99))
        }
        [from, .., to] => format!(
            "Half of the responses took at most {} with {from} and {} with {to}; 99% took at most {} and {}.",
            milliseconds(a.p50),
            milliseconds(b.p50),
            milliseconds(a.p99),
            milliseconds(b.p99)
        ),
        [] => String::new(),
    }
}

fn wrong(runs: &[Measurement]) -> String {
    let all: u64 = runs.iter().map(went_wrong).fold(0, u64::saturating_add);
    if all == 0 {
        return "No request failed.".into();
    }
    let tries = runs.iter().map(|run| run.requests.answered.saturating_add(run.errors)).fold(0, u64::saturating_add);
    let part = to_f64(all) / to_f64(tries.max(all)) * 100.0;
    let part = if part < 0.01 { "less than 0.01%".to_owned() } else { format!("{part:.2}%") };
    let names = names(runs);
    let which: Vec<String> = runs
        .iter()
        .zip(&names)
        .filter(|(run, _)| went_wrong(run) > 0)
        .map(|(run, name)| format!("{} with {name}", count(went_wrong(run))))
        .collect();
    let which = match which.as_slice() {
        _ if runs.len() == 1 => String::new(),
        [_] => format!(", all with {}", names[runs.iter().position(|run| went_wrong(run) > 0).unwrap_or(0)]),
        which => format!(": {}", listed(which)),
    };
    format!("{} of {} requests failed or got a bad status ({part}){which}.", count(all), count(tries))
}

/// Errors and responses with a bad status.
pub(super) fn went_wrong(run: &Measurement) -> u64 {
    run.errors.saturating_add(run.requests.non_2xx)
}

/// "12 refused, seconds 3 to 5": one line for each kind, the most frequent first.
pub(super) fn faults(run: &Measurement) -> Vec<String> {
    let mut kinds: BTreeMap<&str, (u64, u32, u32)> = BTreeMap::new();
    for fault in &run.faults {
        let kind = kinds.entry(&fault.kind).or_insert((0, fault.second, fault.second));
        *kind = (kind.0.saturating_add(fault.count), kind.1.min(fault.second), kind.2.max(fault.second));
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, (count, ..))| std::cmp::Reverse(*count));
    let line = |(kind, (times, first, last)): (&str, (u64, u32, u32))| {
        let when = if first == last { format!("second {first}") } else { format!("seconds {first} to {last}") };
        format!("{} {kind}, {when}", count(times))
    };
    kinds.into_iter().map(line).collect()
}

/// "2, 5 and 10".
fn listed(parts: &[String]) -> String {
    match parts {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        parts => parts.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn one() -> Report {
        let mut report = sample::report();
        report.runs.truncate(1);
        report
    }

    #[test]
    fn one_run_and_several() {
        assert_eq!(headline(&one()), "90,000 requests a second from 2 pods");
        assert_eq!(headline(&sample::report()), "2 → 5 pods: 90,000 → 76,500 requests a second");
        assert_eq!(headline(&Report::new("x", vec![])), "Nothing was measured");
        assert_eq!(tested(&sample::report()), "30 connections for 2 s each at 2 and 5 pods");
        assert_eq!(tested(&one()), "30 connections for 2 s at 2 pods");
    }

    #[test]
    fn sentences_tell_the_worst() {
        let text = sentences(&sample::report()).join("\n");
        for part in [
            "took at most 0.312 ms with 2 pods and",
            "1,250 of 361,241 requests failed or got a bad status (0.35%), all with 5 pods.",
            "At 5 pods, 30 keep-alive connections landed on 4 of 5 pods",
            "stopped after 1.2 of 2 s",
        ] {
            assert!(text.contains(part), "{part:?} is missing: {text}");
        }
        assert!(sentences(&one()).contains(&"No request failed.".to_owned()));
    }

    #[test]
    fn rounds_are_told_by_their_means_and_shown_by_their_median() {
        let mut report = sample::report();
        for rate in [84_000.0, 96_000.0] {
            let (mut two, mut ten) = (sample::measurement(), sample::measurement());
            two.requests_per_second.average = rate;
            (ten.replicas, ten.requests_per_second.average) = (Some(10), rate / 2.0);
            report.runs.extend([two, ten]);
        }
        report.runs.drain(..2);
        assert_eq!(headline(&report), "2 → 10 pods: 90,000 → 45,000 requests a second");
        assert_eq!(tested(&report), "30 connections for 2 s in each of 2 rounds at 2 and 10 pods");
        assert_eq!(names(&report.runs)[3], "10 pods, round 2");
        let shown = shown(&report.runs);
        assert_eq!(names(&shown), ["2 pods", "10 pods"]);
        assert!((shown[1].requests_per_second.average - 42_000.0).abs() < 1e-9);
        let text = sentences(&report).join("\n");
        assert!(text.contains("10 pods served 0.50 × the requests of 2 (95%: 0.50 to 0.50): clearly less."), "{text}");
    }

    #[test]
    fn the_status_is_the_worst_of_all_runs() {
        let mut report = one();
        assert_eq!(status(&report), ReportStatus::Clean);
        report.runs[0].requests.non_2xx = 1;
        assert_eq!(status(&report), ReportStatus::WithErrors);
        assert_eq!(status(&sample::report()), ReportStatus::Interrupted);
        report.runs[0].requests.answered = 0;
        assert_eq!(status(&report), ReportStatus::NoResponse);
        assert_eq!(status(&Report::new("x", vec![])), ReportStatus::NoResponse);
    }
}
