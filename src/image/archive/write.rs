//! Writes an archive that containerd imports as it should: one image, by its full names.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};

use serde_json::json;

use super::found::Found;
use super::oci::{CONTAINERD_NAME, OCI_NAME};
use super::open::temporary;
use super::tar_index::TarIndex;
use crate::image::ImageName;

/// A file of an archive: its path, size and content.
pub(in crate::image) struct Entry<'a> {
    pub(in crate::image) digest: &'a str,
    pub(in crate::image) size: u64,
    pub(in crate::image) content: Box<dyn Read + 'a>,
}

/// The manifest of an image that is written.
pub(in crate::image) struct Manifest<'a> {
    pub(in crate::image) content: &'a [u8],
    pub(in crate::image) digest: &'a str,
    pub(in crate::image) media_type: &'a str,
}

/// An archive in a temporary file with one image of another archive, by these names.
pub(super) fn write(tar: &TarIndex, found: &Found, names: &[ImageName]) -> io::Result<File> {
    let mut file = temporary()?;
    let manifest = Manifest { content: &found.manifest, digest: &found.digest, media_type: &found.media_type };
    let mut blobs = found.blobs.clone();
    blobs.sort_by(|one, other| one.0.cmp(&other.0));
    blobs.dedup_by(|one, other| one.0 == other.0);
    let blobs = blobs
        .iter()
        .map(|(digest, place)| Ok(Entry { digest, size: place.size, content: Box::new(tar.content(*place)?) }));
    write_layout(BufWriter::new(&mut file), &manifest, names, blobs)?;
    file.rewind()?;
    Ok(file)
}

/// Writes an OCI layout. Each blob is read before the next one is asked for.
pub(in crate::image) fn write_layout<'a>(
    to: impl Write,
    manifest: &Manifest<'_>,
    names: &[ImageName],
    blobs: impl Iterator<Item = io::Result<Entry<'a>>>,
) -> io::Result<()> {
    let entries = names.iter().map(|name| {
        json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.content.len(),
            "annotations": { CONTAINERD_NAME: name.to_string(), OCI_NAME: name.version() },
        })
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries.collect::<Vec<_>>(),
    });
    let mut archive = tar::Builder::new(to);
    append(&mut archive, "oci-layout", 30, &br#"{"imageLayoutVersion":"1.0.0"}"#[..])?;
    let index = index.to_string();
    append(&mut archive, "index.json", index.len() as u64, index.as_bytes())?;
    append(&mut archive, &path(manifest.digest), manifest.content.len() as u64, manifest.content)?;
    for blob in blobs {
        let blob = blob?;
        append(&mut archive, &path(blob.digest), blob.size, blob.content)?;
    }
    archive.into_inner()?.flush()
}

fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(size);
    header.set_mtime(0);
    archive.append_data(&mut header, path, content)
}
