//! Numbers as people read them.

/// Digits with a comma before every three from the right: "1,234,567".
#[must_use]
pub fn grouped_digits(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// "1 pod", "12 pods".
#[must_use]
pub fn some(count: impl Into<u64>, what: &str) -> String {
    let count: u64 = count.into();
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
