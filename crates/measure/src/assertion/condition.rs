//! The right-hand side of an assertion: a comparison with a number in a unit.

use std::fmt;

/// How a figure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

impl Operator {
    /// Their symbols. Longer ones come first, because a shorter one can be a prefix.
    pub(super) const ALL: [(&str, Self); 6] = [
        ("<=", Self::LessOrEqual),
        (">=", Self::GreaterOrEqual),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<", Self::Less),
        (">", Self::Greater),
    ];

    /// Whether it holds, compared exactly: whole numbers are exact as floating-point numbers up to 2^53.
    #[allow(clippy::float_cmp, reason = "== is asked for, and counts are exact")]
    pub(super) fn holds(self, figure: f64, value: f64) -> bool {
        match self {
            Self::Less => figure < value,
            Self::LessOrEqual => figure <= value,
            Self::Greater => figure > value,
            Self::GreaterOrEqual => figure >= value,
            Self::Equal => figure == value,
            Self::NotEqual => figure != value,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = Self::ALL.iter().find(|(_, operator)| operator == self).map_or("", |(written, _)| written);
        formatter.write_str(written)
    }
}

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    None,
    Percent,
    Microseconds,
    Milliseconds,
    Seconds,
}

impl Unit {
    /// The unit of this name, empty for none.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "" => Self::None,
            "%" => Self::Percent,
            "us" | "µs" | "μs" => Self::Microseconds,
            "ms" => Self::Milliseconds,
            "s" => Self::Seconds,
            _ => return None,
        })
    }

    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::Microseconds | Self::Milliseconds | Self::Seconds)
    }

    /// The power of ten that makes it microseconds, or a plain number.
    fn exponent(self) -> i32 {
        match self {
            Self::None | Self::Microseconds => 0,
            Self::Percent => -2,
            Self::Milliseconds => 3,
            Self::Seconds => 6,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Percent => "%",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// A number with this unit: "7.2 ms", "12.5%".
    fn written(self, number: &str) -> String {
        format!("{number}{}{}", if self.is_time() { " " } else { "" }, self.name())
    }
}

/// A comparison with a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    operator: Operator,
    /// The number as it was given.
    number: String,
    unit: Unit,
    /// The same in microseconds, or as a plain number.
    value: f64,
}

impl Condition {
    /// From digits with at most one decimal point; `None` if that is not a number.
    pub(super) fn new(operator: Operator, number: &str, unit: Unit) -> Option<Self> {
        // Parsed with its power of ten, the number is rounded once. A multiplication would round it twice.
        let value: f64 = format!("{number}e{}", unit.exponent()).parse().ok()?;
        value.is_finite().then(|| Self { operator, number: number.to_owned(), unit, value })
    }

    pub(super) fn holds(&self, figure: f64) -> bool {
        self.operator.holds(figure, self.value)
    }

    /// A value in the unit of the condition, with four digits, or with all of them if four would give the wrong result.
    pub(super) fn written(&self, figure: f64) -> String {
        let shifted = |exponent: i32| format!("{figure}e{exponent}").parse::<f64>().unwrap_or(figure);
        let figure_in_unit = shifted(-self.unit.exponent());
        let short = short(figure_in_unit);
        let reread = format!("{short}e{}", self.unit.exponent()).parse().unwrap_or(figure);
        let number = if self.holds(reread) == self.holds(figure) { short } else { figure_in_unit.to_string() };
        self.unit.written(&number)
    }
}

/// With four significant digits, whole numbers whole.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 12, and not below 0")]
fn short(value: f64) -> String {
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let decimals = (3.0 - magnitude).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// "< 5 ms".
impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if formatter.alternate() {
            return write!(formatter, "{} {}", self.operator, self.unit.written(&self.number));
        }
        write!(formatter, "{}{}{}", self.operator, self.number, self.unit.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_below_at_and_above() {
        let held = |operator: Operator| [4.0, 5.0, 6.0].map(|figure| operator.holds(figure, 5.0));
        assert_eq!(held(Operator::Less), [true, false, false]);
        assert_eq!(held(Operator::LessOrEqual), [true, true, false]);
        assert_eq!(held(Operator::Greater), [false, false, true]);
        assert_eq!(held(Operator::GreaterOrEqual), [false, true, true]);
        assert_eq!(held(Operator::Equal), [false, true, false]);
        assert_eq!(held(Operator::NotEqual), [true, false, true]);
    }

    #[test]
    fn no_figure_is_lost_in_a_unit() {
        // As a product 5.001 × 1000 would be 5000.999…
        for (number, unit, figure) in [
            ("5.001", Unit::Milliseconds, 5_001.0),
            ("0.1", Unit::Percent, 0.001),
            ("1.000001", Unit::Seconds, 1_000_001.0),
            ("9007199254740991", Unit::None, 9_007_199_254_740_991.0),
        ] {
            let condition = Condition::new(Operator::Equal, number, unit).unwrap();
            assert!(condition.holds(figure), "{number}: {}", condition.value);
            assert!(!condition.holds(f64::from_bits(figure.to_bits() + 1)));
        }
    }

    #[test]
    fn figures_as_they_are_read() {
        let written = |number, unit, figure| Condition::new(Operator::Less, number, unit).unwrap().written(figure);
        assert_eq!(written("5", Unit::Milliseconds, 7_200.0), "7.2 ms");
        assert_eq!(written("5", Unit::Seconds, 7_200_000.0), "7.2 s");
        assert_eq!(written("500", Unit::Microseconds, 512.0), "512 us");
        assert_eq!(written("5", Unit::None, 88_012.345), "88012");
        assert_eq!(written("5", Unit::None, 0.0), "0");
        assert_eq!(written("0.1", Unit::None, 0.123_456), "0.1235");
        assert_eq!(written("10", Unit::Percent, 0.125), "12.5%");
        assert_eq!(written("1", Unit::None, 100.0), "100");
    }

    #[test]
    fn a_figure_that_misses_by_a_hair_shows_the_hair() {
        let written =
            |number, figure| Condition::new(Operator::Less, number, Unit::Milliseconds).unwrap().written(figure);
        assert_eq!(written("5", 5_000.4), "5 ms");
        let at_most = Condition::new(Operator::LessOrEqual, "5", Unit::Milliseconds).unwrap();
        assert_eq!(at_most.written(5_000.4), "5.0004 ms");
        assert_eq!(at_most.written(4_999.6), "5 ms");
    }
}
