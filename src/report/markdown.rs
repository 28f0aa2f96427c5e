//! Markdown for a pull request.

use std::fmt::Write;

use super::figures::{self, Figure};
use super::number::{count, grouped, milliseconds};
use super::over_time::PodRates;
use super::words::{self, went_wrong};
use super::{Exporter, Report, agents, events, nodes, pods, requests, rounds, slow_pods};
use crate::report::ReportError;
use evenkeel_measure::Measurement;

/// The number of columns of time, which fit the width of a comment.
const COLUMNS_OVER_TIME: usize = 8;

/// GitHub's Markdown: the findings, the comparison, and the details folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markdown;

impl Exporter for Markdown {
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let mut text = format!("## {}\n\n", escape(&words::headline(report)));
        let _ = writeln!(text, "{} against {}.", words::tested(report), escape(&report.target));
        for sentence in words::sentences(report) {
            let _ = writeln!(text, "{}", escape(&sentence));
        }
        let names = rounds::names(&report.runs);
        text += &comparison(&report.runs, &names);
        if let Some((columns, rows)) = slow_pods::compared(&report.runs) {
            let _ = write!(text, "\n{}\n{}", escape(&slow_pods::about(&report.runs)), table(&columns, rows));
        }
        let shown = rounds::shown(&report.runs);
        for (run, name) in shown.iter().zip(&rounds::names(&shown)) {
            text += &folded(&format!("{name} in detail"), &detail(run));
        }
        text += &folded("Environment", &environment(report));
        Ok(text)
    }
}

fn comparison(runs: &[Measurement], names: &[String]) -> String {
    let header = ["", "Req/Sec", "Ratio", "50%", "99%", "99.99%", "Errors", "Busiest pod"];
    let first = runs.first().map_or(0.0, |run| run.requests_per_second.average);
    let row = |(run, name): (&Measurement, &String)| {
        let rate = run.requests_per_second.average;
        vec![
            name.clone(),
            grouped(rate.round()),
            pods::ratio(rate, first),
            milliseconds(run.latency_us.p50),
            milliseconds(run.latency_us.p99),
            milliseconds(run.latency_us.p99_99),
            count(went_wrong(run)),
            if run.spread.knows_requests() { format!("{:.2} ×", run.spread.busiest) } else { "-".into() },
        ]
    };
    table(&header, runs.iter().zip(names).map(row))
}

fn detail(run: &Measurement) -> String {
    let mut text = String::new();
    for line in words::faults(run) {
        let _ = writeln!(text, "- {}", escape(&line));
    }
    let figures = |name, figures: Vec<Figure>| {
        let rows = figures.into_iter().map(|(name, value)| vec![name.to_owned(), value]);
        table(&[name, ""], rows)
    };
    text += &figures("Load", figures::run(run));
    text += &figures("Latency", figures::latency(&run.latency_us));
    if !run.events.is_empty() {
        text += &table(&events::COLUMNS, events::rows(run));
        let slow = slow_pods::rows(run);
        if !slow.is_empty() {
            text += &table(&slow_pods::COLUMNS, slow);
        }
        for sentence in events::told(run) {
            let _ = writeln!(text, "- {}", escape(&sentence));
        }
    }
    if !run.by_request.is_empty() {
        text += &table(&requests::COLUMNS, run.by_request.iter().map(requests::cells));
    }
    if run.spread.pods.is_empty() {
        return text;
    }
    text += &figures("Spread", figures::spread(&run.spread));
    let (first, last) = pods::shown(&run.spread.pods);
    let columns = pods::columns(&run.spread);
    let row = |pod| pods::cells(pod, &run.spread);
    let left_out = run.spread.pods.len() - first.len() - last.len();
    let gap = (left_out > 0).then(|| {
        std::iter::once(format!("… {left_out} more …")).chain(vec![String::new(); columns.len() - 1]).collect()
    });
    let rows = first.iter().map(row).chain(gap).chain(last.iter().map(row));
    text += &table(&columns, rows);
    text += &nodes(run);
    text += &agents(run);
    let shown: Vec<&str> = first.iter().chain(last).map(|pod| pod.name.as_str()).collect();
    text + &over_time(run, &shown)
}

