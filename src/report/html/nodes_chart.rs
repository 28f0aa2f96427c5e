//! Requests of each node: bars, grouped by zone, with the share that each node should have, and what nodes used.

use std::fmt::Write;

use super::canvas::{Anchor, Canvas, Viewport, in_both};
use super::data_table::{folded, table};
use super::legend;
use super::markup::escape;
use super::scale::Scale;
use crate::report::nodes::{self, percent};
use crate::report::number::count;
use crate::report::pods::{shortened, some};
use evenkeel_measure::{Measurement, NodeShare, Spread};

/// The distance between bars in a wide chart.
const STEP: f64 = 28.0;
/// The height of the name of a zone.
const ZONE: f64 = 26.0;

/// The panels and their tables; empty with one node. At most `most` nodes are drawn for each run.
pub(super) fn section(runs: &[Measurement], names: &[String], most: usize) -> String {
    let mut body = String::new();
    for (at, (run, name)) in runs.iter().zip(names).enumerate() {
        if !run.spread.nodes.is_empty() {
            let _ = write!(
                body,
                "<figure><figcaption>{}</figcaption>{}</figure>",
                escape(name),
                panel(run, at, name, most)
            );
        }
    }
    if body.is_empty() {
        return body;
    }
    let expected = runs.iter().flat_map(|run| &run.spread.nodes).any(|node| node.expected_share.is_some());
    let expected = if expected {
        " The dashed line is the share that a node should have: the sum of those of its pods."
    } else {
        ""
    };
    format!(
        "<section><h2>Requests per node</h2><p>What the pods of each node served, by zone.{expected}</p>{body}</section>"
    )
}

fn panel(run: &Measurement, at: usize, name: &str, most: usize) -> String {
    let spread = &run.spread;
    let crossed = spread.crossing_sentence();
    let told = if crossed.is_empty() { crossed } else { format!("<p>{}</p>", escape(&crossed)) };
    let label = format!("Share of each node with {name}. The table below has the data.");
    let chart = in_both(|room| draw(room, spread, at, most), &label);
    let table_of_nodes = table(&format!("Nodes, {name}"), &nodes::columns(spread), nodes::rows(spread, most));
    let used = if run.node_use.is_empty() {
        String::new()
    } else {
        table(
            &format!("Processors and memory that nodes used, {name}"),
            &nodes::USE_COLUMNS,
            nodes::use_rows(run, most),
        )
    };
    format!("{chart}{told}{}{used}", folded("The same as a table", &table_of_nodes))
}

/// A row of the chart.
enum Row<'a> {
    Zone(&'a str),
    Node(&'a NodeShare),
}

/// Nodes are in the order of their zones.
fn rows(spread: &Spread, most: usize) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let mut zone = None;
    for node in spread.nodes.iter().take(most) {
        if let Some(of) = node.zone.as_deref().filter(|of| zone != Some(*of)) {
            rows.push(Row::Zone(of));
            zone = Some(of);
        }
        rows.push(Row::Node(node));
    }
    rows
}

fn draw(room: Viewport, spread: &Spread, at: usize, most: usize) -> Canvas {
    let rows = rows(spread, most);
    let step = room.pick(STEP, 40.0);
    let height = |row: &Row| if matches!(row, Row::Zone(_)) { ZONE } else { step };
    let total: f64 = rows.iter().map(height).sum();
    let left_out = spread.nodes.len().saturating_sub(most);
    let mut canvas = Canvas::new(total + if left_out > 0 { 34.0 } else { 12.0 });
    let (left, right) = (room.pick(236.0, 4.0), room.width() - room.pick(190.0, 4.0));
    let of = |node: &NodeShare| node.share.max(node.expected_share.unwrap_or(0.0));
    let highest = spread.nodes.iter().map(of).fold(0.0, f64::max);
    let x = Scale::linear((0.0, highest), (left, right));
    let mut top = 4.0;
    for row in &rows {
        match row {
            Row::Zone(zone) => {
                let zone = shortened(zone);
                canvas.text("label", Anchor::Start, (room.pick(8.0, left), top + 18.0), &zone);
                canvas.line("grid", (room.pick(8.0, left), top + 23.0), (room.width() - 4.0, top + 23.0));
            }
            Row::Node(node) => draw_node(&mut canvas, room, (spread, node), top, &x, (left, right), at),
        }
        top += height(row);
    }
    if left_out > 0 {
        let more = format!("and {} more", some(u32::try_from(left_out).unwrap_or(u32::MAX), "node"));
        canvas.text("quiet", Anchor::Start, (left, top + 20.0), &more);
    }
    canvas
}

