//! Container images without Docker: a static binary packed as an OCI archive, and archives made by other tools.

mod archive;
mod build;
mod cargo;
mod elf;
mod engine;
mod error;
mod find;
mod libc;
mod name;
mod pack;
mod platform;
mod push;
mod registry;
mod repository;

pub use error::{BuildNeed, BuildRemedy, ImageError};

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

pub use archive::{Archive, is_pipe};
pub use build::{build_agent, build_pause, build_server};
pub use find::{ImageSources, NETWORK_VARIABLES, find, index_of, read_variables};
pub use name::ImageName;
pub use pack::{ImageSpec, Packed, TarFile, pack, pack_files};
pub use push::{Push, PushedImage, push};
pub use repository::Repository;

/// An image in an archive that can be imported.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// The archive as it was given.
    pub archive: PathBuf,
    /// The reference that pods use: `evenkeel.local/server:` and 12 digits of its digest.
    pub reference: String,
    /// All its names; the first one is the reference.
    #[serde(skip)]
    pub names: Vec<ImageName>,
    /// The digest of its manifest (`sha256:…`). Docker's archives have no manifest, so it is made from their files.
    pub digest: String,
    /// The archive's size.
    pub bytes: u64,
    /// What a node needs at least to import it: its layers, and the files that are unpacked from them.
    #[serde(skip)]
    pub import_bytes: u64,
    /// A temporary file with this image alone, by its full names, when the archive itself is not such a one.
    #[serde(skip)]
    pub(crate) normalised: Option<Arc<File>>,
}

impl Image {
    /// The file that containerd imports, while this value exists.
    #[must_use]
    pub fn import_path(&self) -> PathBuf {
        match &self.normalised {
            // The temporary file has no other path.
            Some(file) => format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into(),
            None => self.archive.clone(),
        }
    }

    /// The same file, opened. Unlike the path, it can be had in another PID namespace than that of `/proc`.
    ///
    /// # Errors
    /// That of the system.
    pub fn open_import(&self) -> io::Result<File> {
        match &self.normalised {
            Some(file) => File::open(format!("/proc/self/fd/{}", file.as_raw_fd())),
            None => File::open(&self.archive),
        }
    }

    /// The size of the archive in megabytes (1,000,000 bytes).
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "no image is so large that it loses digits")]
    pub fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }
}
