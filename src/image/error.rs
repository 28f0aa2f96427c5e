//! Errors of images.

use std::path::PathBuf;

use thiserror::Error;

use crate::io_error::IoError;
use crate::process::ProgramError;
use crate::shutdown::Interrupted;

/// Why there is no image. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ImageError {
    /// A file that should hold an image and does not.
    #[error("{} is no image that can be deployed: {why}", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An image could not be made.
    #[error("{what} could not be built: {why}")]
    BuildFailed {
        /// The image.
        what: String,
        /// Why.
        why: String,
        /// What would help; `None` where nothing is known.
        remedy: Option<BuildRemedy>,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Ctrl-C, or a signal of its kind. What had begun has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// What would help where an image could not be built. An existing image may be used instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRemedy {
    /// What is missing.
    pub missing: BuildNeed,
    /// The variable that names an existing image.
    pub variable: &'static str,
}

/// What a build needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildNeed {
    /// The C library as a static one.
    StaticLibrary,
    /// Evenkeel's source tree.
    SourceTree,
    /// Rust.
    Rust,
}
