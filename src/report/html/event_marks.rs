//! The events of a run as labelled lines across a chart over time.

use super::canvas::{Anchor, Canvas};
use super::scale::Scale;
use crate::report::number::to_f64;
use evenkeel_measure::Event;

/// The height of a row of labels.
const MARK: f64 = 16.0;
/// The maximum number of rows of labels.
const ROWS: usize = 4;
/// The approximate width of a character of a label.
const CHARACTER: f64 = 6.2;

/// The events on the time axis of a chart.
pub(super) struct EventMarks {
    marks: Vec<Mark>,
    /// The highest row in use.
    rows: u32,
}

/// The line and the label of an event.
struct Mark {
    what: String,
    x: f64,
    anchor: Anchor,
    /// The row of its label, counted from the lowest. Labels in one row do not overlap.
    row: u32,
}

impl EventMarks {
    /// The events up to `end` with their rows: a label goes to the lowest row with space, or else to the highest row.
    pub(super) fn new(events: &[Event], end: f64, x: &Scale) -> Self {
        let mut taken = [f64::NEG_INFINITY; ROWS];
        let shown = events.iter().filter(|event| event.second >= 0.0 && event.second <= end);
        let mark = |event: &Event| {
            let what: String = event.what.chars().take(40).collect();
            let (at, wide) = (x.at(event.second), CHARACTER * to_f64(what.chars().count() as u64));
            let anchor = if at > x.at(end * 0.6) { Anchor::End } else { Anchor::Start };
            let (from, to) = if anchor == Anchor::End { (at - wide, at) } else { (at, at + wide) };
            let row = taken.iter().position(|taken| *taken < from).unwrap_or(ROWS - 1);
            taken[row] = taken[row].max(to + CHARACTER);
            Mark { what, x: at, anchor, row: u32::try_from(row).unwrap_or(0) }
        };
        let marks: Vec<Mark> = shown.map(mark).collect();
        let rows = marks.iter().map(|mark| mark.row).max().unwrap_or(0);
        Self { marks, rows }
    }

    /// The space that the labels need above the chart.
    pub(super) fn height(&self) -> f64 {
        if self.marks.is_empty() { 0.0 } else { MARK * f64::from(self.rows + 1) }
    }

    /// The lines from above `top` to `floor`, visible on any colour, and on them their labels.
    pub(super) fn draw(&self, canvas: &mut Canvas, (top, floor): (f64, f64)) {
        for mark in &self.marks {
            let above = MARK * f64::from(mark.row);
            canvas.line_over("mark", (mark.x, top - 4.0 - above), (mark.x, floor));
        }
        for mark in &self.marks {
            let above = MARK * f64::from(mark.row);
            canvas.text("event", mark.anchor, (mark.x, top - MARK + 6.0 - above), &mark.what);
        }
    }
}
