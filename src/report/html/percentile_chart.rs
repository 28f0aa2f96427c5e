//! Latency by percentile. The horizontal axis is logarithmic towards 100%, so that the slowest requests are visible.

use super::canvas::{Anchor, Canvas, Viewport, in_both};
use super::data_table::{folded, table};
use super::legend;
use super::scale::{Scale, ratios};
use crate::report::figures;
use crate::report::number::{milliseconds, to_f64};
use evenkeel_measure::Measurement;

/// The end of the axis.
const LAST: f64 = 99.999;
/// The marks of the axis.
const MARKS: [f64; 6] = [0.0, 90.0, 99.0, 99.9, 99.99, LAST];
/// The percentiles that have a tooltip.
const TOOLTIPS: [f64; 7] = [50.0, 75.0, 90.0, 97.5, 99.0, 99.9, 99.99];

/// A line: percentiles and microseconds, ascending.
type Curve = Vec<(f64, f64)>;

/// The chart and its table; empty if nothing was answered.
pub(super) fn section(runs: &[Measurement], names: &[String]) -> String {
    let curves: Vec<Curve> = runs.iter().map(curve).collect();
    if curves.iter().all(Vec::is_empty) {
        return String::new();
    }
    let label =
        format!("Latency by percentile, one line for each of: {}. The table below has the data.", names.join(", "));
    let chart = in_both(|room| draw(room, &curves, names), &label);
    let header: Vec<&str> = std::iter::once("Percentile").chain(names.iter().map(String::as_str)).collect();
    let figures: Vec<_> = runs.iter().map(|run| figures::latency(&run.latency_us)).collect();
    let rows = (0..figures[0].len()).map(|at| {
        let values = figures.iter().map(|of| of[at].1.clone());
        std::iter::once(figures[0][at].0.to_owned()).chain(values).collect()
    });
    let table = table("Latency by percentile", &header, rows);
    format!(
        "<section><h2>Latency by percentile</h2><p>How long the responses took. Each step to the right leaves a tenth of \
         the requests of the step before: at 99%, one in a hundred took longer than the line shows. Both axes are \
         logarithmic.</p>{}{chart}{}</section>",
        legend::legend(names),
        folded("The same as a table", &table)
    )
}

