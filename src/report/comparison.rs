//! Configurations side by side, and their rounds.

use std::fmt::Write;

use super::number::{count, grouped, milliseconds};
use super::pods::{WIDTH, sentences};
use super::rounds;
use super::text_table::{Align, Borders, Look, TextTable};
use super::words::{self, went_wrong};
use evenkeel_measure::{
    ConfigurationSummary, Interval, Measurement, Naming, Ratio, compare, comparison_sentences, policy_sentences,
    spread_sentence,
};

/// A row for each configuration, and the comparison in sentences; empty for a single run.
pub(super) fn table(runs: &[Measurement], look: Look) -> String {
    let cases = compare(runs);
    if cases.iter().map(|case| case.rounds).sum::<usize>() < 2 {
        return String::new();
    }
    let naming = Naming::of(cases.iter().map(|case| case.configuration.clone()));
    let intervals = cases.iter().any(|case| case.ratio.is_some_and(|ratio| ratio.interval.is_some()));
    let mut columns = vec![(naming.heading(), Align::Left)];
    let mut right = vec!["Req/Sec", "50%", "99%", "Max", "Errors", "Busiest"];
    if naming.has_ways() {
        right.push("Jain");
    }
    let proxied = cases.iter().any(|case| case.proxy_cpu_us.is_some());
    if proxied {
        right.push("Proxy CPU");
    }
    right.push(if intervals { "Ratio (95%)" } else { "Ratio" });
    columns.extend(right.into_iter().map(|name| (name, Align::Right)));
    let rows = cases.iter().enumerate().map(|(at, case)| row(case, naming, proxied, at == 0)).collect();
    let look = Look { width: look.width.or(Some(WIDTH)), ..look };
    let text = format!("{}{}\n", TextTable { columns, rows, borders: Borders::Frame }.draw(look), about(&cases));
    let mut said = comparison_sentences(&cases);
    said.extend(spread_sentence(&cases));
    said.extend(policy_sentences(&cases));
    text + &sentences(&said)
}

/// What the numbers in the table are.
fn about(cases: &[ConfigurationSummary]) -> String {
    let rounds = match cases.iter().map(|case| case.rounds).max() {
        Some(rounds) if rounds > 1 => {
            format!("Times in ms; means of {rounds} rounds, Max and Errors over all of them.")
        }
        _ => "Times in ms.".to_owned(),
    };
    let proxied = cases.iter().any(|case| case.proxy_cpu_us.is_some());
    rounds + if proxied { " Proxy CPU is the processor time of the proxy's pods for each request." } else { "" }
}

fn row(case: &ConfigurationSummary, naming: Naming, proxied: bool, first: bool) -> Vec<String> {
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut cells = vec![
        match (naming.has_ways(), case.configuration.replicas) {
            (false, Some(replicas)) => replicas.to_string(),
            (false, None) => "?".to_owned(),
            (true, _) => naming.name(&case.configuration),
        },
        grouped(case.requests_per_second.round()),
        time(case.p50_us),
        time(case.p99_us),
        bare(case.max_us),
        count(case.errors.saturating_add(case.non_2xx)),
        optional(case.busiest.map(|busiest| format!("{busiest:.2} ×"))),
    ];
    if naming.has_ways() {
        cells.push(optional(case.jain_index.map(|index| format!("{index:.3}"))));
    }
    if proxied {
        cells.push(optional(case.proxy_cpu_us.map(|micros| format!("{micros:.0} µs"))));
    }
    cells.push(if first { "1.00".to_owned() } else { optional(case.ratio.map(ratio)) });
    cells
}

/// "0.95 (0.91–0.99)".
fn ratio(Ratio { value, interval }: Ratio) -> String {
    let bound = |bound: f64| if bound < 100.0 { format!("{bound:.2}") } else { ">99".to_owned() };
    let interval = interval.map(|Interval { low, high }| format!(" ({}–{})", bound(low), bound(high)));
    format!("{value:.2}{}", interval.unwrap_or_default())
}

/// A mean of times.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds of a day")]
fn time(micros: f64) -> String {
    bare(micros.max(0.0).round() as u64)
}

/// Without its unit, so that the table fits in 80 columns.
fn bare(micros: u64) -> String {
    milliseconds(micros).trim_end_matches(" ms").to_owned()
}

