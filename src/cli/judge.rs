//! The flags that say what a test has to come to, and whether it did.

use std::fmt::Write;
use std::path::PathBuf;

use super::report;
use crate::cli::error::Error;
use crate::report::Report;
use evenkeel_measure::{Assertion, AssertionResult, Measurement, against_baseline, change_sentences};

/// What is expected of the runs.
#[derive(Debug, Default, clap::Args)]
pub struct JudgeFlags {
    /// What has to hold, as p99<5ms or rps@10/rps@2>=0.95; more than once for more. If it does not, the exit code is 1
    #[arg(long = "assert", value_name = "EXPR", allow_hyphen_values = true)]
    assertions: Vec<String>,
    /// Compare with an earlier report, which --json-file or --json wrote
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// The same, read and checked.
#[derive(Debug, Default)]
pub struct Judge {
    assertions: Vec<Assertion>,
    baseline: Option<Report>,
}

impl JudgeFlags {
    /// What they say, for runs at `counts` of pods.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a malformed assertion and for one about a number of pods that is not run;
    /// [`Error::BadReport`].
    pub fn judge(&self, counts: &[u32]) -> Result<Judge, Error> {
        let assertions = self.assertions.iter().map(|text| text.parse()).collect::<Result<Vec<Assertion>, _>>()?;
        for assertion in &assertions {
            assertion.check(counts)?;
        }
        Ok(Judge { assertions, baseline: self.baseline.as_deref().map(report::load).transpose()? })
    }
}

impl Judge {
    /// How the runs compare with the earlier report, one sentence each.
    #[must_use]
    pub fn changes(&self, runs: &[Measurement]) -> Vec<String> {
        let Some(earlier) = &self.baseline else { return Vec::new() };
        let changes = against_baseline(runs, &earlier.runs);
        if changes.is_empty() {
            return vec!["The earlier report has no run like these, so there is nothing to compare.".into()];
        }
        change_sentences(&changes)
    }

    /// Each assertion with what became of it, one a line.
    #[must_use]
    pub fn verdicts(&self, runs: &[Measurement]) -> String {
        self.assertions.iter().fold(String::new(), |mut text, assertion| {
            let _ = match assertion.evaluate(runs) {
                AssertionResult::Held => writeln!(text, "held: {assertion}"),
                AssertionResult::Failed { reasons } => writeln!(text, "missed: {assertion}: {reasons}"),
            };
            text
        })
    }

    /// Whether all of them hold.
    ///
    /// # Errors
    /// [`Error::AssertionsMissed`].
    pub fn verdict(&self, runs: &[Measurement]) -> Result<(), Error> {
        let missed = self.assertions.iter().filter_map(|assertion| match assertion.evaluate(runs) {
            AssertionResult::Held => None,
            AssertionResult::Failed { reasons } => Some(reasons),
        });
        let missed: Vec<String> = missed.collect();
        if missed.is_empty() { Ok(()) } else { Err(Error::AssertionsMissed { missed }) }
    }
}
