//! The agents that sent the load: what each did, how busy it was, and how exactly its clock is known.

use super::nodes::{percent, shortened_to};
use super::number::{count, milliseconds};
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_measure::{Agent, Measurement, some};

/// The columns of agents.
pub(super) const COLUMNS: [&str; 7] = ["Agent", "Node", "Conns", "Requests", "Errors", "CPU", "Clock"];
/// The most agents that are shown in a terminal and in Markdown.
pub(super) const MOST_ROWS: usize = 20;
/// How many of the columns are names.
const NAMES: usize = 2;
/// The column of processor time.
const CPU: usize = 5;
/// What marks an agent that was the limit.
const BOUND: &str = " (limit)";
/// The width of a terminal.
const WIDTH: usize = 80;
/// The blanks and the line that each column has in a frame.
const BETWEEN: usize = 3;
/// The name of a node is not shortened to less than this.
const SHORTEST_NODE: usize = 6;

/// The agents in these columns; at most `most` of them, and first those that did not do their part.
pub(super) fn rows(run: &Measurement, most: usize) -> Vec<Vec<String>> {
    let mut agents: Vec<&Agent> = run.agents.iter().collect();
    agents.sort_by_key(|agent| agent.trouble.is_none());
    let shown = agents.iter().take(most).map(|agent| cells(agent));
    let more = agents.len().saturating_sub(most);
    let left_out =
        (more > 0).then(|| [vec![format!("… {more} more …")], vec![String::new(); COLUMNS.len() - 1]].concat());
    shown.chain(left_out).collect()
}

fn cells(agent: &Agent) -> Vec<String> {
    let Agent { name, node, connections, requests, errors, busiest, generator_bound, .. } = agent;
    let bound = if *generator_bound { BOUND } else { "" };
    vec![
        name.clone(),
        node.clone().unwrap_or_else(|| "-".into()),
        count(u64::from(*connections)),
        count(*requests),
        count(*errors),
        format!("{}{bound}", percent(*busiest)),
        clock(agent),
    ]
}

/// "+1.2 ± 0.3 ms"; a dash if it was not measured.
fn clock(agent: &Agent) -> String {
    match (agent.clock_offset_us, agent.clock_error_us) {
        (Some(offset), Some(error)) => {
            let sign = if offset < 0 { '-' } else { '+' };
            let (offset, error) = (milliseconds(offset.unsigned_abs()), milliseconds(error));
            format!("{sign}{} ± {error}", offset.trim_end_matches(" ms"))
        }
        _ => "-".into(),
    }
}

/// One sentence for each agent that did not do its part, at most `most` of them, after one that says what follows from it.
pub(super) fn troubles(run: &Measurement, most: usize) -> Vec<String> {
    let mut troubles: Vec<String> =
        run.agents.iter().filter_map(|agent| Some(format!("{}: {}", agent.name, agent.trouble.as_ref()?))).collect();
    if troubles.is_empty() {
        return troubles;
    }
    let (some, all) = (troubles.len() as u64, some(run.agents.len() as u64, "agent"));
    let first = format!("partial: {some} of {all} did not do their part, and the figures are those of what was sent");
    let more = troubles.len().saturating_sub(most);
    troubles.truncate(most);
    let left_out = (more > 0).then(|| format!("and {more} more"));
    std::iter::once(first).chain(troubles).chain(left_out).collect()
}

/// The table for a terminal, which fits 80 columns unless a number is very large; empty if this machine sent the load.
pub(super) fn text(run: &Measurement, look: Look) -> String {
    if run.agents.is_empty() {
        return String::new();
    }
    let align = |at| if at < NAMES { Align::Left } else { Align::Right };
    let mut rows = rows(run, MOST_ROWS);
    for row in &mut rows {
        let name = own_part(&row[0]).to_owned();
        row[0] = name;
        row[CPU] = row[CPU].replace(BOUND, "*");
    }
    let room = WIDTH.saturating_sub(width_without_nodes(&rows)).max(SHORTEST_NODE);
    for row in &mut rows {
        row[1] = shortened_to(&row[1], room);
    }
    let is_bound = rows.iter().any(|row| row[CPU].ends_with('*'));
    let columns = COLUMNS.into_iter().enumerate().map(|(at, name)| (name, align(at))).collect();
    let table = TextTable { columns, rows, borders: Borders::Frame }.draw(look);
    if is_bound { table + "* This agent was the limit, not the Service.\n" } else { table }
}

/// The part of a pod's name that differs between the pods of a Job: its index and its random end.
fn own_part(name: &str) -> &str {
    name.rmatch_indices('-').nth(1).and_then(|(at, _)| name.get(at + 1..)).unwrap_or(name)
}

/// The width of the table without what the names of nodes take.
fn width_without_nodes(rows: &[Vec<String>]) -> usize {
    let widest = |at: usize| {
        let cells = rows.iter().map(|row| row[at].as_str());
        cells.chain([COLUMNS[at]]).map(console::measure_text_width).max().unwrap_or_default()
    };
    let columns: usize = (0..COLUMNS.len()).filter(|at| *at != 1).map(widest).sum();
    columns + COLUMNS.len() * BETWEEN + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use console::measure_text_width;

    fn run(agents: usize) -> Measurement {
        let agent = |number| Agent {
            name: format!("evenkeel-agents-0123456789-{number}-abcde"),
            node: Some("a-node-with-a-long-name".into()),
            connections: 9_999,
            requests: 99_999_999,
            errors: 99_999,
            busiest: 0.951,
            generator_bound: true,
            clock_offset_us: Some(-999_900),
            clock_error_us: Some(1_200),
            ..Agent::default()
        };
        sample::measurement().sent_by((0..agents).map(agent).collect())
    }

    #[test]
    fn an_agent_with_a_trouble_comes_first_and_is_named() {
        let mut run = run(30);
        run.agents[29].trouble = Some("it was killed (OOMKilled)".into());
        let rows = rows(&run, 3);
        assert!(rows[0][0].contains("-29-") && rows[3][0] == "… 27 more …", "{rows:?}");
        assert_eq!(rows[0][5..], ["95.1% (limit)", "-1000 ± 1.2 ms"]);
        let troubles = troubles(&run, 1);
        assert!(troubles[0].starts_with("partial: 1 of 30 agents did not do their part"), "{troubles:?}");
        assert!(troubles[1].ends_with("-29-abcde: it was killed (OOMKilled)"), "{troubles:?}");
        assert!(run.is_partial());
        run.agents[0].trouble = Some("it was evicted".into());
        assert_eq!(super::troubles(&run, 1)[2], "and 1 more");
    }

    #[test]
    fn without_agents_there_is_nothing_to_show() {
        let run = run(0);
        assert_eq!((text(&run, Look::default()), troubles(&run, 1)), (String::new(), Vec::new()));
    }

    #[test]
    fn the_table_fits_a_terminal() {
        let text = text(&run(2), Look::default());
        assert!(text.lines().all(|line| measure_text_width(line) <= WIDTH), "{text}");
        assert!(
            text.contains("│ 1-abcde │") && text.contains(" 95.1%* │") && text.contains("\n* This agent"),
            "{text}"
        );
        let short = ["9", "a-b", "lab-0-1-x"].map(own_part);
        assert_eq!(short, ["9", "a-b", "1-x"]);
    }
}
