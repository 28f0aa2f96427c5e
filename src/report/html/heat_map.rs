//! Which pod served how much when: a row for each pod, and its requests against the even share as colours over time.

use std::fmt::Write;

use super::canvas::{Anchor, Canvas, Viewport, in_both};
use super::data_table::{folded, table};
use super::event_marks::EventMarks;
use super::markup::escape;
use super::scale::{Scale, seconds_of};
use crate::report::number::{count, to_f64};
use crate::report::over_time::{PodRates, PodRow};
use crate::report::pods;
use evenkeel_measure::{Event, Measurement};

/// More pods than this are drawn as thin rows without names.
const MOST_NAMED: usize = 24;
/// The approximate height of all thin rows together.
const THIN: f64 = 400.0;
/// The maximum number of columns of a map: more cannot be distinguished.
const MOST_COLUMNS: usize = 120;
/// The number of columns of the table, which a reader can still compare.
const TABLE_COLUMNS: usize = 10;

/// The colours by multiples of the even share: up to which multiple, and what the legend says.
const LEVELS: [(f64, &str); 7] = [
    (0.0, "none"),
    (0.5, "below 0.5 ×"),
    (0.8, "0.5 to 0.8 ×"),
    (1.25, "0.8 to 1.25 × the even share"),
    (2.0, "1.25 to 2 ×"),
    (4.0, "2 to 4 ×"),
    (f64::INFINITY, "above 4 ×"),
];

/// A map for each run, and its table; empty if it is not known of any run which pod answered when. For each run, at most
/// `most` pods and about `cells` cells are drawn.
pub(super) fn section(runs: &[Measurement], names: &[String], most: usize, cells: usize) -> String {
    let maps: Vec<Option<HeatMap>> = runs.iter().map(|run| HeatMap::new(run, most, cells)).collect();
    let end = maps.iter().flatten().map(|map| map.pods.end).fold(0.0, f64::max);
    if maps.iter().all(Option::is_none) {
        return String::new();
    }
    let mut body = String::new();
    for ((run, map), name) in runs.iter().zip(&maps).zip(names) {
        let figure = map.as_ref().map_or_else(|| unknown(run).to_owned(), |map| map.figure(run, name, end));
        let _ = write!(body, "<figure><figcaption>{}</figcaption>{figure}</figure>", escape(name));
    }
    format!(
        "<section><h2>Which pod served what, over time</h2><p>A row for each pod, from its first response to its last: a pod \
         that was added begins later, and one that was removed ends earlier. The colour is what it served against the even \
         share of that moment: all responses, divided by the pods that were there.</p>{}{body}</section>",
        key()
    )
}

/// Why there is no map of this run.
fn unknown(run: &Measurement) -> &'static str {
    if run.over_time.is_some() {
        "<p class=\"soft\">No response named its pod, so it is not known which pod answered when.</p>"
    } else {
        "<p class=\"soft\">This run was measured by an older version, which did not count the pods over time.</p>"
    }
}

/// What the colours mean.
fn key() -> String {
    let item = |(at, (_, told)): (usize, &(f64, &str))| {
        format!(
            r#"<li><svg class="patch" viewBox="0 0 14 14" aria-hidden="true"><rect class="h{at}" width="14" height="14"/></svg>{told}</li>"#
        )
    };
    format!("<ul class=\"key\" aria-label=\"Colours\">{}</ul>", LEVELS.iter().enumerate().map(item).collect::<String>())
}

/// The level of a pod with this multiple of the even share.
fn level(ratio: f64) -> usize {
    LEVELS.iter().position(|(most, _)| ratio <= *most).unwrap_or(LEVELS.len() - 1)
}

struct HeatMap {
    pods: PodRates,
    even: Vec<f64>,
    /// How many pods are not drawn.
    left_out: usize,
}

impl HeatMap {
    fn new(run: &Measurement, most: usize, cells: usize) -> Option<Self> {
        let of_all = run.over_time.as_ref()?.pods.len().clamp(1, most.max(1));
        let mut pods = PodRates::of(run, (cells / of_all).clamp(TABLE_COLUMNS, MOST_COLUMNS))?;
        let even = pods.even_shares();
        let left_out = pods.keep(most.max(1));
        Some(Self { pods, even, left_out })
    }

    /// What a pod served against the even share in a column; `None` where it was not there.
    fn ratio(&self, row: &PodRow, column: usize) -> Option<f64> {
        let even = self.even.get(column).copied().unwrap_or(0.0);
        self.pods.rate(row, column).map(|rate| if even > 0.0 { rate / even } else { 0.0 })
    }

    fn figure(&self, run: &Measurement, name: &str, end: f64) -> String {
        let label =
            format!("Requests of each pod over time with {name}. {} The table below has the data.", self.told());
        let chart = in_both(|room| self.draw(room, &run.events, end), &label);
        let left_out = match self.left_out {
            0 => String::new(),
            pods => format!(
                "<p class=\"soft\">The busiest and the least busy pods; {} more are not drawn.</p>",
                count(pods as u64)
            ),
        };
        let table = self.table(run, name);
        format!("{chart}{left_out}{}", folded("The same as a table, in requests per second", &table))
    }

    /// "12 pods: 10 from the begin to the end, 2 that began later."
    fn told(&self) -> String {
        let last = self.pods.columns - 1;
        let number = |of: &dyn Fn(&&PodRow) -> bool| self.pods.rows.iter().filter(of).count();
        let margin = self.pods.columns / 20;
        let (late, gone) = (number(&|row| row.first > margin), number(&|row| row.last + margin < last));
        let mut told = pods::some(self.pods.rows.len() as u64, "pod");
        if late > 0 {
            let _ = write!(told, ", {} began later than the run", count(late as u64));
        }
        if gone > 0 {
            let _ = write!(told, ", {} ended earlier", count(gone as u64));
        }
        told + "."
    }

