//! Images without Docker: one static binary packed as an OCI archive, named by its content.

mod build;
mod cargo;
mod elf;
mod inspect;
mod pack;

use std::path::PathBuf;

use serde::Serialize;

pub use build::{build_pause, build_server};
pub use inspect::inspect;
pub use pack::{ImageSpec, Packed, TarFile, pack, pack_files};

/// An image in an archive, ready to be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Image {
    /// The archive: OCI layout or docker's own, tar or tar.gz.
    pub archive: PathBuf,
    /// What a pod calls it: `evenkeel.local/server:` and 12 digits of its digest.
    pub reference: String,
    /// `sha256:…` of its manifest; of its configuration in docker's archives, which have no manifest.
    pub digest: String,
    /// The archive's size.
    pub bytes: u64,
    /// What a node needs at least to import it: its layers, and the files that are unpacked from them.
    #[serde(skip)]
    pub import_bytes: u64,
}

impl Image {
    /// The archive's size in megabytes (of 1,000,000 bytes).
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "it is read by people, and no image is that large")]
    pub fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }
}
