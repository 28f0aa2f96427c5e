//! Errors of the operating system, with the operation that failed.

use std::io;
use std::path::Path;

/// An operation on a file or on a kernel interface that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {action}: {source}")]
pub struct IoError {
    /// The operation, with the path: "read /proc/mounts".
    pub action: String,
    /// The error of the operating system.
    pub source: io::Error,
}

impl IoError {
    /// `action` failed: `IoError::new("read /proc/mounts", source)`.
    pub fn new(action: impl Into<String>, source: io::Error) -> Self {
        Self { action: action.into(), source }
    }

    /// A verb and a path: `IoError::file("read", path, source)`.
    pub fn file(verb: &str, path: &Path, source: io::Error) -> Self {
        Self::new(format!("{verb} {}", path.display()), source)
    }
}
