//! From text to an assertion, with the column of what is wrong.

use std::str::FromStr;

use super::condition::{Condition, Operator, Unit};
use super::metric::{Metric, Quantity};
use super::{Assertion, AssertionError, Term};

/// What is wrong, and at which byte.
struct SyntaxError {
    at: usize,
    why: String,
}

impl FromStr for Assertion {
    type Err = AssertionError;

    fn from_str(text: &str) -> Result<Self, AssertionError> {
        Scanner { text, at: 0 }.assertion().map_err(|SyntaxError { at, why }| {
            let column = text[..at].chars().count() + 1;
            AssertionError::Syntax { reason: format!("column {column}: {why}") }
        })
    }
}

/// A position in a text.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes characters as long as they belong; returns where they begin, and the characters.
    fn take(&mut self, belongs: impl Fn(char) -> bool) -> (usize, &'a str) {
        self.skip_blanks();
        let (begin, rest) = (self.at, self.rest());
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        (begin, taken)
    }

    /// Takes this token if the rest begins with it.
    fn takes(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn assertion(mut self) -> Result<Assertion, SyntaxError> {
        let term = self.term()?;
        let over = if self.takes("/") {
            self.skip_blanks();
            let at = self.at;
            let over = self.term()?;
            if (over.metric.quantity() == Quantity::Time) != (term.metric.quantity() == Quantity::Time) {
                let why =
                    format!("{} and {} have no ratio, because only one of them is a time", term.metric, over.metric);
                return Err(SyntaxError { at, why });
            }
            Some(over)
        } else {
            None
        };
        let operator = self.operator()?;
        let (at, number) = self.take(|c| c.is_ascii_digit() || c == '.');
        if number.is_empty() {
            return Err(SyntaxError { at, why: "expected a number of 0 or more".into() });
        }
        let (unit_at, unit) = self.take(|c| !c.is_whitespace());
        let metric = if over.is_some() { None } else { Some(term.metric) };
        let unit = suitable(metric, unit).map_err(|why| SyntaxError { at: unit_at, why })?;
        self.skip_blanks();
        match Condition::new(operator, number, unit) {
            Some(condition) if self.rest().is_empty() => Ok(Assertion { term, over, condition }),
            Some(_) => Err(SyntaxError { at: self.at, why: format!("expected the end, found {:?}", self.rest()) }),
            None => Err(SyntaxError { at, why: format!("expected a number, found {number:?}") }),
        }
    }

    /// "p99" or "p99@10".
    fn term(&mut self) -> Result<Term, SyntaxError> {
        let (at, name) = self.take(|c| c.is_alphanumeric() || c == '.');
        let Some(metric) = Metric::named(&name.to_lowercase()) else {
            let names = Metric::names();
            let why = match name {
                "" => format!("expected a metric, one of {names}"),
                _ => format!("expected a metric, one of {names}, found {name:?}"),
            };
            return Err(SyntaxError { at, why });
        };
        if !self.takes("@") {
            return Ok(Term { metric, replicas: None });
        }
        let (at, digits) = self.take(|c| c.is_ascii_digit());
        match digits.parse() {
            Ok(replicas) => Ok(Term { metric, replicas: Some(replicas) }),
            Err(_) => Err(SyntaxError { at, why: "expected a number of pods after @".into() }),
        }
    }

    fn operator(&mut self) -> Result<Operator, SyntaxError> {
        let operator = Operator::ALL.iter().find(|(written, _)| self.takes(written));
        operator
            .map(|(_, operator)| *operator)
            .ok_or_else(|| SyntaxError { at: self.at, why: "expected a comparison, one of < <= > >= == !=".into() })
    }
}

/// The unit of this name, if `metric` takes it; a ratio has no metric.
fn suitable(metric: Option<Metric>, unit: &str) -> Result<Unit, String> {
    let known = Unit::named(unit).ok_or_else(|| format!("expected a unit, one of us, ms, s and %, found {unit:?}"))?;
    let (what, quantity) =
        metric.map_or(("a ratio".to_owned(), Quantity::Fraction), |metric| (metric.to_string(), metric.quantity()));
    match quantity {
        Quantity::Time if !known.is_time() => Err(format!("{what} is a time, so it needs us, ms or s")),
        Quantity::Count if known != Unit::None => Err(format!("{what} is a plain number, so it has no unit {unit}")),
        Quantity::Fraction if known.is_time() => {
            Err(format!("{what} is a plain number or a percentage, so it cannot be in {unit}"))
        }
        _ => Ok(known),
    }
}
