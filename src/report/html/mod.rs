//! The page: one self-contained file, readable without a network and without a script.

mod agents_table;
mod canvas;
mod comparison_chart;
mod data_table;
mod event_marks;
mod heat_map;
mod key_numbers;
mod legend;
mod markup;
mod nodes_chart;
mod page;
mod percentile_chart;
mod pods_chart;
mod scale;
mod side_by_side;
mod time_bins;
mod time_chart;

use super::words::{self, ReportStatus};
use super::{Exporter, Report, events, figures, requests, rounds, slow_pods};
use crate::report::ReportError;
use markup::{elements, escape};

/// The maximum number of runs that are drawn one by one.
const MOST_RUNS: usize = 12;
/// Bins of time on the whole page, limited so that it stays below a megabyte.
const ALL_BINS: usize = 600;
/// The maximum number of bins of time for one run: more cannot be distinguished.
const MOST_BINS: usize = 150;
/// Pods on the whole page, and where there are several nodes, which take room of their own. Of 12 runs each still has more
/// pods than are drawn with names, which take more room.
const ALL_PODS: usize = 440;
const ALL_PODS_ON_NODES: usize = 324;
/// Nodes on the whole page.
const ALL_NODES: usize = 36;
/// Agents on the whole page.
const ALL_AGENTS: usize = 96;
/// Cells of the maps of pods over time, on the whole page, and where there are several nodes, which take room of their own.
const ALL_CELLS: usize = 10_000;
const ALL_CELLS_ON_NODES: usize = 4_000;

/// The page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Html;

impl Exporter for Html {
    fn export(&self, report: &Report) -> Result<String, ReportError> {
        let shown = rounds::shown(&report.runs);
        let names = rounds::names(&shown);
        let drawn = shown.len().min(MOST_RUNS);
        let (runs, drawn_names) = (&shown[..drawn], &names[..drawn]);
        let several_nodes = runs.iter().any(|run| !run.spread.nodes.is_empty());
        let cells = if several_nodes { ALL_CELLS_ON_NODES } else { ALL_CELLS } / drawn.max(1);
        let pods = if several_nodes { ALL_PODS_ON_NODES } else { ALL_PODS } / drawn.max(1);
        let bins = (ALL_BINS / drawn.max(1)).min(MOST_BINS);
        let sections = [
            key_numbers::cards(runs, drawn_names),
            left_out(shown.len() - drawn, report.runs.len() - shown.len()),
            comparison_chart::section(&report.runs, runs, drawn_names),
            side_by_side::section(runs, drawn_names),
            percentile_chart::section(runs, drawn_names),
            time_chart::section(runs, drawn_names, u32::try_from(bins).unwrap_or(u32::MAX)),
            requested(runs, drawn_names),
            happened(runs, drawn_names),
            slow_pods_compared(&report.runs),
            pods_chart::section(runs, drawn_names, pods),
            nodes_chart::section(runs, drawn_names, ALL_NODES / drawn.max(1)),
            heat_map::section(runs, drawn_names, pods, cells),
            agents_table::section(runs, drawn_names, ALL_AGENTS / drawn.max(1)),
            details(runs, drawn_names),
            environment(report),
        ];
        let version = escape(&report.evenkeel_version);
        let body = format!(
            "{}<main>{}</main><footer><p>Measured by evenkeel {version}. This page \
             was made from JSON, which has every number; <code>evenkeel report FILE.json --csv</code> has the seconds.</p></footer>",
            header(report),
            sections.concat()
        );
        Ok(page::page(&format!("{} · evenkeel", words::headline(report)), &body))
    }
}

fn header(report: &Report) -> String {
    let status = words::status(report);
    let (class, sign) = if status == ReportStatus::Clean { ("clean", "✓") } else { ("bad", "!") };
    let found = elements("li", words::sentences(report));
    // Keeps the arrow from ending a line.
    let headline = escape(&words::headline(report)).replace(" → ", "\u{a0}→\u{a0}");
    format!(
        "<header><div class=\"top\"><div class=\"brand\">evenkeel <span>load-balancing report</span></div><button \
         id=\"theme\" type=\"button\" hidden>Theme</button></div><h1>{}</h1><p class=\"lede\">{} against {}</p><p \
         class=\"verdict {class}\"><span aria-hidden=\"true\">{sign}</span>{}</p><ul class=\"found\">{found}</ul></header>",
        headline,
        escape(&words::tested(report)),
        escape(&report.target),
        status.words()
    )
}

