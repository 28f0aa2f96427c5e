//! The agents that sent the load, one table for each run.

use super::data_table::table;
use super::markup::{elements, escape};
use crate::report::agents;
use evenkeel_measure::Measurement;

/// The tables, at most `most` agents in each, and those that did not do their part; empty if this machine sent the load.
pub(super) fn section(runs: &[Measurement], names: &[String], most: usize) -> String {
    let sent_by_agents = runs.iter().zip(names).filter(|(run, _)| !run.agents.is_empty());
    let parts: Vec<String> = sent_by_agents
        .map(|(run, name)| {
            let table = table(&format!("Agents, {name}"), &agents::COLUMNS, agents::rows(run, most));
            let troubles = agents::troubles(run, most);
            let troubles = if troubles.is_empty() {
                String::new()
            } else {
                format!("<ul class=\"found\">{}</ul>", elements("li", troubles))
            };
            format!("<h3>{}</h3>{table}{troubles}", escape(name))
        })
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    let about = "The pods that sent the load, how busy the busiest thread of each was, and by how much its clock is ahead of \
                 this machine's. “(limit)” means that the agent was the limit, not the Service.";
    format!("<section><h2>Agents</h2><p>{about}</p>{}</section>", parts.concat())
}
