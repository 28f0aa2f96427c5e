//! The frame of the page: a template with named placeholders.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page with `title` (text, not markup) and `body` (markup).
pub(super) fn page(title: &str, body: &str) -> String {
    let (style, script) = (hash(STYLE), hash(SCRIPT));
    fill(
        TEMPLATE,
        &[
            ("title", &super::markup::escape(title)),
            ("body", body),
            ("style", STYLE),
            ("script", SCRIPT),
            ("style-hash", &style),
            ("script-hash", &script),
        ],
    )
}

/// The hash of the page's own style or script, the only ones that its policy allows.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// Replaces placeholders, which look like `{{name}}`. Values are not searched for placeholders: a pod may be called
/// `{{body}}`.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        filled += values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
        filled += rest;
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_searched_for_placeholders() {
        assert_eq!(fill("a {{x}} b {{y}}", &[("x", "{{y}}"), ("y", "1")]), "a {{y}} b 1");
    }

    #[test]
    fn every_placeholder_is_replaced() {
        let page = page("<title>", "<p>body</p>");
        assert!(page.contains("<title>&lt;title&gt;</title>") && page.contains("<p>body</p>"));
        assert!(page.contains(STYLE) && page.contains(SCRIPT) && !page.contains("{{"), "{page}");
    }

    #[test]
    fn style_and_script_stay_whole_in_their_tags() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }
}
