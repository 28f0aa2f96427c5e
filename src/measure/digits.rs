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
