//! Archives with images, of every tool that makes them: OCI layouts and docker's format, as tar, gzip or zstd, from a file
//! or a pipe.

mod docker;
mod found;
mod oci;
mod open;
mod stored;
mod tar_index;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::found::{Found, Wanted};
use self::oci::Problem;
use self::tar_index::TarIndex;
use super::{Image, ImageName};
use crate::image::ImageError;
use crate::io_error::IoError;
use crate::progress::Progress;

pub use open::is_pipe;

pub(in crate::image) use oci::{CONTAINERD_NAME, OCI_NAME, is_configuration};
pub(in crate::image) use open::{megabytes, temporary};
pub(in crate::image) use stored::{StoredBlob, StoredImage};
pub(in crate::image) use tar_index::digest_of;
pub(in crate::image) use write::{Entry, Manifest, write_layout};

/// An archive whose images were read and found complete.
pub struct Archive {
    path: PathBuf,
    bytes: u64,
    is_temporary: bool,
    tar: TarIndex,
    images: Vec<Found>,
}

impl Archive {
    /// Reads which images an archive contains, and whether all their files are there and undamaged.
    ///
    /// # Errors
    /// [`ImageError::BadImage`] when the file does not exist, or is no such archive; [`ImageError::WrongPlatform`] when all
    /// its images are for other machines.
    pub fn read(path: &Path, progress: &Progress) -> Result<Self, ImageError> {
        Self::read_wanted(path, progress, Wanted::ThisMachine)
    }

    fn read_wanted(path: &Path, progress: &Progress, wanted: Wanted) -> Result<Self, ImageError> {
        let bad = |why: String| ImageError::BadImage { path: path.to_owned(), why };
        let opened = open::open(path, progress).map_err(bad)?;
        let (bytes, is_temporary) = (opened.bytes, opened.is_temporary);
        let tar = TarIndex::read(opened.tar).map_err(|_| bad("it is not a tar archive, or it is damaged".into()))?;
        // An OCI layout has precedence, as in containerd.
        let images = match (tar.find("oci-layout").and(tar.find("index.json")), tar.find("manifest.json")) {
            (Some(index), _) => oci::images(&tar, index, wanted),
            (None, Some(manifest)) => docker::images(&tar, manifest, wanted),
            (None, None) => Err(Problem::Bad("the archive contains neither an OCI layout nor a docker image".into())),
        };
        let images = images.map_err(|problem| problem.of(path))?;
        if images.is_empty() {
            return Err(bad("the archive contains no image".into()));
        }
        let path = if is_temporary { path.to_owned() } else { path.canonicalize().unwrap_or_else(|_| path.to_owned()) };
        Ok(Self { path, bytes, is_temporary, tar, images })
    }

    /// All images, by the names that they have in the archive.
    ///
    /// # Errors
    /// [`ImageError::NoName`] when one has none.
    pub fn all(self) -> Result<Vec<Image>, ImageError> {
        match self.images.iter().find(|found| found.names.is_empty()) {
            Some(found) => Err(self.no_name(found)),
            None if self.images.len() == 1 => Ok(vec![self.only(None)?]),
            None => self.images.iter().map(|found| self.copy(found, &found.names)).collect(),
        }
    }

    /// One image. `name` says which one it is if there are several, and gives its name if there is only one.
    ///
    /// # Errors
    /// [`ImageError::SeveralImages`], [`ImageError::NoName`].
    pub fn one(self, name: Option<&ImageName>) -> Result<Image, ImageError> {
        let named = name.and_then(|name| Some((name, self.images.iter().find(|found| found.names.contains(name))?)));
        match (named, &self.images[..]) {
            (Some((name, found)), [_, _, ..]) => self.copy(found, std::slice::from_ref(name)),
            (_, [_]) => self.only(name),
            _ => {
                let images = self.images.iter().map(Found::called).collect();
                Err(ImageError::SeveralImages { path: self.path, images })
            }
        }
    }

    /// The only image, without a copy of the archive if containerd can import the archive as it is.
    fn only(self, name: Option<&ImageName>) -> Result<Image, ImageError> {
        let [found] = &self.images[..] else { return Err(self.no_name(&self.images[0])) };
        let names = name.map_or(&found.names[..], std::slice::from_ref);
        if names.is_empty() {
            return Err(self.no_name(found));
        }
        if !found.is_ready || names != found.names {
            return self.copy(found, names);
        }
        let mut image = self.image(found, names);
        image.normalised = self.is_temporary.then(|| Arc::new(self.tar.into_file()));
        Ok(image)
    }

    /// An image by these names, in an archive of its own.
    fn copy(&self, found: &Found, names: &[ImageName]) -> Result<Image, ImageError> {
        let written = write::write(&self.tar, found, names);
        let written = written.map_err(|source| IoError::new("write an image to a temporary file", source))?;
        Ok(Image { normalised: Some(Arc::new(written)), ..self.image(found, names) })
    }

    fn image(&self, found: &Found, names: &[ImageName]) -> Image {
        Image {
            archive: self.path.clone(),
            reference: names.first().map(ToString::to_string).unwrap_or_default(),
            names: names.to_owned(),
            digest: found.digest.clone(),
            bytes: self.bytes,
            import_bytes: found.import_bytes(&self.tar),
            normalised: None,
        }
    }

    fn no_name(&self, found: &Found) -> ImageError {
        ImageError::NoName { path: self.path.clone(), image: found.called() }
    }
}

#[cfg(test)]
mod tests;
