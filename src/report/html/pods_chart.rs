//! Requests of each pod: bars, the even share as a line, and what to expect of chance as a band.

use std::fmt::Write;

use super::canvas::{Anchor, Canvas, Viewport, in_both};
use super::data_table::{folded, table};
use super::legend;
use super::markup::{escape, terms};
use super::scale::Scale;
use crate::report::number::{count, grouped, to_f64};
use crate::report::{figures, pods};
use evenkeel_measure::{Measurement, PodShare, Spread, sentence};

/// More pods than this are drawn as thin bars without names.
const MOST_NAMED: usize = 24;
/// The approximate height of all thin bars together.
const THIN: f64 = 400.0;

/// The panels and their tables; empty if no pod is known. At most `most` pods are drawn for each run.
pub(super) fn section(runs: &[Measurement], names: &[String], most: usize) -> String {
    if runs.iter().all(|run| run.spread.pods.is_empty()) {
        return String::new();
    }
    let mut body = String::new();
    for (at, (run, name)) in runs.iter().zip(names).enumerate() {
        let panel = panel(&run.spread, at, name, most);
        let _ = write!(body, "<figure><figcaption>{}</figcaption>{panel}</figure>", escape(name));
    }
    let banded = runs.iter().flat_map(|run| &run.spread.pods).any(|pod| band(pod, 1.0).is_some());
    let band = if banded {
        " The shade is where chance alone puts one given pod in 95 of 100 runs; it does not hold for all pods at once."
    } else {
        ""
    };
    format!(
        "<section><h2>Requests per pod</h2><p>A Service balances connections, not requests: a keep-alive connection stays \
         with the pod that it was opened to. The dashed line is the even share.{band}</p>{body}</section>"
    )
}

fn panel(spread: &Spread, at: usize, name: &str, most: usize) -> String {
    if spread.pods.is_empty() {
        return "<p class=\"soft\">No response named its pod.</p>".into();
    }
    // The busiest pods, and as many of the least busy ones.
    let kept = if spread.pods.len() <= most { spread.pods.len() } else { most.div_ceil(2) };
    let last = if spread.pods.len() <= most { spread.pods.len() } else { spread.pods.len() - most / 2 };
    let each = to_f64(total(spread)) / to_f64(spread.connections.max(1));
    let bar = |pod| Bar { pod, band: band(pod, each) };
    let shown: Vec<Bar> = spread.pods[..kept].iter().chain(&spread.pods[last..]).map(bar).collect();
    let mut rows: Vec<Vec<String>> = shown.iter().map(|bar| pods::cells(bar.pod, spread)).collect();
    if shown.len() < spread.pods.len() {
        rows.insert(kept, vec![format!("… {} more …", spread.pods.len() - shown.len())]);
    }
    if spread.unnamed > 0 && spread.knows_requests() {
        rows.push(vec!["(not named)".into(), count(spread.unnamed)]);
    }
    let facts = terms(&figures::spread(spread));
    let what = if spread.knows_requests() { "Requests" } else { "Connections" };
    let table = table(&format!("{what} per pod, {name}"), &pods::columns(spread), rows);
    if !spread.knows_requests() {
        return format!("<p>{}</p><dl class=\"facts\">{facts}</dl>{table}", escape(&sentence(spread)));
    }
    let label = format!("Requests per pod with {name}. {} The table below has the data.", sentence(spread));
    let chart = in_both(|room| draw(room, spread, &shown, at), &label);
    format!("{chart}<dl class=\"facts\">{facts}</dl>{}", folded("The same as a table", &table))
}

/// The interval of requests in which chance alone puts one given pod in 95 of 100 runs, if it is known: the interval of
/// connections, times `each`, the mean number of requests of a connection.
fn band(pod: &PodShare, each: f64) -> Option<(f64, f64)> {
    pod.expected_connections.map(|band| (to_f64(band.low) * each, to_f64(band.high) * each))
}

/// A pod and its band.
struct Bar<'a> {
    pod: &'a PodShare,
    band: Option<(f64, f64)>,
}

fn total(spread: &Spread) -> u64 {
    spread.pods.iter().map(|pod| pod.requests).fold(0, u64::saturating_add)
}

/// Positions and sizes for one width.
struct ChartLayout {
    left: f64,
    right: f64,
    top: f64,
    /// The distance between bars.
    step: f64,
    /// The height of a bar.
    bar: f64,
    /// The distance from the top of a row to its bar.
    inset: f64,
    named: bool,
}

impl ChartLayout {
    fn new(room: Viewport, pods: usize) -> Self {
        let named = pods <= MOST_NAMED;
        let rows = f64::from(u32::try_from(pods.max(1)).unwrap_or(u32::MAX));
        let thin = (THIN / rows).clamp(2.0, 14.0);
        Self {
            left: if named { room.pick(236.0, 4.0) } else { room.pick(70.0, 4.0) },
            right: room.width() - room.pick(150.0, 4.0),
            top: 30.0,
            step: if named { room.pick(26.0, 36.0) } else { thin },
            bar: if named { room.pick(16.0, 12.0) } else { (thin - 1.0).max(1.5) },
            inset: if named { room.pick(5.0, 18.0) } else { 0.0 },
            named,
        }
    }
}