fn draw_node(
    canvas: &mut Canvas,
    room: Viewport,
    (spread, node): (&Spread, &NodeShare),
    top: f64,
    x: &Scale,
    (left, right): (f64, f64),
    at: usize,
) {
    let (bar, thick) = (top + room.pick(7.0, 22.0), room.pick(16.0, 12.0));
    canvas.rect(&format!("bar {}", legend::class(at)), (left, bar), (x.at(node.share) - left, thick));
    if let Some(expected) = node.expected_share {
        // In a narrow chart, names and numbers are between the bars.
        let beyond = room.pick(3.0, 1.0);
        canvas.line_over("even", (x.at(expected), bar - beyond), (x.at(expected), bar + thick + beyond));
    }
    let (name, pods) = (shortened(&node.name), some(node.pods, "pod"));
    let (what, number) =
        if spread.knows_requests() { ("requests", node.requests) } else { ("connections", node.connections) };
    let told = format!("{} · {}", count(number), percent(node.share));
    if room == Viewport::Wide {
        let line = bar + 12.0;
        canvas.text("pod", Anchor::End, (left - 10.0, line), &format!("{name} · {pods}"));
        canvas.text("value", Anchor::End, (room.width() - 4.0, line), &told);
    } else {
        canvas.text("pod", Anchor::Start, (left, bar - 6.0), &format!("{name} · {pods}"));
        canvas.text("value", Anchor::End, (right, bar - 6.0), &told);
    }
    if room == Viewport::Narrow {
        return;
    }
    let expected = node.expected_share.map(|share| format!(", {} expected", percent(share))).unwrap_or_default();
    let entered = nodes::entered_share(spread, node.entered);
    let entered = entered.map(|share| format!("  ·  {} of the connections entered here", percent(share)));
    let entered = entered.unwrap_or_default();
    let share = percent(node.share);
    let tip = format!("{}: {pods}, {} {what} ({share}{expected}){entered}", node.name, count(number));
    canvas.place((0.0, top), (room.width(), STEP), &tip);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn zones_have_a_heading_and_nodes_a_bar_and_an_expected_share() {
        let runs = sample::three_nodes().runs;
        let section = section(&runs, &["5 pods".into()], 9);
        let (wide, _) = section.split_once("<svg class=\"narrow\"").unwrap();
        for (shape, wanted) in [("class=\"bar ", 3), ("class=\"even\"", 3), (">zone-", 2), ("class=\"place\"", 3)] {
            assert_eq!(wide.matches(shape).count(), wanted, "{shape}");
        }
        assert!(wide.find(">zone-a<").unwrap() < wide.find(">zone-b<").unwrap());
        assert!(section.contains("of the connections crossed to another node"), "{section}");
        assert!(section.contains("evenkeel-1: 2 pods") && section.contains("40.0% expected"), "{section}");
        assert!(section.contains("<th scope=\"row\">2 nodes</th><td>zone-a</td>"));
    }

    #[test]
    fn the_page_does_not_grow_with_the_number_of_nodes() {
        let mut run = sample::three_nodes().runs.remove(0);
        run.spread.nodes = vec![run.spread.nodes[0].clone(); 9 + 5];
        let section = section(&[run], &["5 pods".into()], 9);
        assert!(section.contains("and 5 nodes more"), "{section}");
        assert_eq!(section.matches("class=\"bar ").count(), 2 * 9);
    }

    #[test]
    fn one_node_has_no_section() {
        assert_eq!(section(&sample::report().runs, &["a".into(), "b".into()], 9), "");
    }
}
