//! Throughput and errors over time: a panel for each run on the same axes, with marks for events.

use std::fmt::Write;

use super::canvas::{Anchor, Canvas, Viewport, in_both};
use super::data_table::{folded, table};
use super::event_marks::EventMarks;
use super::legend;
use super::markup::{elements, escape};
use super::scale::{Scale, seconds_of, steps};
use super::time_bins::{Bin, bins};
use crate::report::number::{count, grouped, to_f64};
use crate::report::words;
use evenkeel_measure::{Event, Measurement};

/// The height of the strip of errors.
const STRIP: f64 = 26.0;

struct Panel<'a> {
    bins: Vec<Bin>,
    /// The length of a bin, in seconds.
    length: u32,
    class: String,
    events: &'a [Event],
}

impl<'a> Panel<'a> {
    fn new(run: &'a Measurement, class: String, most_bins: u32) -> Self {
        let (bins, length) = bins(run, most_bins);
        Self { bins, length, class, events: &run.events }
    }
}

/// The axes that all panels share.
struct Axes {
    /// The end of the time axis, in seconds.
    end: f64,
    /// The marks of the throughput axis.
    rates: Vec<f64>,
    /// The maximum number of failures in a bin.
    wrong: u64,
}

/// The panels and their tables; empty without a run.
pub(super) fn section(runs: &[Measurement], names: &[String], most_bins: u32) -> String {
    let panel = |(at, run)| Panel::new(run, legend::class(at), most_bins);
    let panels: Vec<Panel> = runs.iter().enumerate().map(panel).collect();
    let axes = axes(&panels);
    let mut body = String::new();
    for ((panel, run), name) in panels.iter().zip(runs).zip(names) {
        let _ = write!(body, "<figure><figcaption>{}</figcaption>{}", escape(name), chart(panel, &axes, name));
        let faults = elements("li", words::faults(run));
        if !faults.is_empty() {
            let _ = write!(body, "<ul class=\"faults\" aria-label=\"Failures\">{faults}</ul>");
        }
        let table = seconds(panel, &format!("Throughput and errors over time, {name}"));
        let _ = write!(body, "{}</figure>", folded("The same as a table", &table));
    }
    format!(
        "<section><h2>Throughput and errors over time</h2><p>Responses in each second of the run, and below them the \
         failures. Where a dip has errors below it, requests failed; where it has none, responses took \
         longer.</p>{body}</section>"
    )
}

fn axes(panels: &[Panel]) -> Axes {
    let bins = || panels.iter().flat_map(|panel| &panel.bins);
    let highest = bins().filter_map(|bin| bin.rate).map(|rate| rate.2).fold(0.0, f64::max);
    let end = panels.iter().filter_map(|panel| panel.bins.last().map(|last| f64::from(last.from + panel.length)));
    Axes {
        end: end.fold(1.0, f64::max),
        rates: steps(highest, 4.0),
        wrong: bins().map(Bin::wrong_count).max().unwrap_or(0),
    }
}

fn chart(panel: &Panel, axes: &Axes, name: &str) -> String {
    let label = format!("Responses per second over time with {name}. The table below has the data.");
    in_both(|room| draw(room, panel, axes), &label)
}

fn draw(room: Viewport, panel: &Panel, axes: &Axes) -> Canvas {
    let (left, right) = (room.pick(70.0, 52.0), room.width() - 12.0);
    let across = Scale::linear((0.0, axes.end), (left, right));
    let marks = EventMarks::new(panel.events, axes.end, &across);
    let top = 10.0 + marks.height();
    let bottom = top + room.pick(130.0, 110.0);
    let floor = bottom + 10.0 + STRIP;
    let x = across;
    let y = Scale::linear((0.0, axes.rates.last().copied().unwrap_or(1.0)), (bottom, top));
    let mut canvas = Canvas::new(floor + 26.0);
    for rate in &axes.rates {
        canvas.line("grid", (left, y.at(*rate)), (right, y.at(*rate)));
        canvas.text("tick", Anchor::End, (left - 8.0, y.at(*rate) + 4.0), &grouped(*rate));
    }
    for second in seconds_of(axes.end, room.pick(8.0, 4.0)) {
        canvas.text("tick", Anchor::Middle, (x.at(second), floor + 18.0), &format!("{second} s"));
    }
    line(&mut canvas, panel, &x, &y);
    canvas.line("axis", (left, bottom), (right, bottom));
    errors(&mut canvas, panel, axes.wrong, &x, (left, right, floor));
    marks.draw(&mut canvas, (top, floor));
    for bin in &panel.bins {
        let (from, to) = (x.at(f64::from(bin.from)), x.at(f64::from(bin.from + panel.length)));
        canvas.place((from, top), (to - from, floor - top), &told(bin, panel.length));
    }
    canvas
}

