//! The most important numbers, on a card for each run.

use super::legend;
use super::markup::{escape, terms};
use crate::report::figures::Figure;
use crate::report::number::{count, grouped, milliseconds};
use crate::report::{pods, words};
use evenkeel_measure::Measurement;

/// A card for each run.
pub(super) fn cards(runs: &[Measurement], names: &[String]) -> String {
    let first = runs.first().map_or(0.0, |run| run.requests_per_second.average);
    let cards = runs.iter().zip(names).enumerate().map(|(at, (run, name))| {
        let several = runs.len() > 1;
        let swatch = if several { legend::swatch(at) } else { String::new() };
        let rate = run.requests_per_second.average;
        let ratio = if several { format!(" <span>{}</span>", pods::ratio(rate, first)) } else { String::new() };
        let rate = grouped(rate.round());
        let figures = terms(&figures(run));
        let name = escape(name);
        format!(
            "<article class=\"card\"><h2>{swatch}{name}</h2><p class=\"big\">{rate}{ratio}</p><p class=\"soft\">requests a \
             second</p><dl>{figures}</dl></article>"
        )
    });
    format!("<div class=\"cards\">{}</div>", cards.collect::<String>())
}

/// Each line here is a line on each card.
fn figures(run: &Measurement) -> Vec<Figure> {
    let mut figures = vec![
        ("Latency, 50%", milliseconds(run.latency_us.p50)),
        ("99%", milliseconds(run.latency_us.p99)),
        ("99.99%", milliseconds(run.latency_us.p99_99)),
        ("Errors", count(words::went_wrong(run))),
    ];
    if run.spread.knows_requests() {
        figures.push(("Pods that answered", format!("{} of {}", run.spread.pods.len(), run.spread.expected)));
        figures.push(("Busiest pod", format!("{:.2} × its share", run.spread.busiest)));
    }
    if let Some(http2) = &run.http2 {
        figures.push(("HTTP/2 streams at the same time", count(http2.streams)));
    }
    if let Some(tls) = &run.tls_handshakes {
        figures.push(("TLS handshake, 50%", milliseconds(tls.time_us.p50)));
        figures.push(("TLS handshake, 99%", milliseconds(tls.time_us.p99)));
    }
    figures
}
