//! Container images without Docker: a static binary packed as an OCI archive, and archives made by other tools.

mod build;
mod cargo;
mod elf;
mod error;
mod inspect;
mod pack;

pub use error::{BuildNeed, BuildRemedy, ImageError};

use std::path::PathBuf;

use serde::Serialize;

pub use build::{build_pause, build_server};
pub use inspect::inspect;
pub use pack::{ImageSpec, Packed, TarFile, pack, pack_files};

/// An image in an archive that can be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The archive: an OCI layout or docker's format, as tar or tar.gz.
    pub archive: PathBuf,
    /// The reference that pods use: `evenkeel.local/server:` and 12 digits of its digest.
    pub reference: String,
    /// The digest of its manifest (`sha256:…`); in docker's archives, which have no manifest, of its configuration.
    pub digest: String,
    /// The archive's size.
    pub bytes: u64,
    /// What a node needs at least to import it: its layers, and the files that are unpacked from them.
    #[serde(skip)]
    pub import_bytes: u64,
}

impl Image {
    /// The size of the archive in megabytes (1,000,000 bytes).
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no image is so large that it loses digits")]
    pub fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }
}
