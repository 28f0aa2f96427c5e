//! Errors of images.

use std::path::PathBuf;

use thiserror::Error;

use crate::io_error::IoError;
use crate::process::ProgramError;
use crate::shutdown::Interrupted;

/// Why an image cannot be used or built. `Display` is one sentence: what happened, and why.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The file is not an image.
    #[error("{} is not an image that can be deployed: {why}", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The archive contains several images, and it is not clear which one is wanted.
    #[error("{} contains {} images: {}", path.display(), images.len(), images.join(", "))]
    SeveralImages {
        /// The archive.
        path: PathBuf,
        /// Their names.
        images: Vec<String>,
    },
    /// An image in an archive has no name, or only a tag.
    #[error("{} contains an image without a full name: {image}", path.display())]
    NoName {
        /// The archive.
        path: PathBuf,
        /// Its tag or digest.
        image: String,
    },
    /// An image cannot run on this machine.
    #[error("{image} is for {found}, and this machine runs {wanted}")]
    WrongPlatform {
        /// The image.
        image: String,
        /// The platforms for which it is.
        found: String,
        /// The platform of this machine.
        wanted: String,
    },
    /// A registry could not be reached, or answered with something else.
    #[error("{image} could not be pulled from {registry}: {why}")]
    Registry {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// What it said, or why it did not.
        why: String,
    },
    /// A registry gives an image only to those who log in.
    #[error("{registry} did not allow to pull {image}: {why}")]
    Unauthorised {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// What it said.
        why: String,
    },
    /// A registry does not have an image.
    #[error("{registry} has no image {image}: {why}")]
    NotInRegistry {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// What it said.
        why: String,
    },
    /// An archive has an image that is not one of those that are pushed.
    #[error("{} contains {image}, and the images that are pushed are {}", path.display(), known.join(", "))]
    UnknownImage {
        /// The archive.
        path: PathBuf,
        /// The image.
        image: String,
        /// The names of the images that are pushed.
        known: Vec<String>,
    },
    /// Two archives have the same image for the same platform.
    #[error("{} and {} both contain the image {image} for {platform}", first.display(), second.display())]
    SamePlatform {
        /// The image: "server".
        image: String,
        /// The platform.
        platform: String,
        /// An archive with it.
        first: PathBuf,
        /// The other one; the same if one archive has both.
        second: PathBuf,
    },
    /// A registry could not be reached, or did not take an image.
    #[error("the images could not be pushed to {repository}: {why}")]
    NotPushed {
        /// The repository, with its registry.
        repository: String,
        /// What the registry said, or why it did not.
        why: String,
    },
    /// A registry takes images only from those who log in.
    #[error("{registry} did not allow to push to {repository}: {why}")]
    PushRefused {
        /// The repository, with its registry.
        repository: String,
        /// The registry.
        registry: String,
        /// What it said.
        why: String,
    },
    /// An image could not be built.
    #[error("{what} could not be built: {why}")]
    BuildFailed {
        /// The image.
        what: String,
        /// Why.
        why: String,
        /// What would help; `None` if unknown.
        remedy: Option<BuildRemedy>,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Ctrl-C or a termination signal. What was started has been undone.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

/// What would help when an image could not be built. An existing image can be used instead.
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
    /// The static C library.
    StaticLibrary,
    /// Evenkeel's source tree.
    SourceTree,
    /// Rust.
    Rust,
}
