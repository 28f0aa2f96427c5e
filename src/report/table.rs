//! The text for a terminal.

use std::fmt::Write;

use super::number::count;
use super::text_table::Look;
use super::{
    Exporter, Report, agents, autocannon, comparison, events, generator, nodes, pods, requests, rounds, slow_pods,
    tail, words,
};
use crate::report::ReportError;
use evenkeel_measure::{Measurement, Mode};

/// Text: the tables of autocannon, followed by what autocannon does not measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    look: Look,
}

impl Table {
    /// Tables with this look.
    #[must_use]
    pub fn new(look: Look) -> Self {
        Self { look }
    }

    /// One run.
    #[must_use]
    pub fn run(&self, target: &str, run: &Measurement) -> String {
        let mut text = format!("{}\n", self.look.bold(&heading(target, run)));
        text += &autocannon::text(run, self.look);
        for line in generator::lines(run) {
            let _ = writeln!(text, "{line}");
        }
        for line in words::faults(run) {
            let _ = writeln!(text, "  {}", self.look.red(&line));
        }
        if run.interrupted {
            let (elapsed, planned) = (run.elapsed_seconds, planned(run));
            let _ = writeln!(text, "{}", self.look.red(&format!("interrupted after {elapsed:.1} s of {planned}")));
        }
        for line in agents::troubles(run, agents::MOST_ROWS) {
            let _ = writeln!(text, "{}", self.look.red(&line));
        }
        let below = [
            requests::text(run, self.look),
            tail::text(run, self.look),
            events::text(run, self.look),
            pods::spread(&run.spread, self.look),
            nodes::text(run, self.look),
            agents::text(run, self.look),
        ];
        below.iter().filter(|part| !part.is_empty()).fold(text, |text, part| format!("{text}\n{part}"))
    }

    /// Every run of several rounds, one in each row.
    #[must_use]
    pub fn rounds(&self, runs: &[Measurement]) -> String {
        comparison::each_run(runs, self.look)
    }

    /// A row for each configuration over all its rounds, and the comparison in sentences; empty for a single run.
    #[must_use]
    pub fn comparison(&self, runs: &[Measurement]) -> String {
        let tables = [comparison::table(runs, self.look), slow_pods::comparison(runs, self.look)];
        tables.iter().filter(|table| !table.is_empty()).cloned().collect::<Vec<_>>().join("\n")
    }
}

impl Table {
    /// Sentences, wrapped to lines of at most 80 characters.
    #[must_use]
    pub fn sentences(sentences: &[String]) -> String {
        pods::sentences(sentences)
    }
}

impl Exporter for Table {
    /// All tables of each run, and the comparison. If there are rounds, one row for each run instead of its tables.
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let mut parts: Vec<String> = if rounds::has_rounds(&report.runs) {
            let first = report.runs.first().map(|run| self.look.bold(&load(&report.target, run)));
            vec![format!("{}\n\n{}", first.unwrap_or_default(), self.rounds(&report.runs))]
        } else {
            report.runs.iter().map(|run| self.run(&report.target, run)).collect()
        };
        parts.push(self.comparison(&report.runs));
        parts.retain(|part| !part.is_empty());
        Ok(parts.join("\n"))
    }
}

/// "2 pods, 30 connections, 30 s" and the target.
fn heading(target: &str, run: &Measurement) -> String {
    let pods = run.replicas.map(|replicas| format!("{}, ", pods::some(replicas, "pod"))).unwrap_or_default();
    let mode = run.mode.filter(|mode| *mode == Mode::Client).map_or("", |_| "balanced by the client, ");
    format!("{pods}{mode}{}", load(target, run))
}

/// "30 connections, 30 s" and the target.
fn load(target: &str, run: &Measurement) -> String {
    let streams =
        run.http2.map(|http2| format!(" with {} over HTTP/2", pods::some(http2.streams_per_connection, "stream")));
    let streams = streams.unwrap_or_default();
    format!("{}{streams}, {}, {target}", pods::some(run.connections, "connection"), planned(run))
}

/// The planned end of the run: "30 s", "1,000 requests".
fn planned(run: &Measurement) -> String {
    match run.planned_requests {
        Some(requests) => format!("{} request{}", count(requests), if requests == 1 { "" } else { "s" }),
        None => format!("{} s", run.planned_seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use console::measure_text_width;

    #[test]
    fn a_report_of_two_runs() {
        sample::pinned("report_table", &Table::default().export(&sample::report()).unwrap());
    }

    #[test]
    fn streams_of_messages_have_rows_of_their_own() {
        let mut run = sample::measurement();
        run.messages = Some(sample::messages());
        let text = Table::default().run("http://198.18.1.1/", &run);
        for row in ["│ Msg/Sec   │ 900,000 │", "│ First message │"] {
            assert!(text.contains(row), "{text}");
        }
    }

    #[test]
    fn plain_text_has_no_escapes_and_colour_no_other_words() {
        let plain = Table::default().export(&sample::report()).unwrap();
        let coloured = Table::new(Look { colour: true, width: None }).export(&sample::report()).unwrap();
        assert!(!plain.contains('\u{1b}') && coloured.contains('\u{1b}'));
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }

    #[test]
    fn a_terminal_of_80_columns_is_enough() {
        for report in [sample::report(), sample::three_runs(), sample::three_nodes()] {
            let text = Table::new(Look { colour: false, width: Some(80) }).export(&report).unwrap();
            for line in text.lines() {
                assert!(measure_text_width(line) <= 80, "{} columns: {line}\n{text}", measure_text_width(line));
            }
        }
    }
}
