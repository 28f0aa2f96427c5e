//! The images of an OCI layout.

use oci_spec::image::{Descriptor, Digest, ImageIndex, ImageManifest, MediaType};

use super::found::{Found, LONGEST_JSON, Wanted, descriptors, require_digest};
use super::tar_index::{Place, TarIndex};
use crate::image::platform::{self, Platform};
use crate::image::{ImageError, ImageName};

/// The annotation by which containerd gets the full name of an image.
pub(in crate::image) const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The annotation for the name of an image, or for its tag only.
pub(in crate::image) const OCI_NAME: &str = "org.opencontainers.image.ref.name";
/// How many indexes lead to a manifest at most.
const MOST_INDEXES: u8 = 3;

/// Why an image cannot be used, as the end of a sentence, or the platforms for which it is.
pub(super) enum Problem {
    Bad(String),
    WrongPlatform { image: String, found: String },
}

impl From<String> for Problem {
    fn from(why: String) -> Self {
        Self::Bad(why)
    }
}

impl Problem {
    pub(super) fn of(self, path: &std::path::Path) -> ImageError {
        match self {
            Self::Bad(why) => ImageError::BadImage { path: path.to_owned(), why },
            Self::WrongPlatform { image, found } => {
                ImageError::WrongPlatform { image, found, wanted: platform::of_this_machine() }
            }
        }
    }
}

/// All wanted images, each with all its names.
pub(super) fn images(tar: &TarIndex, index: Place, wanted: Wanted) -> Result<Vec<Found>, Problem> {
    let text = tar.small(index, LONGEST_JSON).map_err(|problem| format!("its index.json is invalid ({problem})"))?;
    let index =
        ImageIndex::from_reader(&text[..]).map_err(|problem| format!("its index.json is invalid ({problem})"))?;
    let mut images: Vec<Found> = Vec::new();
    let mut others = Vec::new();
    let only_one = index.manifests().len() == 1;
    for entry in index.manifests() {
        let mut leaves = Vec::new();
        leaves_of(tar, entry, MOST_INDEXES, &mut leaves)?;
        let is_direct = only_one && matches!(&leaves[..], [leaf] if leaf.digest() == entry.digest());
        let (names, label) = names_of(entry);
        for leaf in leaves {
            match image(tar, &leaf, &names, label.as_ref(), wanted)? {
                Leaf::Image(mut found) => {
                    if let Some(known) = images.iter_mut().find(|image| image.digest == found.digest) {
                        known.names.append(&mut found.names);
                    } else {
                        found.is_ready = is_direct && is_ready(entry, &found.names);
                        images.push(found);
                    }
                }
                Leaf::WrongPlatform(found) => others.push((called(&names, label.as_ref(), &leaf), found)),
                Leaf::NoImage => {}
            }
        }
    }
    match others.first() {
        Some((image, _)) if images.is_empty() => {
            let found = others.iter().map(|(_, platform)| platform.as_str()).collect::<Vec<_>>().join(", ");
            Err(Problem::WrongPlatform { image: image.clone(), found })
        }
        _ => Ok(images),
    }
}

fn called(names: &[ImageName], label: Option<&String>, leaf: &Descriptor) -> String {
    names.first().map(ToString::to_string).or(label.cloned()).unwrap_or_else(|| leaf.digest().to_string())
}

/// The manifests below an entry of an index.
fn leaves_of(tar: &TarIndex, entry: &Descriptor, depth: u8, leaves: &mut Vec<Descriptor>) -> Result<(), String> {
    let is_index = matches!(entry.media_type(), MediaType::ImageIndex)
        || entry.media_type().to_string() == "application/vnd.docker.distribution.manifest.list.v2+json";
    if !is_index {
        leaves.push(entry.clone());
        return Ok(());
    }
    let text = blob(tar, entry.digest())?;
    let index = ImageIndex::from_reader(&text[..]).map_err(|problem| format!("an index is invalid ({problem})"))?;
    // Tools that copy an image of one platform leave the others in its index.
    let stored = |entry: &&Descriptor| tar.find(&path(entry.digest())).is_some();
    for entry in index.manifests().iter().filter(stored) {
        if depth > 0 {
            leaves_of(tar, entry, depth - 1, leaves)?;
        }
    }
    Ok(())
}

