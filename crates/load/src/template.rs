//! Texts with placeholders, such as `/orders/{{uuid}}`, which get a new value in each request.

use std::io::Write;
use std::ops::RangeInclusive;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use super::error::LoadError;

const OPEN: &[u8] = b"{{";
const CLOSE: &[u8] = b"}}";
/// What is between the braces of a random number.
const RANDOM: &str = "random:";
const EXPECTED: &str =
    "{{uuid}}, {{sequence}} or {{random:1..1000}} where a value is to be inserted, and {{{{ for the characters {{";

/// A text with placeholders. `{{uuid}}` and `{{sequence}}` have one value in all texts of a request; each
/// `{{random:1..1000}}` has its own. `{{{{` stands for the characters `{{`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Part {
    #[serde(with = "crate::wire::bytes")]
    Text(Vec<u8>),
    Uuid,
    Sequence,
    Random(RangeInclusive<u64>),
    /// The length of the request's body. There is no placeholder for it.
    BodyLength,
}

impl Template {
    /// A text in which nothing is a placeholder.
    #[must_use]
    pub fn literal(text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] } }
    }

    /// A text with placeholders between `{{` and `}}`.
    ///
    /// # Errors
    /// [`LoadError::InvalidValue`] if it has others than there are.
    pub fn parse(text: &[u8]) -> Result<Self, LoadError> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some(at) = find(rest, OPEN) {
            template.push_text(&rest[..at]);
            rest = &rest[at + OPEN.len()..];
            if let Some(after) = rest.strip_prefix(OPEN) {
                template.push_text(OPEN);
                rest = after;
                continue;
            }
            let invalid = || LoadError::InvalidValue { expected: EXPECTED };
            let end = find(rest, CLOSE).ok_or_else(invalid)?;
            template.parts.push(placeholder(&rest[..end]).ok_or_else(invalid)?);
            rest = &rest[end + CLOSE.len()..];
        }
        template.push_text(rest);
        Ok(template)
    }

    /// The length of the request's body, in decimal.
    pub(super) fn body_length() -> Self {
        Self { parts: vec![Part::BodyLength] }
    }

    /// The text, if it is the same in every request.
    pub(super) fn as_literal(&self) -> Option<&[u8]> {
        match &self.parts[..] {
            [] => Some(&[]),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether it is the empty text.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text as it was parsed, for people.
    pub(super) fn source(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => String::from_utf8_lossy(text).replace("{{", "{{{{"),
            Part::Uuid => "{{uuid}}".into(),
            Part::Sequence => "{{sequence}}".into(),
            Part::Random(range) => format!("{{{{{RANDOM}{}..{}}}}}", range.start(), range.end()),
            Part::BodyLength => String::new(),
        };
        self.parts.iter().map(part).collect()
    }

    /// Adds a text at the end.
    pub(super) fn push_text(&mut self, text: &[u8]) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.extend_from_slice(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Adds another text at the end.
    pub(super) fn push(&mut self, other: &Self) {
        for part in &other.parts {
            match part {
                Part::Text(text) => self.push_text(text),
                part => self.parts.push(part.clone()),
            }
        }
    }

    /// Appends the text with the values of one request.
    pub(super) fn render(&self, values: &mut Values<'_>, output: &mut Vec<u8>) {
        for part in &self.parts {
            // Writing into memory cannot fail.
            let _ = match part {
                Part::Text(text) => output.write_all(text),
                Part::Uuid => write_uuid(values.uuid(), output),
                Part::Sequence => write!(output, "{}", values.sequence),
                Part::Random(range) => write!(output, "{}", values.random.u64(range.clone())),
                Part::BodyLength => write!(output, "{}", values.body_length),
            };
        }
    }
}

/// The values of one request.
pub(super) struct Values<'a> {
    /// The number of the request, which no other request of the run has.
    pub(super) sequence: u64,
    pub(super) random: &'a mut Rng,
    /// Where identifiers come from. It is not repeatable, because another run must not have the same ones.
    pub(super) unique: &'a mut Rng,
    pub(super) body_length: usize,
    uuid: Option<u128>,
}