fn draw(room: Viewport, spread: &Spread, shown: &[Bar], at: usize) -> Canvas {
    let layout = ChartLayout::new(room, shown.len());
    let even = to_f64(total(spread)) / f64::from(spread.expected.max(1));
    let most = shown.iter().map(|bar| to_f64(bar.pod.requests)).fold(even, f64::max);
    let most = shown.iter().filter_map(|bar| bar.band).map(|band| band.1).fold(most, f64::max);
    let x = Scale::linear((0.0, most), (layout.left, layout.right));
    let rows: Vec<f64> = (0_u32..).take(shown.len()).map(|at| layout.top + f64::from(at) * layout.step).collect();
    let floor = rows.last().map_or(layout.top, |row| row + layout.step);
    let mut canvas = Canvas::new(floor + if spread.idle > 0 { 26.0 } else { 8.0 });
    for (Bar { pod, band }, row) in shown.iter().zip(&rows) {
        if let Some((low, high)) = *band {
            canvas.rect("band", (x.at(low), *row), (x.at(high) - x.at(low), layout.step));
        }
        draw_bar(&mut canvas, room, pod, *row, &layout, &x, at);
    }
    let even_x = x.at(even);
    let anchor = if even_x > room.width() * 0.7 { Anchor::End } else { Anchor::Middle };
    canvas.text("event", anchor, (even_x, layout.top - 12.0), &format!("even share {}", grouped(even.round())));
    if room == Viewport::Narrow && layout.named {
        // Names and numbers are between the bars.
        for bar in rows.iter().map(|row| row + layout.inset) {
            canvas.line_over("even", (even_x, bar - 2.0), (even_x, bar + layout.bar + 2.0));
        }
    } else {
        canvas.line_over("even", (even_x, layout.top - 6.0), (even_x, floor));
    }
    if spread.idle > 0 {
        let idle = format!("and {} that never answered", pods::some(spread.idle, "pod"));
        canvas.text("quiet", Anchor::Start, (layout.left, floor + 16.0), &idle);
    }
    for (Bar { pod, .. }, row) in shown.iter().zip(&rows) {
        let share = format!("{:.1}%", pod.share * 100.0);
        let connections = pods::some(pod.connections, "connection");
        let told = format!("{}: {} requests ({share})  ·  {connections}", pod.name, count(pod.requests));
        canvas.place((0.0, *row), (room.width(), layout.step), &told);
    }
    canvas
}

fn draw_bar(canvas: &mut Canvas, room: Viewport, pod: &PodShare, row: f64, layout: &ChartLayout, x: &Scale, at: usize) {
    let end = x.at(to_f64(pod.requests));
    let class = format!("bar {}", legend::class(at));
    canvas.rect(&class, (layout.left, row + layout.inset), (end - layout.left, layout.bar));
    if !layout.named {
        return;
    }
    let (name, share) = (pods::shortened(&pod.name), format!("{:.1}%", pod.share * 100.0));
    let told = format!("{} · {share}", count(pod.requests));
    if room == Viewport::Wide {
        let line = row + layout.inset + 12.0;
        canvas.text("pod", Anchor::End, (layout.left - 10.0, line), &name);
        canvas.text("value", Anchor::End, (room.width() - 4.0, line), &told);
    } else {
        canvas.text("pod", Anchor::Start, (layout.left, row + 13.0), &name);
        canvas.text("value", Anchor::End, (layout.right, row + 13.0), &told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn drawn(band: Option<(f64, f64)>, pods: usize) -> String {
        let mut spread = sample::measurement().spread;
        spread.pods = vec![spread.pods[0].clone(); pods];
        let bars: Vec<Bar> = spread.pods.iter().map(|pod| Bar { pod, band }).collect();
        in_both(|room| draw(room, &spread, &bars, 0), "")
    }

    #[test]
    fn a_band_is_drawn_where_there_is_one() {
        assert_eq!(drawn(Some((80_000.0, 120_000.0)), 2).matches("class=\"band\"").count(), 2 * 2);
        assert!(!drawn(None, 2).contains("class=\"band\""));
    }

    #[test]
    fn many_pods_are_thin_bars_without_names() {
        let (few, many) = (drawn(None, MOST_NAMED), drawn(None, MOST_NAMED + 1));
        assert_eq!(few.matches("class=\"pod\"").count(), 2 * MOST_NAMED);
        assert!(!many.contains("class=\"pod\"") && many.matches("class=\"bar").count() == 2 * (MOST_NAMED + 1));
    }
}