/// What is not drawn: further configurations, and further rounds of those that are drawn.
fn left_out(runs: usize, rounds: usize) -> String {
    let rounds = match rounds {
        0 => "",
        _ => {
            "<p class=\"soft\">The charts show the round with the median rate; the table of throughput has all rounds.</p>"
        }
    };
    match runs {
        0 => rounds.to_owned(),
        _ => format!("{rounds}<p class=\"soft\">{runs} further runs are only in the table of throughput.</p>"),
    }
}

/// The runs with several requests.
fn requested(runs: &[evenkeel_measure::Measurement], names: &[String]) -> String {
    let several = runs.iter().zip(names).filter(|(run, _)| !run.by_request.is_empty());
    let parts: Vec<String> = several
        .map(|(run, name)| {
            let rows = run.by_request.iter().map(requests::cells);
            let table = data_table::table(&format!("Requests, {name}"), &requests::COLUMNS, rows);
            format!("<h3>{}</h3>{table}", escape(name))
        })
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    let told =
        "<p>How often each request was answered and failed, and how long its responses took, in milliseconds.</p>";
    format!("<section><h2>Requests</h2>{told}{}</section>", parts.concat())
}

/// The events of the runs.
fn happened(runs: &[evenkeel_measure::Measurement], names: &[String]) -> String {
    let with_events = runs.iter().zip(names).filter(|(run, _)| !run.events.is_empty());
    let parts: Vec<String> = with_events
        .map(|(run, name)| {
            let table = data_table::table(&format!("Events, {name}"), &events::COLUMNS, events::rows(run));
            let slow = slow_pods::rows(run);
            let slow = if slow.is_empty() {
                String::new()
            } else {
                data_table::table(&format!("Slow pods, {name}"), &slow_pods::COLUMNS, slow)
            };
            format!(
                "<h3>{}</h3>{table}{slow}<ul class=\"found\">{}</ul>",
                escape(name),
                elements("li", events::told(run))
            )
        })
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2>Events</h2><p>Each event, how long it took, the requests that failed up to the next event, and the \
         lowest throughput in any half second against the two seconds before the event.</p>{}</section>",
        parts.concat()
    )
}

/// How each of the configurations that are drawn treated the slow pods.
fn slow_pods_compared(runs: &[evenkeel_measure::Measurement]) -> String {
    let Some((columns, mut rows)) = slow_pods::compared(runs) else { return String::new() };
    rows.truncate(MOST_RUNS);
    let (about, table) = (slow_pods::about(runs), data_table::table("Slow pods compared", &columns, rows));
    format!("<section><h2>Slow pods</h2><p>{}</p>{table}</section>", escape(&about))
}

/// All figures of each run.
fn details(runs: &[evenkeel_measure::Measurement], names: &[String]) -> String {
    let figures: Vec<_> = runs.iter().map(figures::run).collect();
    // Runs may have different figures.
    let mut of: Vec<&str> = Vec::new();
    for (name, _) in figures.iter().flatten() {
        if !of.contains(name) {
            of.push(name);
        }
    }
    if of.is_empty() {
        return String::new();
    }
    let header: Vec<&str> = std::iter::once("Figure").chain(names.iter().map(String::as_str)).collect();
    let cell = |figures: &[figures::Figure], of: &str| {
        figures.iter().find(|(name, _)| *name == of).map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
    };
    let rows = of.iter().map(|name| {
        std::iter::once((*name).to_owned()).chain(figures.iter().map(|figures| cell(figures, name))).collect()
    });
    let table = data_table::table("The load", &header, rows);
    format!("<section><h2>The load</h2>{table}</section>")
}

fn environment(report: &Report) -> String {
    let fixed = [("evenkeel", &report.evenkeel_version), ("target", &report.target)];
    let told = report.environment.iter().map(|(name, value)| (name.as_str(), value));
    let row = |(name, value): (&str, &String)| {
        format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(name), escape(value))
    };
    let rows: String = fixed.into_iter().chain(told).map(row).collect();
    format!(
        "<section><h2>Environment</h2><p>Where this was measured, and with which versions.</p><table \
         class=\"about\"><caption>Environment</caption><tbody>{rows}</tbody></table></section>"
    )
}

#[cfg(test)]
mod tests;