/// The points of the curve and of the summary, up to the percentile for which there are enough requests.
fn curve(run: &Measurement) -> Curve {
    let of = &run.latency_us;
    if of.count == 0 {
        return Vec::new();
    }
    let summary = [(50.0, of.p50), (75.0, of.p75), (90.0, of.p90), (97.5, of.p97_5)]
        .into_iter()
        .chain([(99.0, of.p99), (99.9, of.p99_9), (99.99, of.p99_99)])
        .filter(|(percentile, _)| (1.0 - percentile / 100.0) * to_f64(of.count) >= 1.0);
    let points = run.latency_curve.iter().map(|point| (point.percentile, point.us)).chain(summary);
    // A logarithmic axis has no 0.
    let mut points: Curve = points.map(|(percentile, us)| (percentile, to_f64(us).max(1.0))).collect();
    points.retain(|(percentile, _)| (0.0..=LAST).contains(percentile));
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// The position of a percentile: 0 at 0%, 1 at 90%, 2 at 99%.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

/// The time at one of the percentiles above; `None` if there were too few requests.
fn at(curve: &Curve, percentile: f64) -> Option<f64> {
    curve.iter().find(|point| (point.0 - percentile).abs() < 1e-9).map(|point| point.1)
}

fn draw(room: Viewport, curves: &[Curve], names: &[String]) -> Canvas {
    let (left, right) = (room.pick(70.0, 52.0), room.width() - room.pick(96.0, 25.0));
    let (top, bottom) = (14.0, room.pick(330.0, 260.0));
    let times = || curves.iter().flatten().map(|point| point.1);
    let (low, high) = (times().fold(f64::MAX, f64::min) / 1.25, times().fold(0.0, f64::max) * 1.25);
    let x = Scale::linear((0.0, nines(LAST)), (left, right));
    let y = Scale::logarithmic((low, high), (bottom, top));
    let mut canvas = Canvas::new(bottom + 44.0);
    for us in ratios(low, high) {
        canvas.line("grid", (left, y.at(us)), (right, y.at(us)));
        canvas.text("tick", Anchor::End, (left - 8.0, y.at(us) + 4.0), &time(us));
    }
    for percentile in MARKS.into_iter().chain(room.pick(Some(50.0), None)) {
        let position = x.at(nines(percentile));
        canvas.line("grid", (position, top), (position, bottom));
        canvas.text("tick", Anchor::Middle, (position, bottom + 18.0), &format!("{percentile}{}", room.pick("%", "")));
    }
    canvas.line("axis", (left, bottom), (right, bottom));
    let name = room.pick("of the requests took at most this long", "% of the requests took at most this long");
    canvas.text("name", Anchor::Middle, (f64::midpoint(left, right), bottom + 38.0), name);
    for (number, curve) in curves.iter().enumerate() {
        let class = legend::class(number);
        canvas
            .path(&format!("run {class}"), curve.iter().map(|(percentile, us)| (x.at(nines(*percentile)), y.at(*us))));
        for percentile in TOOLTIPS {
            if let Some(us) = at(curve, percentile) {
                canvas.dot(&format!("dot {class}"), (x.at(nines(percentile)), y.at(us)), 3.0);
            }
        }
    }
    if room == Viewport::Wide && curves.len() > 1 {
        ends(&mut canvas, curves, names, |percentile| x.at(nines(percentile)), |us| y.at(us));
    }
    places(&mut canvas, curves, names, &x, (top, bottom));
    canvas
}

/// The names at the ends of the lines, without overlap.
fn ends(canvas: &mut Canvas, curves: &[Curve], names: &[String], x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
    let mut ends: Vec<(f64, f64, &String, usize)> = curves
        .iter()
        .zip(names)
        .enumerate()
        .filter_map(|(at, (curve, name))| curve.last().map(|end| (y(end.1), x(end.0), name, at)))
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = 0.0_f64;
    for (height, position, name, number) in ends {
        let height = height.max(free);
        free = height + 15.0;
        canvas.text(&format!("end {}", legend::class(number)), Anchor::Start, (position + 8.0, height + 4.0), name);
    }
}

/// A tooltip at each percentile with the times of all lines.
fn places(canvas: &mut Canvas, curves: &[Curve], names: &[String], x: &Scale, (top, bottom): (f64, f64)) {
    let middles: Vec<f64> = TOOLTIPS.iter().map(|percentile| x.at(nines(*percentile))).collect();
    for (number, percentile) in TOOLTIPS.into_iter().enumerate() {
        let middle = middles[number];
        let from = number.checked_sub(1).map_or(middle - 20.0, |before| f64::midpoint(middles[before], middle));
        let to = middles.get(number + 1).map_or(middle + 20.0, |after| f64::midpoint(middle, *after));
        let told = curves
            .iter()
            .zip(names)
            .filter_map(|(curve, name)| at(curve, percentile).map(|us| format!("{name} {}", time(us))));
        let told = told.collect::<Vec<_>>().join("  ·  ");
        if !told.is_empty() {
            canvas.place((from, top), (to - from, bottom - top), &format!("{percentile}%: {told}"));
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time in microseconds, at least 0")]
fn time(us: f64) -> String {
    milliseconds(us.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn each_nine_is_as_far() {
        for (percentile, far) in [(0.0, 0.0), (90.0, 1.0), (99.0, 2.0), (99.999, 5.0)] {
            assert!((nines(percentile) - far).abs() < 1e-6, "{percentile}");
        }
    }

    #[test]
    fn a_report_without_a_curve_is_drawn_by_its_summary() {
        let mut run = sample::measurement();
        run.latency_curve.clear();
        assert_eq!(curve(&run).len(), TOOLTIPS.len());
        assert_eq!(at(&curve(&run), 99.0), Some(1024.0));
    }

    #[test]
    fn a_line_ends_where_its_data_does() {
        let mut run = sample::measurement();
        run.latency_curve.clear();
        run.latency_us.count = 50;
        assert_eq!(at(&curve(&run), 97.5), Some(655.0));
        assert_eq!(at(&curve(&run), 99.0), None, "50 requests do not tell one in a hundred");
    }

    #[test]
    fn without_answers_there_is_no_chart() {
        let mut run = sample::measurement();
        run.latency_us = evenkeel_measure::Latency::default();
        assert_eq!(section(&[run], &["2 pods".into()]), "");
    }
}