/// The mean of each bin, with the range of its seconds behind it.
fn line(canvas: &mut Canvas, panel: &Panel, x: &Scale, y: &Scale) {
    let middle = |bin: &Bin| x.at(f64::from(bin.from) + f64::from(panel.length) / 2.0);
    let points = |of: fn((f64, f64, f64)) -> f64| -> Vec<(f64, f64)> {
        panel.bins.iter().filter_map(|bin| bin.rate.map(|rate| (middle(bin), y.at(of(rate))))).collect()
    };
    let means = points(|rate| rate.0);
    let floor: Vec<_> = means.iter().map(|point| (point.0, y.at(0.0))).collect();
    canvas.area(&format!("fill {}", panel.class), &means, &floor);
    if panel.length > 1 {
        canvas.area(&format!("range {}", panel.class), &points(|rate| rate.2), &points(|rate| rate.1));
    }
    match means.as_slice() {
        [only] => canvas.dot(&format!("dot {}", panel.class), *only, 4.0),
        means => canvas.path(&format!("run {} solid", panel.class), means.iter().copied()),
    }
}

fn errors(canvas: &mut Canvas, panel: &Panel, most: u64, x: &Scale, (left, right, floor): (f64, f64, f64)) {
    canvas.line("axis", (left, floor), (right, floor));
    let y = Scale::linear((0.0, to_f64(most)), (0.0, STRIP));
    canvas.text("tick", Anchor::End, (left - 8.0, floor - 2.0), "errors");
    let mut none = true;
    for bin in panel.bins.iter().filter(|bin| bin.wrong_count() > 0) {
        none = false;
        let (from, to) = (x.at(f64::from(bin.from)), x.at(f64::from(bin.from + panel.length)));
        // A small number must be visible, too.
        let height = y.at(to_f64(bin.wrong_count())).max(3.0);
        let gap = ((to - from) * 0.15).min(2.0);
        canvas.rect("error", (from + gap, floor - height), (to - from - 2.0 * gap, height));
    }
    if none {
        canvas.text("quiet", Anchor::Start, (left + 6.0, floor - 6.0), "none");
    }
}

fn span(bin: &Bin, length: u32) -> String {
    if length == 1 {
        format!("second {}", bin.from)
    } else {
        format!("seconds {} to {}", bin.from, bin.from + length - 1)
    }
}

fn told(bin: &Bin, length: u32) -> String {
    let rate = match bin.rate {
        Some((mean, low, high)) if length > 1 => {
            format!(
                "{} responses per second ({} to {})",
                grouped(mean.round()),
                grouped(low.round()),
                grouped(high.round())
            )
        }
        Some((mean, ..)) => format!("{} responses", grouped(mean.round())),
        None => "incomplete second".into(),
    };
    format!("{}: {rate}  ·  {}", span(bin, length), bin.wrong_words())
}

fn seconds(panel: &Panel, caption: &str) -> String {
    let rate = |bin: &Bin| bin.rate.map_or_else(|| "-".into(), |rate| grouped(rate.0.round()));
    let event = |bin: &Bin| {
        let within = f64::from(bin.from)..f64::from(bin.from + panel.length);
        let what: Vec<&str> = panel
            .events
            .iter()
            .filter(|event| within.contains(&event.second))
            .map(|event| event.what.as_str())
            .collect();
        what.join(", ")
    };
    let row = |bin: &Bin| {
        let first =
            if panel.length == 1 { bin.from.to_string() } else { span(bin, panel.length).replace("seconds ", "") };
        vec![first, rate(bin), count(bin.wrong_count()), bin.wrong_words(), event(bin)]
    };
    let mut header = vec!["Second", "Responses per second", "Errors", "Which", "Event"];
    let mut rows: Vec<Vec<String>> = panel.bins.iter().map(row).collect();
    for (column, needless) in [(4, panel.events.is_empty()), (3, panel.bins.iter().all(|bin| bin.wrong.is_empty()))] {
        if needless {
            header.remove(column);
            for row in &mut rows {
                row.remove(column);
            }
        }
    }
    table(caption, &header, rows)
}
