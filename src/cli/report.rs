//! `evenkeel report`.

use std::io::{self, ErrorKind, Read};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::output;
use crate::cli::error::Error;
use crate::config::parse_positive;
use crate::report::{self, Format, Report, ReportError};
use evenkeel_measure::{Measurement, some};

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The default format is the tables of `evenkeel test`. --json writes the report as JSON again.")]
pub struct Args {
    /// File that `evenkeel test --json` or --json-file wrote; - for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    format: Formats,
    /// Only the N-th run of the report
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU32>, allow_negative_numbers = true)]
    run: Option<NonZeroU32>,
    /// Write to this file, completely or not at all, instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// At most one of them can be given.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
struct Formats {
    /// Write tables for a terminal (the default)
    #[arg(long)]
    table: bool,
    /// Write a page of charts, in one file without dependencies
    #[arg(long)]
    html: bool,
    /// Write Markdown for a pull request
    #[arg(long)]
    md: bool,
    /// Write every second of every run, one per row
    #[arg(long)]
    csv: bool,
    /// Write which pod served how many requests when, one pod and moment per row
    #[arg(long)]
    pods_csv: bool,
    /// Write the latency by percentile, as HdrHistogram prints it
    #[arg(long)]
    hgrm: bool,
    /// Write the whole latency as an HdrHistogram log
    #[arg(long)]
    hlog: bool,
}

impl Args {
    /// Reads the report, and writes it in the chosen format.
    ///
    /// # Errors
    /// [`ReportError::BadReport`], [`Error::BadValue`] for two formats at once or a run that does not exist,
    /// [`Error::Io`].
    pub fn run(&self, json: bool) -> Result<(), Error> {
        let format = self.format(json)?;
        let mut report = load(&self.file)?;
        if let Some(number) = self.run {
            report.runs = vec![nth(&mut report, number)?];
        }
        match &self.output {
            Some(path) => Ok(report::write(path, format, &report)?),
            None => Ok(output::text(&format.export(&report, output::look())?)?),
        }
    }

    fn format(&self, json: bool) -> Result<Format, Error> {
        let Formats { table, html, md, csv, pods_csv, hgrm, hlog } = self.format;
        let asked = [
            (table, "--table", Format::Table),
            (html, "--html", Format::Html),
            (md, "--md", Format::Markdown),
            (csv, "--csv", Format::Csv),
            (pods_csv, "--pods-csv", Format::PodsCsv),
            (hgrm, "--hgrm", Format::Hgrm),
            (hlog, "--hlog", Format::Hlog),
        ];
        match (asked.into_iter().find(|(asked, ..)| *asked), json) {
            (Some((_, flag, _)), true) => Err(Error::BadValue {
                what: "--json",
                given: flag.to_owned(),
                why: "a report is written in one format at a time".into(),
            }),
            (Some((.., format)), false) => Ok(format),
            (None, true) => Ok(Format::Json),
            (None, false) => Ok(Format::default()),
        }
    }
}

fn nth(report: &mut Report, number: NonZeroU32) -> Result<Measurement, Error> {
    let at = usize::try_from(number.get() - 1).unwrap_or(usize::MAX);
    if at < report.runs.len() {
        return Ok(report.runs.swap_remove(at));
    }
    let why = format!("the report has {}", some(report.runs.len() as u64, "run"));
    Err(Error::BadValue { what: "--run", given: number.to_string(), why })
}

/// Reads a report from a file, or from stdin.
///
/// # Errors
/// [`ReportError::BadReport`].
pub(super) fn load(path: &Path) -> Result<Report, Error> {
    let (name, text) = if path == Path::new("-") {
        let mut text = String::new();
        ("stdin".to_owned(), io::stdin().lock().read_to_string(&mut text).map(|_| text))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    let why = |source: io::Error| match source.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::InvalidData => "it is not text".to_owned(),
        _ => source.to_string(),
    };
    let text = text.map_err(|source| ReportError::BadReport { name: name.clone(), why: why(source) })?;
    Ok(report::read(&text, &name)?)
}
