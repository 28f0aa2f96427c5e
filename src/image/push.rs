//! Pushes the images that this program builds to a registry: one name each, for all architectures that there are.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::archive::{StoredImage, digest_of, megabytes};
use super::build::{OWN_IMAGES, OwnImage};
use super::pack::tag_of;
use super::registry::{Sent, Session};
use super::{ImageSources, Repository};
use crate::image::ImageError;
use crate::progress::Progress;
use crate::shutdown::{Shutdown, unless};

/// The media type of an index.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is pushed, and where to.
pub struct Push<'a> {
    /// The repository. All images are pushed to it, because many registries make no repository by themselves.
    pub repository: &'a Repository,
    /// Archives with the same images for other architectures. An image in one of them that is for this machine is pushed
    /// instead of being built.
    pub archives: &'a [PathBuf],
    /// The directory of the cache for builds.
    pub cache: &'a Path,
    /// Where credentials are.
    pub sources: &'a ImageSources,
}

/// An image that is in the registry now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushedImage {
    /// Its short name: "server".
    pub name: String,
    /// The repository with the digest, which manifests name.
    pub reference: String,
    /// The digest of its manifest, or of the index of several.
    pub digest: String,
    /// Its tag, by the digest. Registries may remove what has no tag.
    pub tag: String,
    /// The platforms for which it is: `linux/amd64`.
    pub platforms: Vec<String>,
    /// Whether the registry had it.
    pub already_there: bool,
    /// What was sent of its files and manifests.
    pub bytes_sent: u64,
}

/// Pushes all images. Whether the archives can be used and the registry answers is checked before anything is built.
///
/// # Errors
/// [`ImageError::BadImage`], [`ImageError::UnknownImage`], [`ImageError::SamePlatform`], [`ImageError::NotPushed`],
/// [`ImageError::PushRefused`], [`ImageError::Interrupted`], and those of a build.
pub async fn push(
    request: &Push<'_>,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Vec<PushedImage>, ImageError> {
    let mut plans = OWN_IMAGES.map(|own| Plan { own, images: Vec::new() });
    assign(&mut plans, request.archives, progress)?;
    let step = progress.step(format!("log in to {}", request.repository.registry()));
    let session = unless(shutdown, Session::open(request.repository, request.sources)).await??;
    step.done();
    for plan in &mut plans {
        if !plan.images.iter().any(|image| image.platform.is_here()) {
            let built = plan.own.provide(request.cache, progress, shutdown).await?;
            for image in StoredImage::read_all(&built.import_path(), &Progress::silent())? {
                plan.add(image)?;
            }
        }
        plan.images.sort_by(|one, other| one.platform.cmp(&other.platform));
    }
    let mut pushed = Vec::new();
    for plan in &plans {
        pushed.push(unless(shutdown, plan.push(&session, request.repository, progress)).await??);
    }
    Ok(pushed)
}

/// One name and its images, one for each platform.
struct Plan {
    own: OwnImage,
    images: Vec<StoredImage>,
}

/// Assigns the images in archives to those that are pushed, by their names.
fn assign(plans: &mut [Plan], archives: &[PathBuf], progress: &Progress) -> Result<(), ImageError> {
    if archives.is_empty() {
        return Ok(());
    }
    let names = plans.iter().map(|plan| plan.own.repositories(&Progress::silent()));
    let names: Vec<Vec<String>> = names.collect::<Result<_, _>>()?;
    for path in archives {
        for image in StoredImage::read_all(path, progress)? {
            let of_image = image.names.iter().map(|name| format!("{}/{}", name.registry(), name.repository()));
            let found = of_image.into_iter().find_map(|name| names.iter().position(|known| known.contains(&name)));
            let Some(found) = found else {
                return Err(ImageError::UnknownImage {
                    path: image.archive,
                    image: image.called,
                    known: names.concat(),
                });
            };
            plans[found].add(image)?;
        }
    }
    Ok(())
}

impl Plan {
    fn add(&mut self, image: StoredImage) -> Result<(), ImageError> {
        if let Some(other) = self.images.iter().find(|other| other.platform == image.platform) {
            return Err(ImageError::SamePlatform {
                image: self.own.name().to_owned(),
                platform: image.platform.to_string(),
                first: other.archive.clone(),
                second: image.archive,
            });
        }
        self.images.push(image);
        Ok(())
    }

    async fn push(
        &self,
        session: &Session<'_>,
        repository: &Repository,
        progress: &Progress,
    ) -> Result<PushedImage, ImageError> {
        let name = self.own.name();
        let tag = |digest: &str| format!("{name}-{}", tag_of(digest));
        let step = progress.step(format!("push {name} to {repository}"));
        let top = self.top();
        let sent = Sent::new(&step, self.images.iter().map(StoredImage::size).sum());
        session.log_in().await?;
        let already_there = session.has(&tag(&top.digest), &top.digest).await?;
        if !already_there {
            for image in &self.images {
                for blob in &image.blobs {
                    session.send_blob(blob, &sent).await?;
                }
                session.send_manifest(&tag(&image.digest), &image.manifest, &image.media_type, &sent).await?;
            }
            if self.images.len() > 1 {
                session.send_manifest(&tag(&top.digest), &top.content, &top.media_type, &sent).await?;
            }
        }
        let bytes_sent = sent.bytes();
        step.done_with(if already_there { "already there".into() } else { format!("{} sent", megabytes(bytes_sent)) });
        Ok(PushedImage {
            name: name.to_owned(),
            reference: format!("{repository}@{}", top.digest),
            tag: tag(&top.digest),
            digest: top.digest,
            platforms: self.images.iter().map(|image| image.platform.to_string()).collect(),
            already_there,
            bytes_sent,
        })
    }

    /// The manifest that the name leads to: that of the only image, or an index of several.
    fn top(&self) -> Top {
        if let [image] = &self.images[..] {
            let (content, media_type) = (image.manifest.clone(), image.media_type.clone());
            return Top { content, digest: image.digest.clone(), media_type };
        }
        let entries = self.images.iter().map(|image| {
            json!({
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": image.manifest.len(),
                "platform": { "architecture": image.platform.architecture, "os": image.platform.os },
            })
        });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries.collect::<Vec<_>>() });
        let content = index.to_string().into_bytes();
        Top { digest: digest_of(&content), content, media_type: INDEX.to_owned() }
    }
}

/// A manifest or an index.
struct Top {
    content: Vec<u8>,
    digest: String,
    media_type: String,
}
