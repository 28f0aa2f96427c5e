//! The formats by name.

use super::{Csv, Exporter, Hgrm, Hlog, Html, Json, Look, Markdown, PodsCsv, Report, Table};
use crate::report::ReportError;

/// A format that a report can be written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text for a terminal; see [`Table`].
    #[default]
    Table,
    /// A page; see [`Html`].
    Html,
    /// Text for a pull request; see [`Markdown`].
    Markdown,
    /// The seconds; see [`Csv`].
    Csv,
    /// The pods over time; see [`PodsCsv`].
    PodsCsv,
    /// Latency by percentile; see [`Hgrm`].
    Hgrm,
    /// The latency histogram; see [`Hlog`].
    Hlog,
    /// The whole report; see [`Json`].
    Json,
}

impl Format {
    /// The report in this format. `look` applies only to the text for a terminal.
    ///
    /// # Errors
    /// As [`Exporter::export`].
    pub fn export(self, report: &Report, look: Look) -> Result<String, ReportError> {
        match self {
            Self::Table => Table::new(look).export(report),
            Self::Html => Html.export(report),
            Self::Markdown => Markdown.export(report),
            Self::Csv => Csv.export(report),
            Self::PodsCsv => PodsCsv.export(report),
            Self::Hgrm => Hgrm.export(report),
            Self::Hlog => Hlog.export(report),
            Self::Json => Json.export(report),
        }
    }
}
