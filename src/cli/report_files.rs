//! The flags that say where a test's report goes besides stdout.

use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::cli::error::Error;
use crate::progress::Progress;
use crate::report::{self, Format, Report, ReportError};
use crate::write_file::follow_links;

/// Files for the report, each in its format.
#[derive(Debug, Default, clap::Args)]
pub struct ReportFiles {
    /// Write a page of charts to this file, in the end
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write Markdown for a pull request to this file
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Write the seconds of all runs to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write latency by percentile, as HdrHistogram prints it, to this file
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Write latency whole, as an HdrHistogram log, to this file
    #[arg(long, value_name = "FILE")]
    hlog: Option<PathBuf>,
    /// Write the report itself, of which `evenkeel report` makes all the others, to this file
    #[arg(long, value_name = "FILE")]
    json_file: Option<PathBuf>,
}

impl ReportFiles {
    /// Whether each can be written, as far as that can be told beforehand.
    ///
    /// # Errors
    /// [`Error::BadValue`] for a file that cannot be, and for one that is named twice.
    pub fn check(&self) -> Result<(), Error> {
        let mut seen: Vec<&Path> = Vec::new();
        for (what, path, _) in self.wanted() {
            let bad = |why: String| Error::BadValue { what, given: path.display().to_string(), why };
            if seen.contains(&path) {
                return Err(bad("two formats cannot go to one file".into()));
            }
            seen.push(path);
            if let Some(why) = impossible(path) {
                return Err(bad(why));
            }
        }
        Ok(())
    }

    /// Writes them all, each whole or not at all, and tells where they are. A report without a run is not written: what
    /// is there of an earlier one is worth more.
    ///
    /// # Errors
    /// [`Error::Io`] with the first that could not be written, after all have been tried.
    pub fn write(&self, report: &Report, progress: &Progress) -> Result<(), ReportError> {
        let mut outcome = Ok(());
        for (_, path, format) in self.wanted().filter(|_| !report.runs.is_empty()) {
            match report::write(path, format, report) {
                Ok(()) => progress.note(format!("the report is in {}", path.display())),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }

    fn wanted(&self) -> impl Iterator<Item = (&'static str, &Path, Format)> {
        let all = [
            ("--html", &self.html, Format::Html),
            ("--md", &self.md, Format::Markdown),
            ("--csv", &self.csv, Format::Csv),
            ("--hgrm", &self.hgrm, Format::Hgrm),
            ("--hlog", &self.hlog, Format::Hlog),
            ("--json-file", &self.json_file, Format::Json),
        ];
        all.into_iter().filter_map(|(flag, path, format)| Some((flag, path.as_deref()?, format)))
    }
}

/// Why no file can be written there.
fn impossible(path: &Path) -> Option<String> {
    if path == Path::new("-") {
        return Some("it takes a file; for stdout there is --json, and evenkeel report".into());
    }
    if path.as_os_str().is_empty() || path.is_dir() {
        return Some("it is no file".into());
    }
    let target = match follow_links(path) {
        Ok(target) => target,
        Err(source) => return Some(source.to_string()),
    };
    // A file that exists is written in place where its directory takes no new one; so are pipes and devices.
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
    fn what_cannot_be_written_is_told_beforehand() {
        let directory = tempfile::tempdir().unwrap();
        html(directory.path().join("report.html")).check().unwrap();
        html("report.html").check().unwrap();
        for (path, why) in [
            (directory.path().to_owned(), "it is no file"),
            (directory.path().join("missing/report.html"), "there is no directory"),
            (PathBuf::new(), "it is no file"),
            ("-".into(), "for stdout there is --json"),
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
    fn a_report_without_a_run_takes_no_earlier_ones_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        std::fs::write(&path, "earlier").unwrap();
        html(&path).write(&Report::new("x", vec![]), &Progress::silent()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "earlier");
    }
}