/// A row for each run, and the failures of each run.
pub(super) fn each_run(runs: &[Measurement], look: Look) -> String {
    let names = ["Run", "Req/Sec", "50%", "99%", "Max", "Errors", "Busiest"];
    let columns = names.iter().map(|name| (*name, if *name == "Run" { Align::Left } else { Align::Right })).collect();
    let run_names = rounds::names(runs);
    let row = |(run, name): (&Measurement, &String)| {
        vec![
            name.clone(),
            grouped(run.requests_per_second.average.round()),
            milliseconds(run.latency_us.p50),
            milliseconds(run.latency_us.p99),
            milliseconds(run.latency_us.max),
            count(went_wrong(run)),
            if run.spread.knows_requests() { format!("{:.2} ×", run.spread.busiest) } else { "-".into() },
        ]
    };
    let rows = runs.iter().zip(&run_names).map(row).collect();
    let look = Look { width: look.width.or(Some(WIDTH)), ..look };
    let mut text = TextTable { columns, rows, borders: Borders::Frame }.draw(look);
    for (run, name) in runs.iter().zip(&run_names) {
        for line in words::faults(run) {
            let _ = writeln!(text, "{}", look.red(&format!("  {name}: {line}")));
        }
        if run.interrupted {
            let (elapsed, planned) = (run.elapsed_seconds, run.planned_seconds);
            let _ =
                writeln!(text, "{}", look.red(&format!("  {name}: interrupted after {elapsed:.1} s of {planned} s")));
        }
    }
    text + &limits(runs)
}

/// In how many of the runs the server was not the limit.
fn limits(runs: &[Measurement]) -> String {
    let count = |which: fn(&Measurement) -> bool, what: &str| match runs.iter().filter(|run| which(run)).count() {
        0 => String::new(),
        some => format!("{what} in {some} of {} runs\n", runs.len()),
    };
    count(|run| run.generator_bound, "the load generator was the limit")
        + &count(|run| run.rate.as_ref().is_some_and(|rate| rate.missed), "the rate was missed")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use console::measure_text_width;
    use evenkeel_measure::{Mode, Throughput};

    /// Three rounds each at 2 and at 10 pods.
    fn several() -> Vec<Measurement> {
        let run = |replicas, rate| {
            let mut run = sample::measurement();
            (run.replicas, run.requests_per_second) = (Some(replicas), Throughput::new([rate]));
            run
        };
        let rates = [(90_500.0, 86_100.0), (88_000.0, 85_200.0), (91_200.0, 86_900.0)];
        rates.into_iter().flat_map(|(two, ten)| [run(2, two), run(10, ten)]).collect()
    }

    #[test]
    fn rounds_are_summed_up_in_80_columns() {
        let runs = several();
        assert!(rounds::has_rounds(&runs) && !rounds::has_rounds(&runs[..2]));
        let text = format!("{}\n{}", each_run(&runs, Look::default()), table(&runs, Look::default()));
        sample::pinned("report_comparison", &text);
        let widest = text.lines().map(measure_text_width).max().unwrap();
        assert!(widest <= 80, "{widest} columns:\n{text}");
    }

    #[test]
    fn modes_side_by_side_fit_80_columns_too() {
        let mut runs = several();
        for (at, run) in runs.iter_mut().enumerate() {
            (run.replicas, run.mode) = (Some(10), Some(Mode::ALL[at % 3]));
            run.latency_us.max = 1_234_567;
            run.errors = 1_234_567;
        }
        let text = table(&runs, Look::default());
        for part in ["Way", "no-keepalive", "Jain", "The busiest pod served 1.22 × its share with keepalive, "] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
        let widest = text.lines().map(measure_text_width).max().unwrap();
        assert!(widest <= 80, "{widest} columns:\n{text}");
    }

    #[test]
    fn one_round_each_has_no_interval_and_one_run_no_table() {
        let runs = several();
        let text = table(&runs[..2], Look::default());
        assert!(text.contains(" Ratio │") && text.contains("  0.95 │") && text.contains("too few rounds"), "{text}");
        assert_eq!(table(&runs[..1], Look::default()), "");
    }

    #[test]
    fn what_went_wrong_is_told_by_round() {
        let mut runs = several();
        runs.push(sample::report().runs.remove(1));
        runs[1].generator_bound = true;
        let text = each_run(&runs, Look::default());
        for part in ["5 pods: 1,240 refused", "5 pods: interrupted after 1.2 s", "was the limit in 1 of 7 runs"] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
    }
}