impl<'a> Values<'a> {
    pub(super) fn new(sequence: u64, random: &'a mut Rng, unique: &'a mut Rng) -> Self {
        Self { sequence, random, unique, body_length: 0, uuid: None }
    }

    fn uuid(&mut self) -> u128 {
        *self.uuid.get_or_insert_with(|| self.unique.u128(..))
    }
}

/// Writes a UUID of version 4 with these random bits (RFC 9562, section 5.4).
fn write_uuid(bits: u128, output: &mut Vec<u8>) -> std::io::Result<()> {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let group = |shift: u32, digits: u32| (bits >> shift) & ((1 << (4 * digits)) - 1);
    write!(
        output,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        group(96, 8),
        group(80, 4),
        group(64, 4),
        group(48, 4),
        group(0, 12)
    )
}

/// What is between the braces.
fn placeholder(text: &[u8]) -> Option<Part> {
    let text = std::str::from_utf8(text).ok()?.trim();
    match text {
        "uuid" => Some(Part::Uuid),
        "sequence" => Some(Part::Sequence),
        _ => {
            let (from, to) = text.strip_prefix(RANDOM)?.split_once("..")?;
            let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
            let range = number(from)?..=number(to)?;
            (!range.is_empty()).then_some(Part::Random(range))
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, sequence: u64) -> String {
        let (mut random, mut unique) = (Rng::with_seed(1), Rng::with_seed(2));
        let mut values = Values::new(sequence, &mut random, &mut unique);
        let mut output = Vec::new();
        Template::parse(text.as_bytes()).unwrap().render(&mut values, &mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn placeholders_are_replaced() {
        assert_eq!(rendered("", 0), "");
        assert_eq!(rendered("/a/{{sequence}}?b={{ sequence }}", 17), "/a/17?b=17");
        assert_eq!(rendered("{{random:5..5}}{{random:5..5}}", 0), "55");
        let many = rendered(&"{{random:1..3}}".repeat(100), 0);
        assert!(["1", "2", "3"].iter().all(|digit| many.contains(digit)) && many.len() == 100, "{many}");
        assert_eq!(rendered(&format!("{{{{random:{0}..{0}}}}}", u64::MAX), 0), u64::MAX.to_string());
    }

    #[test]
    fn a_uuid_is_of_version_4_and_the_same_in_one_request() {
        let two = rendered("{{uuid}} {{uuid}}", 0);
        let (one, other) = two.split_once(' ').unwrap();
        assert_eq!(one, other);
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(one.bytes().all(|byte| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{one}");
        assert_eq!(&one[14..15], "4");
        assert!("89ab".contains(&one[19..20]), "{one}");
    }

    #[test]
    fn braces_can_be_literal() {
        assert_eq!(rendered("{{{{", 0), "{{");
        assert_eq!(rendered("{{{{sequence}}", 7), "{{sequence}}");
        assert_eq!(rendered("{{{{{{sequence}}}}", 7), "{{7}}");
        for same in ["{", "}}", "{a}", r#"{"a":{"b":1}}"#] {
            assert_eq!(rendered(same, 0), same);
        }
    }

    #[test]
    fn others_are_refused() {
        for bad in [
            "{{",
            "{{}}",
            "{{uuid",
            "{{uuid}",
            "{{UUID}}",
            "{{newUUID}}",
            "{{sequence:1}}",
            "{{random}}",
            "{{random:}}",
            "{{random:1}}",
            "{{random:2..1}}",
            "{{random:-1..1}}",
            "{{random:+1..2}}",
            "{{random:1..99999999999999999999}}",
            "{{uuid}} {{x}}",
        ] {
            let why = Template::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(why.contains("{{uuid}}, {{sequence}} or {{random:1..1000}}"), "{bad}: {why}");
        }
        assert!(Template::parse(b"{{\xff}}").is_err() && Template::parse(b"\xff").is_ok());
    }

    #[test]
    fn the_source_can_be_parsed_again() {
        for text in ["/a/{{uuid}}/{{sequence}}?b={{random:1..2}}", "{{{{x}}", ""] {
            assert_eq!(Template::parse(text.as_bytes()).unwrap().source(), text);
        }
    }
}