    fn draw(&self, room: Viewport, events: &[Event], end: f64) -> Canvas {
        let layout = Layout::new(room, self.pods.rows.len());
        let x = Scale::linear((0.0, end), (layout.left, layout.right));
        let marks = EventMarks::new(events, end, &x);
        let top = 8.0 + marks.height();
        let floor = top + layout.step * to_f64(self.pods.rows.len() as u64);
        let mut canvas = Canvas::new(floor + 26.0);
        let cell = (x.at(self.pods.length) - layout.left, layout.step);
        // With the names above the rows, the strips are in the lower part.
        let corner = (layout.left, top + layout.step * layout.below);
        for (at, strips) in self.strips().iter().enumerate().filter(|(_, strips)| !strips.is_empty()) {
            canvas.strips(&format!("cell h{at}"), corner, cell, layout.thick, strips);
        }
        for second in seconds_of(end, room.pick(8.0, 4.0)) {
            // At the left edge of a narrow map there is space on one side only.
            let anchor = if x.at(second) < 12.0 { Anchor::Start } else { Anchor::Middle };
            canvas.text("tick", anchor, (x.at(second), floor + 18.0), &format!("{second} s"));
        }
        canvas.line("axis", (layout.left, floor), (layout.right, floor));
        if !layout.named {
            let all = pods::some(self.pods.rows.len() as u64, "pod");
            canvas.text("tick", Anchor::End, (layout.left - 8.0, top + 10.0), &all);
        }
        marks.draw(&mut canvas, (top, floor));
        for (row, pod) in (0_u32..).zip(&self.pods.rows) {
            let y = top + layout.step * f64::from(row);
            layout.name(&mut canvas, room, y, &pod.name);
            canvas.place((0.0, y), (room.width(), layout.step), &self.told_of(pod));
        }
        canvas
    }

    /// For each level the cells of that colour, with neighbours in a row as one.
    fn strips(&self) -> Vec<Vec<(usize, f64, f64)>> {
        let mut strips = vec![Vec::new(); LEVELS.len()];
        for (at, row) in self.pods.rows.iter().enumerate() {
            let levels: Vec<Option<usize>> =
                (0..self.pods.columns).map(|column| self.ratio(row, column).map(level)).collect();
            let mut column = 0;
            for same in levels.chunk_by(|a, b| a == b) {
                let to = column + same.len();
                if let Some(strips) = same[0].and_then(|level| strips.get_mut(level)) {
                    // The last column may be cut off by the end of the run.
                    let end = (self.pods.span(to - 1).1 / self.pods.length * 100.0).round() / 100.0;
                    strips.push((at, to_f64(column as u64), end));
                }
                column = to;
            }
        }
        strips
    }

    /// "server-x: 12,345 requests, 0 s to 30 s  ·  0.31 to 1.20 × the even share".
    fn told_of(&self, row: &PodRow) -> String {
        let ratios = (row.first..=row.last).filter_map(|column| self.ratio(row, column));
        let (low, high) = ratios.fold((f64::MAX, 0.0_f64), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
        let (from, to) = (self.pods.span(row.first).0, self.pods.span(row.last).1);
        format!(
            "{}: {} requests, {from:.1} s to {to:.1} s  ·  {low:.2} to {high:.2} × the even share",
            row.name,
            count(row.requests)
        )
    }

    /// Requests per second of each pod, in fewer columns than the map has.
    fn table(&self, run: &Measurement, name: &str) -> String {
        let Some(few) = PodRates::of(run, TABLE_COLUMNS) else { return String::new() };
        let header = few.header("Pod");
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        // The pods of the map, in its order.
        let rows = self.pods.rows.iter().filter_map(|row| few.rows.iter().find(|few| few.name == row.name));
        let rows = rows.map(|row| few.cells(row));
        table(&format!("Requests per second of each pod, {name}"), &header, rows)
    }
}

/// Positions and sizes for one width.
struct Layout {
    left: f64,
    right: f64,
    /// The distance between rows.
    step: f64,
    /// The height of a strip, as a part of a row.
    thick: f64,
    /// How much lower a strip is than the middle of its row, as a part of a row.
    below: f64,
    named: bool,
}

impl Layout {
    fn new(room: Viewport, pods: usize) -> Self {
        let right = room.width() - 16.0;
        if pods <= MOST_NAMED {
            return Self {
                left: room.pick(236.0, 4.0),
                right,
                step: room.pick(24.0, 34.0),
                thick: room.pick(0.84, 0.42),
                below: room.pick(0.0, 0.24),
                named: true,
            };
        }
        let step = (THIN / to_f64(pods as u64)).clamp(1.6, 14.0);
        // Gaps between the thinnest rows would be as thick as the rows on some screens.
        let thick = if step < 8.0 { 1.0 } else { 0.9 };
        Self { left: room.pick(70.0, 60.0), right, step, thick, below: 0.0, named: false }
    }

    fn name(&self, canvas: &mut Canvas, room: Viewport, y: f64, name: &str) {
        let name = pods::shortened(name);
        match room {
            _ if !self.named => {}
            Viewport::Wide => canvas.text("pod", Anchor::End, (self.left - 10.0, y + 16.0), &name),
            Viewport::Narrow => canvas.text("pod", Anchor::Start, (self.left, y + 14.0), &name),
        }
    }
}
