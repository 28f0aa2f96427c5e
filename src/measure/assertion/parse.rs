//! From text to an assertion, with the column of what is amiss.

use std::str::FromStr;

use super::metric::{Kind, Metric};
use super::wanted::{Operator, Unit, Wanted};
use super::{Assertion, Term, WHAT};
use crate::error::Error;

/// What is amiss, and before which byte.
struct ParseError {
    at: usize,
    why: String,
}

impl FromStr for Assertion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Scanner { text, at: 0 }.assertion().map_err(|ParseError { at, why }| {
            let column = text[..at].chars().count() + 1;
            let why = format!("column {column}: {why}; for example p99<5ms, errors==0 or rps@10/rps@2>=0.95");
            Error::BadValue { what: WHAT, given: text.to_owned(), why }
        })
    }
}

/// A place in a text.
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

    /// Takes what the rest begins with as long as it is `wanted`, and says where that began.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> (usize, &'a str) {
        self.skip_blanks();
        let (begin, rest) = (self.at, self.rest());
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        (begin, taken)
    }

    /// Takes exactly this, where the rest begins with it.
    fn takes(&mut self, wanted: &str) -> bool {
        self.skip_blanks();
        let taken = self.rest().starts_with(wanted);
        self.at += if taken { wanted.len() } else { 0 };
        taken
    }

    fn assertion(mut self) -> Result<Assertion, ParseError> {
        let term = self.term()?;
        let over = if self.takes("/") {
            self.skip_blanks();
            let at = self.at;
            let over = self.term()?;
            if (over.metric.kind() == Kind::Time) != (term.metric.kind() == Kind::Time) {
                let why =
                    format!("{} and {} have no ratio, since only one of them is a time", term.metric, over.metric);
                return Err(ParseError { at, why });
            }
            Some(over)
        } else {
            None
        };
        let operator = self.operator()?;
        let (at, number) = self.take(|c| c.is_ascii_digit() || c == '.');
        if number.is_empty() {
            return Err(ParseError { at, why: "here comes a number, not below 0".into() });
        }
        let (unit_at, unit) = self.take(|c| !c.is_whitespace());
        let metric = if over.is_some() { None } else { Some(term.metric) };
        let unit = suitable(metric, unit).map_err(|why| ParseError { at: unit_at, why })?;
        self.skip_blanks();
        match Wanted::new(operator, number, unit) {
            Some(wanted) if self.rest().is_empty() => Ok(Assertion { term, over, wanted }),
            Some(_) => {
                Err(ParseError { at: self.at, why: format!("there is more than an assertion: {:?}", self.rest()) })
            }
            None => Err(ParseError { at, why: format!("{number:?} is no number") }),
        }
    }

    /// "p99" or "p99@10".
    fn term(&mut self) -> Result<Term, ParseError> {
        let (at, name) = self.take(|c| c.is_alphanumeric() || c == '.');
        let Some(metric) = Metric::named(&name.to_lowercase()) else {
            let names = Metric::names();
            let why = match name {
                "" => format!("here comes a metric, one of {names}"),
                _ => format!("there is no metric {name:?}, but {names}"),
            };
            return Err(ParseError { at, why });
        };
        if !self.takes("@") {
            return Ok(Term { metric, replicas: None });
        }
        let (at, digits) = self.take(|c| c.is_ascii_digit());
        match digits.parse() {
            Ok(replicas) => Ok(Term { metric, replicas: Some(replicas) }),
            Err(_) => Err(ParseError { at, why: "after @ comes a number of pods".into() }),
        }
    }

    fn operator(&mut self) -> Result<Operator, ParseError> {
        let operator = Operator::ALL.iter().find(|(written, _)| self.takes(written));
        operator
            .map(|(_, operator)| *operator)
            .ok_or_else(|| ParseError { at: self.at, why: "here comes a comparison, one of < <= > >= == !=".into() })
    }
}

/// The unit of this name, where figures of `metric` take it; a ratio has no metric.
fn suitable(metric: Option<Metric>, unit: &str) -> Result<Unit, String> {
    let known = Unit::named(unit).ok_or_else(|| format!("{unit:?} is no unit; there are us, ms, s and %"))?;
    let (what, kind) =
        metric.map_or(("a ratio".to_owned(), Kind::Fraction), |metric| (metric.to_string(), metric.kind()));
    match kind {
        Kind::Time if !known.is_time() => Err(format!("{what} is a time and takes us, ms or s")),
        Kind::Count if known != Unit::None => Err(format!("{what} is a plain number without {unit}")),
        Kind::Fraction if known.is_time() => Err(format!("{what} is a plain number or takes %, not {unit}")),
        _ => Ok(known),
    }
}
