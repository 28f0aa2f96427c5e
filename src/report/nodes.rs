//! How requests and connections were distributed over nodes and zones, and what each node used. With one node there is
//! nothing to show but what it used.

use super::number::{bytes, count, to_f64};
use super::pods::{sentences, some};
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_measure::{Measurement, NodeShare, NodeUse, Spread, ZoneShare};

/// The columns of the use of a node.
pub(super) const USE_COLUMNS: [&str; 5] =
    ["Used by", "CPU, components", "CPU, pods", "Memory, components", "Memory, pods"];
/// The longest name of a node or a zone that is not shortened in a terminal.
const LONGEST_NAME: usize = 15;
/// The most nodes that are shown in a terminal and in Markdown.
pub(super) const MOST_ROWS: usize = 20;

/// The columns of nodes. Where no node has a zone, there is no column for it.
pub(super) fn columns(spread: &Spread) -> Vec<&'static str> {
    let zone = has_zones(spread).then_some("Zone");
    let more = ["Pods", "Requests", "Share", "Expected", "Conns", "Entered"];
    ["Node"].into_iter().chain(zone).chain(more).collect()
}

/// Whether a node has a zone.
fn has_zones(spread: &Spread) -> bool {
    spread.nodes.iter().any(|node| node.zone.is_some())
}

/// The nodes in these columns, and below them the zones, unless each of them has only one node.
/// At most `most` nodes are shown.
pub(super) fn rows(spread: &Spread, most: usize) -> Vec<Vec<String>> {
    let nodes = spread.nodes.iter().take(most).map(|node| node_cells(node, spread));
    let left_out = left_out(spread.nodes.len(), most, columns(spread).len());
    let zones = spread.zones.iter().filter(|_| spread.zones.iter().any(|zone| zone.nodes > 1));
    nodes.chain(left_out).chain(zones.map(|zone| zone_cells(zone, spread))).collect()
}

/// A row for those of `all` nodes that are not shown.
fn left_out(all: usize, most: usize, columns: usize) -> Option<Vec<String>> {
    let more = all.checked_sub(most).filter(|more| *more > 0)?;
    Some([format!("… {more} more …")].into_iter().chain(vec![String::new(); columns - 1]).collect())
}

fn node_cells(node: &NodeShare, spread: &Spread) -> Vec<String> {
    let zone = has_zones(spread).then(|| node.zone.clone().unwrap_or_else(|| "-".into()));
    let NodeShare { pods, requests, connections, share, expected_share, entered, .. } = node;
    let figures = figures(spread, *pods, *requests, *connections, (*share, *expected_share), *entered);
    [node.name.clone()].into_iter().chain(zone).chain(figures).collect()
}

fn zone_cells(zone: &ZoneShare, spread: &Spread) -> Vec<String> {
    let ZoneShare { pods, requests, connections, share, expected_share, entered, .. } = zone;
    let figures = figures(spread, *pods, *requests, *connections, (*share, *expected_share), *entered);
    [some(zone.nodes, "node"), zone.name.clone()].into_iter().chain(figures).collect()
}

/// What is not known is a dash.
fn figures(
    spread: &Spread,
    pods: u32,
    requests: u64,
    connections: u64,
    (share, expected): (f64, Option<f64>),
    entered: Option<u64>,
) -> [String; 6] {
    let unknown = || "-".to_owned();
    [
        count(pods.into()),
        if spread.knows_requests() { count(requests) } else { unknown() },
        percent(share),
        expected.map_or_else(unknown, percent),
        count(connections),
        entered_share(spread, entered).map_or_else(unknown, percent),
    ]
}

/// The part of the connections that `entered` the cluster at a node, of those that all nodes counted. There may be more of them
/// than the run opened, because those of the warm-up are among them, and fewer, because kernels forget connections.
pub(super) fn entered_share(spread: &Spread, entered: Option<u64>) -> Option<f64> {
    let all: u64 = spread.nodes.iter().filter_map(|node| node.entered).sum();
    entered.filter(|_| all > 0).map(|entered| to_f64(entered) / to_f64(all))
}

/// "33.3%".
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// What each node used, in the columns above. At most `most` nodes are shown.
pub(super) fn use_rows(run: &Measurement, most: usize) -> Vec<Vec<String>> {
    let nodes = run.node_use.iter().take(most).map(|node| use_cells(node, run.elapsed_seconds));
    nodes.chain(left_out(run.node_use.len(), most, USE_COLUMNS.len())).collect()
}

fn use_cells(node: &NodeUse, elapsed: f64) -> Vec<String> {
    let memory = |used: Option<u64>| used.map_or_else(|| "-".into(), |used| bytes(to_f64(used)));
    vec![
        node.name.clone(),
        processors(node.components_cpu_seconds, elapsed),
        processors(node.pods_cpu_seconds, elapsed),
        memory(node.components_memory_bytes),
        memory(node.pods_memory_bytes),
    ]
}

/// Processor time as the mean number of processors that were used: "0.35".
fn processors(seconds: Option<f64>, elapsed: f64) -> String {
    match seconds {
        Some(seconds) if elapsed > 0.0 => format!("{:.2}", seconds / elapsed),
        _ => "-".to_owned(),
    }
}

