//! The percentiles that the table of autocannon leaves out, in a small table below it.

use super::figures;
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_measure::{Latency, Measurement};

/// The table; empty if nothing was answered.
pub(super) fn text(run: &Measurement, look: Look) -> String {
    let sent = run.uncorrected_latency_us.as_ref().map(|latency| ("As sent", latency));
    let of = std::iter::once(("Latency", &run.latency_us)).chain(sent);
    let of = of.chain(run.messages.as_ref().map(|messages| ("First message", &messages.first_us)));
    let rows: Vec<Vec<String>> = of.filter(|(_, latency)| latency.count > 0).map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = figures::tail(&run.latency_us).into_iter().map(|(name, _)| name);
    let columns = std::iter::once("Stat").chain(names).map(|name| (name, Align::Left)).collect();
    TextTable { columns, rows, borders: Borders::Rows }.draw(look)
}

fn row((name, latency): (&str, &Latency)) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(figures::tail(latency).into_iter().map(|(_, value)| value)).collect()
}
