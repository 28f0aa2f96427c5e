//! Errors of reports.

use thiserror::Error;

use crate::io_error::IoError;

/// Why a report could not be read or written. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file is not a report.
    #[error("{name} is not a report that can be read: {why}")]
    BadReport {
        /// The file, or "stdin".
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
}
