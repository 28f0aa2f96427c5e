//! Escapes text for a page.

use crate::report::figures::Figure;

/// `text` for use between tags and in quoted attributes: no markup, no control characters, and no characters that
/// change the direction of reading.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(' '),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            character if character.is_control() => escaped.push('\u{fffd}'),
            character => escaped.push(character),
        }
    }
    escaped
}

/// Each text in its own element.
pub(super) fn elements<T: AsRef<str>>(tag: &str, texts: impl IntoIterator<Item = T>) -> String {
    let name = tag.split(' ').next().unwrap_or(tag);
    let element = |text: T| format!("<{tag}>{}</{name}>", escape(text.as_ref()));
    texts.into_iter().map(element).collect()
}

/// Figures as a list of terms.
pub(super) fn terms(figures: &[Figure]) -> String {
    let term = |(name, value): &Figure| {
        let class = if *name == "Errors" && value != "0" { " class=\"bad\"" } else { "" };
        format!("<div{class}><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))
    };
    figures.iter().map(term).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(escape("<a b='c' d=\"e\">&"), "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;");
        assert_eq!(elements("li class=\"a\"", ["<", "b"]), "<li class=\"a\">&lt;</li><li class=\"a\">b</li>");
        assert_eq!(escape("x\u{202e}y\u{0}z\nü"), "x\u{fffd}y\u{fffd}z ü");
    }
}
