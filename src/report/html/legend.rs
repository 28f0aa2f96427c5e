//! The legend: colours that colour-blind readers can distinguish, combined with dashes.

use super::markup::escape;

/// The number of colours in the style sheet.
const COLOURS: usize = 6;
/// The number of dashes in the style sheet.
const DASHES: usize = 4;

/// The classes that give run `at` (from 0) its colour and dash.
pub(super) fn class(at: usize) -> String {
    // The dash changes when the colours repeat, so that 12 runs look different.
    format!("s{} d{}", at % COLOURS, (at + at / COLOURS) % DASHES)
}

/// A sample of the line of run `at`.
pub(super) fn swatch(at: usize) -> String {
    let class = class(at);
    format!(
        r#"<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true"><path class="run {class}" d="M1 4H25"/></svg>"#
    )
}

/// The names of all runs; empty for a single run.
pub(super) fn legend(names: &[String]) -> String {
    if names.len() < 2 {
        return String::new();
    }
    let item = |(at, name): (usize, &String)| format!("<li>{}{}</li>", swatch(at), escape(name));
    format!("<ul class=\"legend\">{}</ul>", names.iter().enumerate().map(item).collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn twelve_runs_look_different() {
        assert_eq!((0..12).map(super::class).collect::<BTreeSet<_>>().len(), 12);
    }
}
