//! Output of results on stdout.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::cli::error::Error;
use crate::experiment::ExperimentError;
use crate::io_error::IoError;
use crate::report::Look;
use crate::workload::WorkloadError;

const ACTION: &str = "write to stdout";

/// Writes a text without changes.
///
/// # Errors
/// [`IoError`].
pub fn text(text: &str) -> Result<(), IoError> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|source| IoError::new(ACTION, source))
}

/// Writes a value as indented JSON.
///
/// # Errors
/// [`IoError`].
pub fn json(value: &impl Serialize) -> Result<(), IoError> {
    let json = serde_json::to_string_pretty(value).map_err(|source| IoError::new(ACTION, source.into()))?;
    text(&format!("{json}\n"))
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// [`IoError`].
pub fn json_line(value: &impl Serialize) -> Result<(), IoError> {
    let json = serde_json::to_string(value).map_err(|source| IoError::new(ACTION, source.into()))?;
    text(&format!("{json}\n"))
}

/// Whether the reader closed stdout.
#[must_use]
pub fn is_closed(error: &Error) -> bool {
    let (Error::Io(io) | Error::Workload(WorkloadError::Io(io)) | Error::Experiment(ExperimentError::Io(io))) = error
    else {
        return false;
    };
    io.action == ACTION && io.source.kind() == ErrorKind::BrokenPipe
}

/// The width and colour of tables on stdout.
#[must_use]
pub fn look() -> Look {
    let terminal = console::Term::stdout();
    let width = terminal.size_checked().map(|(_, columns)| usize::from(columns));
    Look { colour: console::colors_enabled(), width: width.filter(|_| terminal.is_term()) }
}
