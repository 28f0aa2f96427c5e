//! Output of a series: a table after each run, and the comparison and checks at the end.

use super::checks::Checks;
use super::context::CommandContext;
use super::output;
use super::report_files::ReportFiles;
use crate::cli::error::Error;
use crate::experiment::SeriesResult;
use crate::io_error::IoError;
use crate::report::{Exporter, Json, Report, ReportError, Table};
use evenkeel_measure::Measurement;

/// Prints a series.
pub(super) struct SeriesOutput<'a> {
    context: &'a CommandContext,
    table: Table,
    /// The URL that is requested.
    target: String,
    /// The number of rounds.
    rounds: u32,
    printed: bool,
}

impl<'a> SeriesOutput<'a> {
    /// Output of a series with `rounds` rounds against the URL `target`.
    pub(super) fn new(context: &'a CommandContext, target: String, rounds: u32) -> Self {
        Self { context, table: Table::new(output::look()), target, rounds, printed: false }
    }

    /// Prints the tables of a finished run, unless there are several rounds.
    ///
    /// # Errors
    /// [`IoError`].
    pub(super) fn run(&mut self, run: &Measurement) -> Result<(), IoError> {
        if self.context.json || self.rounds > 1 {
            return Ok(());
        }
        let space = if self.printed { "\n" } else { "" };
        self.printed = true;
        output::text(&format!("{space}{}", self.table.run(&self.target, run)))
    }

    /// Prints the rest and writes the files, also after an error in the series. Returns that error; without one, checks
    /// the assertions.
    ///
    /// # Errors
    /// The error of the series; [`Error::AssertionsMissed`]; [`Error::Report`] if a file cannot be written.
    pub(super) fn finish(
        self,
        result: SeriesResult,
        outcome: Result<(), Error>,
        files: &ReportFiles,
        checks: &Checks,
    ) -> Result<(), Error> {
        let Self { context, table, .. } = self;
        let SeriesResult { target, environment, rounds, runs } = result;
        let report = Report { environment, ..Report::new(target, runs) };
        let written = files.write(&report, &context.progress);
        let runs = &report.runs;
        let (changes, assertion_lines) = match &outcome {
            Ok(()) => (checks.changes(runs), checks.assertion_lines(runs)),
            Err(_) => (Vec::new(), String::new()),
        };
        let printed = if context.json {
            for change in changes {
                context.progress.note(change);
            }
            Json.export(&report).and_then(|json| Ok(output::text(&json)?))
        } else {
            let table_of_rounds = if rounds > 1 && !runs.is_empty() { table.rounds(runs) } else { String::new() };
            let mut parts = vec![table_of_rounds, table.comparison(runs), Table::sentences(&changes), assertion_lines];
            parts.retain(|part| !part.is_empty());
            let space = if rounds == 1 && !parts.is_empty() { "\n" } else { "" };
            output::text(&format!("{space}{}", parts.join("\n"))).map_err(ReportError::from)
        };
        let asserted = if outcome.is_ok() { checks.check_assertions(runs) } else { Ok(()) };
        outcome?;
        written?;
        asserted?;
        Ok(printed?)
    }
}
