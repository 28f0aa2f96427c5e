//! Which line is whose: colours that colour-blind readers can tell apart, and dashes beside them.

use super::markup::escape;

/// Colours before they begin again; as many as the style sheet has.
const COLOURS: usize = 6;
/// Dashes before they begin again.
const DASHES: usize = 4;

/// The classes that give run `at` (from 0) its colour and dash.
pub(super) fn class(at: usize) -> String {
    // The dash moves on when the colours begin again, so that 12 runs look different.
    format!("s{} d{}", at % COLOURS, (at + at / COLOURS) % DASHES)
}

/// The short line that stands for run `at` beside its name.
pub(super) fn swatch(at: usize) -> String {
    let class = class(at);
    format!(
        r#"<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true"><path class="run {class}" d="M1 4H25"/></svg>"#
    )
}

/// The names of all runs; nothing for a single one.
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
