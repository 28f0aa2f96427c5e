//! Throughput of each run.

use super::canvas::{Anchor, Canvas, Viewport, in_both};
use super::data_table::table;
use super::legend;
use super::scale::{Scale, steps};
use crate::report::number::{count, grouped, milliseconds};
use crate::report::{pods, rounds, words};
use evenkeel_measure::Measurement;

/// The distance between bars.
const STEP: f64 = 40.0;

/// The chart of those `shown`, and the table of all runs; empty for a single run.
pub(super) fn section(runs: &[Measurement], shown: &[Measurement], shown_names: &[String]) -> String {
    if runs.len() < 2 {
        return String::new();
    }
    let first = runs[0].requests_per_second.average;
    let names = rounds::names(runs);
    let label = format!("Requests a second at each of: {}. The table below has the data.", shown_names.join(", "));
    let chart = in_both(|room| draw(room, shown, shown_names), &label);
    let row = |(run, name): (&Measurement, &String)| {
        let rate = &run.requests_per_second;
        vec![
            name.clone(),
            grouped(rate.average.round()),
            pods::ratio(rate.average, first),
            grouped(rate.min.round()),
            grouped(rate.max.round()),
            milliseconds(run.latency_us.p50),
            milliseconds(run.latency_us.p99),
            milliseconds(run.latency_us.p99_99),
            count(words::went_wrong(run)),
        ]
    };
    let header = ["Run", "Req/Sec", "Ratio", "Slowest second", "Fastest", "50%", "99%", "99.99%", "Errors"];
    format!(
        "<section><h2>Throughput of each run</h2><p>Responses per second on average, and the ratio to the first run. \
         The thin line spans the slowest and the fastest second.</p>{chart}{}</section>",
        table("Throughput of each run", &header, runs.iter().zip(&names).map(row))
    )
}

fn draw(room: Viewport, runs: &[Measurement], names: &[String]) -> Canvas {
    let (left, right) = (room.pick(120.0, 4.0), room.width() - room.pick(160.0, 8.0));
    let (top, step) = (8.0, room.pick(STEP, STEP + 8.0));
    let rows = f64::from(u32::try_from(runs.len()).unwrap_or(u32::MAX));
    let bottom = top + rows * step;
    let most = runs.iter().map(|run| run.requests_per_second.max).fold(0.0, f64::max);
    let ticks = steps(most, room.pick(5.0, 3.0));
    let x = Scale::linear((0.0, ticks.last().copied().unwrap_or(1.0)), (left, right));
    let first = runs.first().map_or(0.0, |run| run.requests_per_second.average);
    let mut canvas = Canvas::new(bottom + 26.0);
    for tick in &ticks {
        canvas.line("grid", (x.at(*tick), top), (x.at(*tick), bottom));
        // At the edges of a narrow chart there is space on one side only.
        let anchor = match (room, x.at(*tick)) {
            (Viewport::Narrow, at) if at <= left => Anchor::Start,
            (Viewport::Narrow, at) if at >= right => Anchor::End,
            _ => Anchor::Middle,
        };
        canvas.text("tick", anchor, (x.at(*tick), bottom + 18.0), &grouped(*tick));
    }
    for (number, (run, name)) in (0_u32..).zip(runs.iter().zip(names)) {
        let rate = &run.requests_per_second;
        let row = top + f64::from(number) * step;
        let bar = row + room.pick(9.0, 22.0);
        let class = legend::class(usize::try_from(number).unwrap_or(0));
        canvas.rect(&format!("bar {class}"), (left, bar), (x.at(rate.average) - left, 20.0));
        let (low, high, middle) = (x.at(rate.min), x.at(rate.max), bar + 10.0);
        for class in ["halo", "whisker"] {
            canvas.line(class, (low, middle), (high, middle));
            for end in [low, high] {
                canvas.line(class, (end, middle - 4.0), (end, middle + 4.0));
            }
        }
        let told = format!("{} · {}", grouped(rate.average.round()), pods::ratio(rate.average, first));
        if room == Viewport::Wide {
            canvas.text("label", Anchor::End, (left - 12.0, middle + 4.0), name);
            canvas.text("value", Anchor::End, (room.width() - 4.0, middle + 4.0), &told);
        } else {
            canvas.text("label", Anchor::Start, (left, row + 15.0), name);
            canvas.text("value", Anchor::End, (right, row + 15.0), &told);
        }
        let (slowest, fastest) = (grouped(rate.min.round()), grouped(rate.max.round()));
        let told = format!("{name}: {told}  ·  slowest second {slowest}, fastest {fastest}");
        canvas.place((0.0, row), (room.width(), step), &told);
    }
    canvas
}
