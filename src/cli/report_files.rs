//! Flags that write the report of a test to files.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::cli::error::Error;
use crate::progress::Progress;
use crate::report::{self, Format, Report, ReportError};
use crate::write_file::follow_links;

/// Files for the report, each in its format.
#[derive(Debug, Default, clap::Args)]
pub struct ReportFiles {
    /// Write a page of charts to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write Markdown for a pull request to this file
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Write every second of every run to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write which pod served how many requests when to this file
    #[arg(long, value_name = "FILE")]
    pods_csv: Option<PathBuf>,
    /// Write the latency by percentile, as HdrHistogram prints it, to this file
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Write the whole latency, as an HdrHistogram log, to this file
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Write the report as JSON to this file; `evenkeel report` makes the other formats from it
    #[arg(long, value_name = "FILE")]
    json_file: Option<PathBuf>,
}

impl ReportFiles {
    /// Checks before the run that each file can be written.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a file that cannot be written, and for one that is named twice.
    pub fn check(&self) -> Result<(), Error> {
        let mut seen: Vec<&Path> = Vec::new();
        for (what, path, _) in self.given() {
            let bad = |why: String| Error::BadValue { what, given: path.display().to_string(), why };
            if seen.contains(&path) {
                return Err(bad("two formats cannot be written to one file".into()));
            }
            seen.push(path);
            if let Some(why) = impossible(path) {
                return Err(bad(why));
            }
        }
        Ok(())
    }

    /// Writes all files, each completely or not at all, and notes where they are. A report without a run is not
    /// written, so that it does not replace an earlier one.
    ///
    /// # Errors
    /// [`ReportError::Io`] for the first file that could not be written, after all have been tried.
    pub fn write(&self, report: &Report, progress: &Progress) -> Result<(), ReportError> {
        let mut outcome = Ok(());
        for (_, path, format) in self.given().filter(|_| !report.runs.is_empty()) {
            match report::write(path, format, report) {
                Ok(()) => progress.note(format!("the report is in {}", path.display())),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    fn given(&self) -> impl Iterator<Item = (&'static str, &Path, Format)> {
        let all = [
            ("--html", &self.html, Format::Html),
            ("--md", &self.md, Format::Markdown),
            ("--csv", &self.csv, Format::Csv),
            ("--pods-csv", &self.pods_csv, Format::PodsCsv),
            ("--hgrm", &self.hgrm, Format::Hgrm),
            ("--hlog", &self.hlog, Format::Hlog),
            ("--json-file", &self.json_file, Format::Json),
        ];
        all.into_iter().filter_map(|(flag, path, format)| Some((flag, path.as_deref()?, format)))
    }
}

/// Why no file can be written at this path.
fn impossible(path: &Path) -> Option<String> {
    if path == Path::new("-") {
        return Some("expected a file; use --json or evenkeel report for stdout".into());
    }
    if path.as_os_str().is_empty() || path.is_dir() {
        return Some("it is not a file".into());
    }
    let target = match follow_links(path) {
        Ok(target) => target,
        Err(source) => return Some(source.to_string()),
    };
    // An existing file is written in place if its directory takes no new file; so are pipes and devices.
    if target.exists() && access(&target, AccessFlags::W_OK).is_ok() {
        return None;
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return Some(format!("there is no directory {}", directory.display()));
    }
    let why = access(directory, AccessFlags::W_OK).err()?;
    Some(format!("the directory {} cannot be written to ({})", directory.display(), why.desc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(path: impl Into<PathBuf>) -> ReportFiles {
        ReportFiles { html: Some(path.into()), ..ReportFiles::default() }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_refused_before_the_run() {
        let directory = tempfile::tempdir().unwrap();
        html(directory.path().join("report.html")).check().unwrap();
        html("report.html").check().unwrap();
        for (path, why) in [
            (directory.path().to_owned(), "it is not a file"),
            (directory.path().join("missing/report.html"), "there is no directory"),
            (PathBuf::new(), "it is not a file"),
            ("-".into(), "use --json or evenkeel report for stdout"),
        ] {
            let error = html(&path).check().unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(why) && error.to_string().contains("--html"), "{path:?}: {error}");
        }
        for path in ["/dev/null", "/dev/stdout"] {
            html(path).check().unwrap();
        }
        let twice = ReportFiles { md: Some("report".into()), ..html("report") };
        assert!(twice.check().unwrap_err().to_string().contains("cannot be used for --md: two formats"));
    }

    #[test]
    fn a_report_without_a_run_does_not_replace_an_earlier_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        std::fs::write(&path, "earlier").unwrap();
        html(&path).write(&Report::new("x", vec![]), &Progress::silent()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "earlier");
    }
}
