//! Which status codes are successes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::LoadError;

/// Status codes have three digits.
const CODES: usize = 1000;
const BITS: usize = u64::BITS as usize;

/// A set of status codes, written as a list of classes, codes and ranges: `2xx,304,400-404`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StatusSet {
    /// One bit for each code, so that the cost of a lookup does not depend on the set.
    bits: [u64; CODES.div_ceil(BITS)],
    /// As it was written.
    text: String,
}

impl StatusSet {
    /// Whether `status` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        let status = usize::from(status);
        self.bits.get(status / BITS).is_some_and(|word| word >> (status % BITS) & 1 == 1)
    }

    fn insert(&mut self, from: usize, to: usize) {
        for code in from..=to {
            self.bits[code / BITS] |= 1 << (code % BITS);
        }
    }
}

impl Default for StatusSet {
    /// The class 2xx.
    fn default() -> Self {
        let mut set = Self { bits: [0; CODES.div_ceil(BITS)], text: "2xx".into() };
        set.insert(200, 299);
        set
    }
}

impl FromStr for StatusSet {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let bad = |expected| LoadError::InvalidValue { expected };
        let mut set = Self { bits: [0; CODES.div_ceil(BITS)], text: String::new() };
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        for part in &parts {
            let (from, to) = range(part)
                .ok_or_else(|| bad("classes, codes or ranges separated by commas, such as 2xx,304,400-404"))?;
            if from > to {
                return Err(bad("a range that begins with its lower code"));
            }
            set.insert(from, to);
        }
        set.text = parts.join(",").to_ascii_lowercase();
        Ok(set)
    }
}

impl TryFrom<String> for StatusSet {
    type Error = LoadError;

    fn try_from(text: String) -> Result<Self, LoadError> {
        text.parse()
    }
}

impl From<StatusSet> for String {
    fn from(set: StatusSet) -> Self {
        set.text
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StatusSet({})", self.text)
    }
}

/// The first and the last code of "2xx", "304" or "400-404".
fn range(part: &str) -> Option<(usize, usize)> {
    if let Some((from, to)) = part.split_once('-') {
        return Some((code(from.trim())?, code(to.trim())?));
    }
    if let [class @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] = part.as_bytes() {
        let first = usize::from(class - b'0') * 100;
        return Some((first, first + 99));
    }
    code(part).map(|code| (code, code))
}

fn code(text: &str) -> Option<usize> {
    let is_code = matches!(text.as_bytes(), [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9']);
    is_code.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_codes_and_ranges() {
        let set: StatusSet = "2XX, 304,400-404".parse().unwrap();
        let codes: Vec<u16> = (0..=u16::MAX).filter(|code| set.contains(*code)).collect();
        assert_eq!(codes, (200..300).chain([304]).chain(400..405).collect::<Vec<_>>());
        assert_eq!(set.to_string(), "2xx,304,400-404");
        assert_eq!("2xx".parse::<StatusSet>().unwrap(), StatusSet::default());
        assert!("999".parse::<StatusSet>().unwrap().contains(999));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", ",", "2xx,", "2x", "xxx", "0xx", "99", "1000", "+20", "é00", "400-", "404-400", "4xx-5xx", "ok"]
        {
            let error = bad.parse::<StatusSet>().unwrap_err();
            assert!(matches!(error, LoadError::InvalidValue { .. }), "{bad:?}");
        }
    }
}