/// What the only node of a lab used, in one line; `None` if there are several, or if it is not known.
pub(super) fn only_node(run: &Measurement) -> Option<String> {
    let [node] = run.node_use.as_slice() else { return None };
    let used = |who: &str, cpu: Option<f64>, memory: Option<u64>| {
        let cpu = cpu.map(|_| format!("{} CPUs", processors(cpu, run.elapsed_seconds)));
        let memory = memory.map(|memory| bytes(to_f64(memory)));
        let known: Vec<String> = cpu.into_iter().chain(memory).collect();
        (!known.is_empty()).then(|| format!("{who} {}", known.join(" and ")))
    };
    let parts = [
        used("components", node.components_cpu_seconds, node.components_memory_bytes),
        used("pods", node.pods_cpu_seconds, node.pods_memory_bytes),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The tables for a terminal, with what crossed to another node in one sentence; empty with one node.
pub(super) fn text(run: &Measurement, look: Look) -> String {
    let spread = &run.spread;
    if spread.nodes.is_empty() {
        return String::new();
    }
    let names = 1 + usize::from(has_zones(spread));
    let align = |at| if at < names { Align::Left } else { Align::Right };
    let mut rows = rows(spread, MOST_ROWS);
    rows.iter_mut().flat_map(|row| row.iter_mut().take(names)).for_each(|name| *name = shortened(name));
    let columns = columns(spread).into_iter().enumerate().map(|(at, name)| (name, align(at))).collect();
    let table = TextTable { columns, rows, borders: Borders::Frame }.draw(look);
    let crossed = spread.crossing_sentence();
    let crossed = if crossed.is_empty() { crossed } else { sentences(&[crossed]) };
    format!("{table}{crossed}{}", used(run, look))
}

/// The table of what nodes used; empty if it is not known.
fn used(run: &Measurement, look: Look) -> String {
    if run.node_use.is_empty() {
        return String::new();
    }
    let align = |(at, name): (usize, &&'static str)| (*name, if at == 0 { Align::Left } else { Align::Right });
    let mut rows = use_rows(run, MOST_ROWS);
    rows.iter_mut().filter_map(|row| row.first_mut()).for_each(|name| *name = shortened(name));
    let columns = USE_COLUMNS.iter().enumerate().map(align).collect();
    format!("\n{}", TextTable { columns, rows, borders: Borders::Frame }.draw(look))
}

/// Shortens a name in its middle: names of nodes differ at the start in one cloud and at the end in another.
pub(super) fn shortened(name: &str) -> String {
    shortened_to(name, LONGEST_NAME)
}

/// The same with another limit of its length.
pub(super) fn shortened_to(name: &str, most: usize) -> String {
    let length = name.chars().count();
    if length <= most {
        return name.to_owned();
    }
    let (first, last) = (most / 2, most - most / 2 - 1);
    let first = name.chars().take(first);
    first.chain(['…']).chain(name.chars().skip(length - last)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use console::measure_text_width;

    #[test]
    fn three_nodes_in_two_zones() {
        let report = sample::three_nodes();
        sample::pinned("report_nodes", &text(&report.runs[0], Look::default()));
    }

    #[test]
    fn zones_of_one_node_each_have_no_rows_of_their_own() {
        let mut run = sample::three_nodes().runs.remove(0);
        assert_eq!(rows(&run.spread, 9).len(), 3 + 2);
        run.spread.zones.iter_mut().for_each(|zone| zone.nodes = 1);
        assert_eq!(rows(&run.spread, 9).len(), 3);
    }

    #[test]
    fn fits_80_columns_at_its_widest() {
        let mut run = sample::three_nodes().runs.remove(0);
        for node in &mut run.spread.nodes {
            (node.name, node.zone) = ("n".repeat(253), Some("z".repeat(253)));
            (node.pods, node.requests, node.connections) = (100, 99_999_999, 99_999);
            (node.share, node.expected_share, node.entered) = (1.0, Some(1.0), Some(99_999));
        }
        run.spread.nodes = vec![run.spread.nodes[0].clone(); 63];
        run.node_use[0].name = "n".repeat(253);
        let text = text(&run, Look { colour: false, width: Some(80) });
        let widest = text.lines().map(measure_text_width).max().unwrap();
        assert!(widest <= 80, "{widest} columns:\n{text}");
        assert!(text.contains("… 43 more …"), "{text}");
    }

    #[test]
    fn one_node_has_one_line() {
        let mut run = sample::measurement();
        assert_eq!((text(&run, Look::default()), only_node(&run)), (String::new(), None));
        run.node_use = vec![NodeUse {
            name: "lab-0".into(),
            components_cpu_seconds: Some(0.7),
            pods_cpu_seconds: Some(1.9),
            components_memory_bytes: Some(450_000_000),
            pods_memory_bytes: None,
        }];
        assert_eq!(only_node(&run).unwrap(), "components 0.35 CPUs and 450 MB, pods 0.95 CPUs");
        assert_eq!(text(&run, Look::default()), "");
        assert_eq!(only_node(&sample::three_nodes().runs[0]), None);
    }

    #[test]
    fn without_zones_there_is_no_column_for_them() {
        let mut run = sample::three_nodes().runs.remove(0);
        run.spread.nodes.iter_mut().for_each(|node| node.zone = None);
        run.spread.zones.clear();
        assert!(!columns(&run.spread).contains(&"Zone"));
        assert!(rows(&run.spread, 2).iter().all(|row| row.len() == columns(&run.spread).len()));
    }
}