/// The nodes and zones, what crossed between them, and what nodes used; empty with one node.
fn nodes(run: &Measurement) -> String {
    if run.spread.nodes.is_empty() {
        return String::new();
    }
    let mut text = table(&nodes::columns(&run.spread), nodes::rows(&run.spread, nodes::MOST_ROWS));
    let crossed = run.spread.crossing_sentence();
    if !crossed.is_empty() {
        let _ = writeln!(text, "\n{}", escape(&crossed));
    }
    if !run.node_use.is_empty() {
        text += &table(&nodes::USE_COLUMNS, nodes::use_rows(run, nodes::MOST_ROWS));
    }
    text
}

/// The agents that sent the load, and which of them did not do their part; empty if this machine sent it.
fn agents(run: &Measurement) -> String {
    if run.agents.is_empty() {
        return String::new();
    }
    let mut text = table(&agents::COLUMNS, agents::rows(run, agents::MOST_ROWS));
    for line in agents::troubles(run, agents::MOST_ROWS) {
        let _ = writeln!(text, "\n{}", escape(&line));
    }
    text
}

/// Requests per second of these pods over time; empty if that is not known.
fn over_time(run: &Measurement, shown: &[&str]) -> String {
    let Some(pods) = PodRates::of(run, COLUMNS_OVER_TIME) else { return String::new() };
    let rows = pods.rows.iter().filter(|row| shown.contains(&row.name.as_str())).map(|row| pods.cells(row));
    let header = pods.header("Requests per second");
    table(&header.iter().map(String::as_str).collect::<Vec<_>>(), rows)
}

fn environment(report: &Report) -> String {
    let fixed = [("evenkeel", &report.evenkeel_version), ("target", &report.target)];
    let told = report.environment.iter().map(|(name, value)| (name.as_str(), value));
    table(&["", ""], fixed.into_iter().chain(told).map(|(name, value)| vec![name.to_owned(), value.clone()]))
}

/// The first column is left-aligned, all others are right-aligned.
fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = format!("| --- |{}\n", " ---: |".repeat(header.len() - 1));
    let rows = rows.into_iter().map(|cells| line(cells.iter().map(|cell| escape(cell)).collect()));
    let header = line(header.iter().map(|name| (*name).to_owned()).collect());
    format!("\n{header}{rule}{}", rows.collect::<String>())
}

fn folded(summary: &str, body: &str) -> String {
    format!("\n<details><summary>{}</summary>\n{body}\n</details>\n", escape(summary))
}

/// Escapes text so that it contains no markup, no HTML, no mention of a person, and no end of a line or cell.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '@' => escaped += "&#64;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => escaped.extend(['\\', character]),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_report_of_two_runs() {
        sample::pinned("report_markdown", &Markdown.export(&sample::report()).unwrap());
    }

    #[test]
    fn a_report_of_three_nodes() {
        sample::pinned("report_nodes_markdown", &Markdown.export(&sample::three_nodes()).unwrap());
    }

    #[test]
    fn names_from_outside_cannot_speak_markdown() {
        let mut report = sample::report();
        report.target = "http://x/|a|`b`\n# c".into();
        report.runs[0].spread.pods[0].name = "<img src=x> @everyone [x](y) **".into();
        let text = Markdown.export(&report).unwrap();
        assert!(text.contains("&lt;img src=x&gt; &#64;everyone \\[x\\](y) \\*\\*"), "{text}");
        assert!(text.contains("http://x/\\|a\\|\\`b\\` \\# c"), "{text}");
        assert!(!text.contains("<img") && !text.contains("\n# c"));
    }
}
