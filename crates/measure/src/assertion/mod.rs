//! Assertions: conditions on the metrics of runs, parsed from text: `p99<5ms`, `errors==0`, `rps@10/rps@2>=0.95`.

mod condition;
mod metric;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use super::comparison::{Ratio, rounds};
use super::{AssertionError, Measurement};
use condition::Condition;
use metric::Metric;

/// A metric, or the ratio of two, that is compared with a number. Parsed from text and written as such; the grammar is
///
/// ```text
/// assertion  = term [ "/" term ] comparison number [ unit ]
/// term       = metric [ "@" pods ]
/// comparison = "<" | "<=" | ">" | ">=" | "==" | "!="
/// unit       = "us" | "ms" | "s" for times, "%" for ratios and figures around 1
/// ```
///
/// with optional blanks between any two parts. `@10` selects the runs at 10 pods; without it, all runs are selected.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    term: Term,
    over: Option<Term>,
    condition: Condition,
}

/// A metric of selected runs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Term {
    metric: Metric,
    /// Selects the runs with this number of pods; all runs if `None`.
    replicas: Option<u32>,
}

/// The result of an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssertionResult {
    /// It holds in every selected run.
    Held,
    /// It does not hold in at least one.
    Failed {
        /// Where, and by how much: "p99 was 7.2 ms, expected < 5 ms (10 pods)"; more than one joined by "; ".
        reasons: String,
    },
}

impl Assertion {
    /// Checks that it needs no other runs than those at `counts` of pods. Call this before anything is run.
    ///
    /// # Errors
    /// [`AssertionError::NoSuchRun`] when it names a number of pods that is not among them.
    pub fn check(&self, counts: &[u32]) -> Result<(), AssertionError> {
        let terms = [Some(self.term), self.over].into_iter().flatten();
        let missing = terms.filter_map(|term| term.replicas).find(|replicas| !counts.contains(replicas));
        match missing {
            None => Ok(()),
            Some(replicas) => Err(AssertionError::NoSuchRun { replicas, counts: counts.to_vec() }),
        }
    }

    /// Whether it holds in `runs`. A metric has to hold in each selected run, and so has a ratio of two metrics of the
    /// same run. A ratio between numbers of pods is that of [`Ratio::paired`], over all rounds. If a value is 0, which
    /// has no logarithm, it is the ratio of the means. If a run does not have the metric, the assertion fails.
    ///
    /// Values are compared, not intervals, and nothing is corrected for the number of runs or assertions.
    #[must_use]
    pub fn evaluate(&self, runs: &[Measurement]) -> AssertionResult {
        let missed = match self.over {
            Some(over) if over.replicas != self.term.replicas => self.between(over, runs),
            _ => self.of_each(runs),
        };
        match missed {
            missed if missed.is_empty() => AssertionResult::Held,
            missed => AssertionResult::Failed { reasons: missed.join("; ") },
        }
    }

    /// Checks each run by itself; returns what does not hold.
    fn of_each(&self, runs: &[Measurement]) -> Vec<String> {
        let selected: Vec<&Measurement> = self.term.of(runs).collect();
        if selected.is_empty() {
            return vec![format!("{} is not known, because there is no such run", self.figure())];
        }
        let missed = |run: &Measurement| {
            let value = self.term.metric.of(run);
            let figure = match self.over {
                None => value,
                Some(over) => value.zip(over.metric.of(run)).and_then(|(value, over)| quotient(value, over)),
            };
            self.missed(figure, run.replicas)
        };
        selected.into_iter().filter_map(missed).collect()
    }

    /// Checks the two named numbers of pods, or if only one is named every other one against it; returns what does not
    /// hold.
    fn between(&self, over: Term, runs: &[Measurement]) -> Vec<String> {
        let named = self.term.replicas.is_some() && over.replicas.is_some();
        let mut cases: Vec<Option<u32>> = if named {
            vec![None]
        } else {
            rounds(runs).into_iter().map(|(configuration, _)| configuration.replicas).collect()
        };
        // The same number of pods in another mode.
        cases.dedup();
        let at = |term: Term, case: Option<u32>| {
            let term = Term { replicas: term.replicas.or(case), ..term };
            term.of(runs).filter(|run| !run.interrupted).map(|run| term.metric.of(run)).collect::<Option<Vec<f64>>>()
        };
        let missed = |case: &Option<u32>| {
            let figures = at(self.term, *case).zip(at(over, *case));
            self.missed(figures.and_then(|(ours, theirs)| ratio(&ours, &theirs)), *case)
        };
        if cases.is_empty() {
            return vec![format!("{} is not known, because there is no such run", self.figure())];
        }
        cases.iter().filter_map(missed).collect()
    }

    /// Why a value does not hold; `None` if it does.
    fn missed(&self, figure: Option<f64>, replicas: Option<u32>) -> Option<String> {
        let was = match figure {
            Some(figure) if self.condition.holds(figure) => return None,
            Some(figure) => format!("was {}", self.condition.written(figure)),
            None => "is not known".to_owned(),
        };
        let pods = match replicas {
            Some(1) => " (1 pod)".to_owned(),
            Some(replicas) => format!(" ({replicas} pods)"),
            None => String::new(),
        };
        Some(format!("{} {was}, expected {:#}{pods}", self.figure(), self.condition))
    }

    /// The left-hand side. The number of pods is only included if there are two of them.
    fn figure(&self) -> String {
        match self.over {
            None => self.term.metric.to_string(),
            Some(over) if over.replicas == self.term.replicas => format!("{}/{}", self.term.metric, over.metric),
            Some(over) => format!("{}/{over}", self.term),
        }
    }
}

impl Term {
    /// The selected runs.
    fn of(self, runs: &[Measurement]) -> impl Iterator<Item = &Measurement> {
        runs.iter().filter(move |run| self.replicas.is_none() || run.replicas == self.replicas)
    }
}

/// The ratio over all rounds.
#[allow(clippy::cast_precision_loss, reason = "a handful of rounds")]
fn ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let mean = |figures: &[f64]| figures.iter().sum::<f64>() / figures.len() as f64;
    Ratio::paired(ours, theirs).map(|ratio| ratio.value).or_else(|| quotient(mean(ours), mean(theirs)))
}

/// `None` if it is not a finite number.
fn quotient(value: f64, over: f64) -> Option<f64> {
    Some(value / over).filter(|quotient| quotient.is_finite())
}

impl fmt::Display for Term {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.replicas {
            None => write!(formatter, "{}", self.metric),
            Some(replicas) => write!(formatter, "{}@{replicas}", self.metric),
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.term)?;
        if let Some(over) = &self.over {
            write!(formatter, "/{over}")?;
        }
        write!(formatter, "{}", self.condition)
    }
}