/// What a manifest describes.
enum Leaf {
    Image(Found),
    WrongPlatform(String),
    /// A signature, an attestation or another artifact.
    NoImage,
}

fn image(
    tar: &TarIndex,
    entry: &Descriptor,
    names: &[ImageName],
    label: Option<&String>,
    wanted: Wanted,
) -> Result<Leaf, String> {
    let manifest = blob(tar, entry.digest())?;
    let parsed =
        ImageManifest::from_reader(&manifest[..]).map_err(|problem| format!("a manifest is invalid ({problem})"))?;
    if !is_configuration(parsed.config().media_type()) {
        return Ok(Leaf::NoImage);
    }
    let configuration = blob(tar, parsed.config().digest())?;
    // BuildKit's attestations have the platform "unknown/unknown".
    if Platform::of(&configuration)?.is_some_and(|platform| platform.to_string() == "unknown/unknown") {
        return Ok(Leaf::NoImage);
    }
    if let Some(found) = wanted.refuses(&configuration)? {
        return Ok(Leaf::WrongPlatform(found.to_string()));
    }
    let mut blobs = Vec::new();
    for descriptor in descriptors(&parsed) {
        let place = require(tar, descriptor.digest())?;
        require_digest(descriptor.digest().as_ref(), &tar.digest(place).map_err(|problem| problem.to_string())?)?;
        blobs.push((descriptor.digest().to_string(), place));
    }
    Ok(Leaf::Image(Found {
        names: names.to_owned(),
        label: label.cloned(),
        digest: entry.digest().to_string(),
        media_type: entry.media_type().to_string(),
        manifest,
        blobs,
        is_ready: false,
    }))
}

/// Whether a manifest with such a configuration is an image that can be run.
pub(in crate::image) fn is_configuration(media_type: &MediaType) -> bool {
    let text = media_type.to_string();
    matches!(media_type, MediaType::ImageConfig) || text == "application/vnd.docker.container.image.v1+json"
}

/// The name by the annotations of an entry, or only a tag.
fn names_of(entry: &Descriptor) -> (Vec<ImageName>, Option<String>) {
    let annotations = entry.annotations().as_ref();
    let given = [CONTAINERD_NAME, OCI_NAME].map(|key| annotations.and_then(|all| all.get(key)));
    let full = given.iter().flatten().filter(|name| name.contains(['/', ':'])).find_map(|name| name.parse().ok());
    (full.into_iter().collect(), given.into_iter().flatten().next().cloned())
}

/// Whether containerd gets the image by exactly this name from this entry.
fn is_ready(entry: &Descriptor, names: &[ImageName]) -> bool {
    let annotations = entry.annotations().as_ref();
    let given = annotations.and_then(|all| all.get(CONTAINERD_NAME).or_else(|| all.get(OCI_NAME)));
    matches!(names, [name] if given.is_some_and(|given| *given == name.to_string()))
}

fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}

fn require(tar: &TarIndex, digest: &Digest) -> Result<Place, String> {
    let path = path(digest);
    tar.find(&path).ok_or_else(|| format!("the archive is incomplete: {path} is missing"))
}

/// A manifest, a configuration or an index.
fn blob(tar: &TarIndex, digest: &Digest) -> Result<Vec<u8>, String> {
    let place = require(tar, digest)?;
    let read = || Ok((tar.digest(place)?, tar.small(place, LONGEST_JSON)?));
    let (found, content) =
        read().map_err(|problem: std::io::Error| format!("{} cannot be read ({problem})", path(digest)))?;
    require_digest(digest.as_ref(), &found)?;
    Ok(content)
}
