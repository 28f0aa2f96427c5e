//! Images in an archive, with all their files, to send them elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Archive;
use super::found::{Found, LONGEST_JSON, Wanted};
use super::tar_index::{Place, TarIndex};
use crate::image::platform::Platform;
use crate::image::{ImageError, ImageName};
use crate::progress::Progress;

/// An image in an archive.
pub(in crate::image) struct StoredImage {
    /// The archive.
    pub(in crate::image) archive: PathBuf,
    /// Its names in the archive.
    pub(in crate::image) names: Vec<ImageName>,
    /// What the archive calls it, also if that is not a name.
    pub(in crate::image) called: String,
    pub(in crate::image) platform: Platform,
    /// Its manifest, and the digest of the manifest.
    pub(in crate::image) manifest: Vec<u8>,
    pub(in crate::image) digest: String,
    pub(in crate::image) media_type: String,
    /// The configuration and the layers. Each digest occurs once.
    pub(in crate::image) blobs: Vec<StoredBlob>,
}

impl StoredImage {
    /// All images of an archive, for every platform.
    ///
    /// # Errors
    /// [`ImageError::BadImage`].
    pub(in crate::image) fn read_all(path: &Path, progress: &Progress) -> Result<Vec<Self>, ImageError> {
        let Archive { path, tar, images, .. } = Archive::read_wanted(path, progress, Wanted::EveryPlatform)?;
        let tar = Arc::new(tar);
        images.into_iter().map(|found| Self::of(found, &path, &tar)).collect()
    }

    /// The size of its configuration and its layers.
    pub(in crate::image) fn size(&self) -> u64 {
        self.blobs.iter().map(StoredBlob::size).sum()
    }

    fn of(found: Found, archive: &Path, tar: &Arc<TarIndex>) -> Result<Self, ImageError> {
        let bad = |why: String| ImageError::BadImage { path: archive.to_owned(), why };
        let called = found.called();
        let mut blobs: Vec<StoredBlob> = Vec::new();
        for (digest, place) in found.blobs {
            if !blobs.iter().any(|blob| blob.digest == digest) {
                blobs.push(StoredBlob { digest, place, tar: Arc::clone(tar) });
            }
        }
        // The configuration comes first in the files of every image.
        let configuration = blobs.first().map(|blob| tar.small(blob.place, LONGEST_JSON));
        let configuration = configuration.transpose().map_err(|problem| bad(problem.to_string()))?;
        let platform = Platform::of(&configuration.unwrap_or_default()).map_err(bad)?;
        let platform = platform.ok_or_else(|| bad(format!("the image {called} does not say its architecture")))?;
        Ok(Self {
            archive: archive.to_owned(),
            names: found.names,
            called,
            platform,
            manifest: found.manifest,
            digest: found.digest,
            media_type: found.media_type,
            blobs,
        })
    }
}

/// A configuration or a layer in an archive.
#[derive(Clone)]
pub(in crate::image) struct StoredBlob {
    pub(in crate::image) digest: String,
    place: Place,
    tar: Arc<TarIndex>,
}

impl StoredBlob {
    pub(in crate::image) fn size(&self) -> u64 {
        self.place.size
    }

    /// Up to `length` bytes from `offset` on.
    pub(in crate::image) fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.tar.read_at(self.place, offset, length)
    }
}
