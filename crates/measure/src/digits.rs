//! Numbers as people read them: the only place that groups digits.

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

/// A count with a comma before every three digits: "12,543".
#[must_use]
pub fn grouped_count(count: u64) -> String {
    grouped_digits(&count.to_string())
}

/// "1 pod", "12 pods".
#[must_use]
pub fn some(count: impl Into<u64>, what: &str) -> String {
    let count: u64 = count.into();
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let counts = [0, 999, 1_000, 123_456, 1_234_567, u64::MAX];
        let texts = ["0", "999", "1,000", "123,456", "1,234,567", "18,446,744,073,709,551,615"];
        assert_eq!(counts.map(grouped_count), texts);
    }
}
