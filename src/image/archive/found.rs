//! An image in an archive, whatever the archive's format.

use std::io::Read;

use oci_spec::image::{Descriptor, ImageManifest};

use super::tar_index::{Place, TarIndex};
use crate::image::ImageName;
use crate::image::platform::Platform;

/// The maximum length of a manifest, a configuration or an index.
pub(super) const LONGEST_JSON: u64 = 4 << 20;

/// An image in an archive.
pub(super) struct Found {
    /// Its names in the archive.
    pub(super) names: Vec<ImageName>,
    /// What the archive calls it if that is not a name: a tag.
    pub(super) label: Option<String>,
    /// Its manifest, and the digest of the manifest.
    pub(super) manifest: Vec<u8>,
    pub(super) digest: String,
    pub(super) media_type: String,
    /// The configuration and the layers, by digest.
    pub(super) blobs: Vec<(String, Place)>,
    /// Whether the archive's own index gives containerd exactly this image by its full name.
    pub(super) is_ready: bool,
}

impl Found {
    /// What a node needs to import it: containerd keeps the layers as they are and unpacks them as well. It is an estimate
    /// from below.
    pub(super) fn import_bytes(&self, tar: &TarIndex) -> u64 {
        let mut blobs = self.blobs.clone();
        blobs.sort_by(|one, other| one.0.cmp(&other.0));
        blobs.dedup_by(|one, other| one.0 == other.0);
        let needed = blobs.iter().map(|(_, place)| place.size.saturating_add(unpacked_size(tar, *place)));
        needed.fold(0, u64::saturating_add)
    }

    /// Its name, or what else it is called in the archive.
    pub(super) fn called(&self) -> String {
        let name = self.names.first().map(ToString::to_string);
        name.or(self.label.clone()).unwrap_or_else(|| self.digest.clone())
    }
}

/// The last four bytes of gzip are the unpacked size, which is far quicker than unpacking. It is an estimate from below:
/// those bytes count modulo 4 GiB, and only the last part of a file of several parts.
fn unpacked_size(tar: &TarIndex, place: Place) -> u64 {
    /// An empty file in gzip.
    const SHORTEST: u64 = 18;
    let trailer = || {
        let mut magic = [0; 2];
        tar.content(place).ok()?.read_exact(&mut magic).ok()?;
        if magic != [0x1f, 0x8b] || place.size < SHORTEST {
            return None;
        }
        let mut last = [0; 4];
        tar.content(place.last(4)?).ok()?.read_exact(&mut last).ok()?;
        Some(u64::from(u32::from_le_bytes(last)))
    };
    trailer().unwrap_or_default().max(place.size)
}

/// Which images of an archive are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that this machine can run, and those that do not say where they run.
    ThisMachine,
    /// All.
    EveryPlatform,
}

impl Wanted {
    /// The platform of an image that is not wanted: `linux/arm64`.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub(super) fn refuses(self, configuration: &[u8]) -> Result<Option<Platform>, String> {
        let platform = Platform::of(configuration)?;
        Ok(platform.filter(|platform| self == Self::ThisMachine && !platform.is_here()))
    }
}

/// The configuration and the layers of a manifest.
pub(super) fn descriptors(manifest: &ImageManifest) -> impl Iterator<Item = &Descriptor> {
    std::iter::once(manifest.config()).chain(manifest.layers())
}

/// Refuses a file whose content does not have its digest.
pub(super) fn require_digest(expected: &str, found: &str) -> Result<(), String> {
    if expected == found || !expected.starts_with("sha256:") {
        return Ok(());
    }
    Err(format!("the archive is damaged: expected {expected}, found {found}"))
}
