//! What was counted for each of several requests.

use super::number::{count, milliseconds};
use super::text_table::{Align, Borders, Look, TextTable};
use evenkeel_measure::{Measurement, RequestResult};

/// The columns of a request.
pub(super) const COLUMNS: [&str; 5] = ["Request", "Answered", "Failed", "50%", "99%"];
/// The longest name that is not shortened in a terminal.
const LONGEST_NAME: usize = 28;

/// A request in these columns.
pub(super) fn cells(result: &RequestResult) -> Vec<String> {
    let [half, most] = [result.latency_us.p50, result.latency_us.p99].map(milliseconds);
    vec![result.request.clone(), count(result.answered), count(result.failed), half, most]
}

/// Shortens a name at its end: it begins with the method.
fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

/// The table of requests; empty if there is one, or too many.
pub(super) fn text(run: &Measurement, look: Look) -> String {
    if run.by_request.is_empty() {
        return String::new();
    }
    let row = |result: &RequestResult| {
        let mut cells = cells(result);
        cells[0] = shortened(&result.request);
        cells
    };
    let align = |name: &'static str| (name, if name == COLUMNS[0] { Align::Left } else { Align::Right });
    let columns = COLUMNS.into_iter().map(align).collect();
    TextTable { columns, rows: run.by_request.iter().map(row).collect(), borders: Borders::Frame }.draw(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use evenkeel_measure::PodLatency;

    fn result(request: &str, answered: u64) -> RequestResult {
        let latency_us = PodLatency { p50: 1_234, p99: 99_999_999, max: 99_999_999 };
        RequestResult { request: request.into(), answered, failed: 99_999_999, latency_us }
    }

    #[test]
    fn several_requests_have_a_table_that_fits_80_columns() {
        let mut run = sample::report().runs.swap_remove(0);
        assert_eq!(text(&run, Look::default()), "");
        run.by_request = vec![result("GET /", 5), result(&format!("POST /{}", "x".repeat(200)), 99_999_999)];
        let text = text(&run, Look::default());
        assert!(text.contains("│ GET / ") && text.contains("│ POST /xxx") && text.contains("99,999,999 │"), "{text}");
        let widest = text.lines().map(console::measure_text_width).max().unwrap();
        assert!(widest <= 80, "{widest} columns:\n{text}");
    }
}
