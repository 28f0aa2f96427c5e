//! Flags that check the results of a test: assertions, and a comparison with an earlier report.

use std::fmt::Write;
use std::path::PathBuf;

use super::report;
use crate::cli::error::Error;
use crate::report::Report;
use evenkeel_measure::{
    Assertion, AssertionError, AssertionResult, Measurement, against_baseline, change_sentences, some,
};

/// Flags that check the results.
#[derive(Debug, Default, clap::Args)]
pub struct CheckFlags {
    /// Exit with code 1 if this condition does not hold, such as p99<5ms or rps@10/rps@2>=0.95; may be repeated
    #[arg(long = "assert", value_name = "EXPR", allow_hyphen_values = true)]
    assertions: Vec<Assertion>,
    /// Compare with an earlier report, which --json or --json-file wrote
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Assertions and the earlier report, validated.
#[derive(Debug, Default)]
pub struct Checks {
    assertions: Vec<Assertion>,
    baseline: Option<Report>,
}

impl CheckFlags {
    /// Validates them for runs at `counts` of pods.
    ///
    /// # Errors
    /// [`Error::BadValue`] for an assertion about a number of pods that is not run;
    /// [`ReportError::BadReport`](crate::report::ReportError::BadReport).
    pub fn checks(&self, counts: &[u32]) -> Result<Checks, Error> {
        for assertion in &self.assertions {
            check_counts(assertion, counts)?;
        }
        Ok(Checks {
            assertions: self.assertions.clone(),
            baseline: self.baseline.as_deref().map(report::load).transpose()?,
        })
    }
}

/// Refuses an assertion about a number of pods that is not run.
fn check_counts(assertion: &Assertion, counts: &[u32]) -> Result<(), Error> {
    assertion.check(counts).map_err(|error| Error::BadValue {
        what: "--assert",
        given: assertion.to_string(),
        why: match error {
            AssertionError::NoSuchRun { replicas, counts } if counts.is_empty() => {
                format!("there is no run at {}, because --replicas is not given", some(replicas, "pod"))
            }
            other => other.to_string(),
        },
    })
}

impl Checks {
    /// The changes since the earlier report, one sentence each.
    #[must_use]
    pub fn changes(&self, runs: &[Measurement]) -> Vec<String> {
        let Some(earlier) = &self.baseline else { return Vec::new() };
        let changes = against_baseline(runs, &earlier.runs);
        if changes.is_empty() {
            return vec!["The earlier report has no comparable run.".into()];
        }
        change_sentences(&changes)
    }

    /// One line for each assertion, with its result.
    #[must_use]
    pub fn assertion_lines(&self, runs: &[Measurement]) -> String {
        self.assertions.iter().fold(String::new(), |mut text, assertion| {
            let _ = match assertion.evaluate(runs) {
                AssertionResult::Held => writeln!(text, "passed: {assertion}"),
                AssertionResult::Failed { reasons } => writeln!(text, "failed: {assertion}: {reasons}"),
            };
            text
        })
    }

    /// Checks that all assertions hold.
    ///
    /// # Errors
    /// [`Error::AssertionsMissed`].
    pub fn check_assertions(&self, runs: &[Measurement]) -> Result<(), Error> {
        let missed = self.assertions.iter().filter_map(|assertion| match assertion.evaluate(runs) {
            AssertionResult::Held => None,
            AssertionResult::Failed { reasons } => Some(reasons),
        });
        let missed: Vec<String> = missed.collect();
        if missed.is_empty() { Ok(()) } else { Err(Error::AssertionsMissed { missed }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        checks: CheckFlags,
    }

    #[test]
    fn a_bad_assertion_is_refused_with_the_column() {
        let error = Cli::try_parse_from(["test", "--assert", "p99<5"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string().lines().next().unwrap(),
            "error: invalid value 'p99<5' for '--assert <EXPR>': expected an assertion such as p99<5ms or \
             rps@10/rps@2>=0.95; column 6: p99 is a time, so it needs us, ms or s"
        );
    }

    #[test]
    fn an_assertion_about_pods_that_are_not_run_says_which_are() {
        let check = |text: &str, counts: &[u32]| {
            let cli = Cli::try_parse_from(["test", "--assert", text]).unwrap();
            let error = cli.checks.checks(counts).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert_eq!(
            check("rps@10/rps@3>=0.95", &[2, 10]),
            "\"rps@10/rps@3>=0.95\" cannot be used for --assert: there is no run at 3 pods, only at 2, 10"
        );
        assert!(check("p99@7<5ms", &[]).ends_with("there is no run at 7 pods, because --replicas is not given"));
    }
}
