//! Pulls images from their registries into the cache, and pushes images.

mod caller;
mod client;
mod credentials;
mod push;
mod refusal;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

pub(super) use self::credentials::files as credential_files;
pub(super) use self::push::{Sent, Session};

use self::client::DockerDaemon;
use self::refusal::{status, words};
use super::archive::{Archive, Entry, Manifest, digest_of, is_configuration, megabytes, temporary, write_layout};
use super::{Image, ImageName, ImageSources, platform};
use crate::image::ImageError;
use crate::io_error::IoError;
use crate::progress::{Progress, Step};
use crate::shutdown::{Shutdown, unless};
use crate::write_file::WriteFile;

/// How often progress in bytes is reported.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long a registry may take to send a manifest, with the resolution of its name.
const MANIFEST: Duration = Duration::from_secs(20);
/// How long a registry may neither send nor take anything.
const SILENCE: Duration = Duration::from_secs(30);
/// The kinds of manifests that an image can have.
const KINDS: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// An image by its name, from its registry. What is in the cache is not pulled again, and is used if the registry cannot be
/// reached.
///
/// # Errors
/// [`ImageError::Registry`], [`ImageError::Unauthorised`], [`ImageError::NotInRegistry`], [`ImageError::WrongPlatform`],
/// [`ImageError::Interrupted`].
pub(super) async fn pull(
    name: &ImageName,
    sources: &ImageSources,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<Image, ImageError> {
    let cache = Cache(&sources.cache);
    let known = cache.digest_of(name);
    // An image that is named by its digest never changes.
    let unchanged = known.as_ref().filter(|digest| name.digest() == Some(digest) || cache.index(name).is_some());
    if let Some(image) = unchanged.and_then(|digest| cache.image(name, digest)) {
        return Ok(image);
    }
    let step = progress.step(format!("pull {name}"));
    let daemon = DockerDaemon::read();
    let found = unless(shutdown, Pull::find(name, sources, &daemon)).await?;
    let pull = match (found, known.and_then(|digest| cache.image(name, &digest))) {
        (Err(ImageError::Registry { registry, why, .. }), Some(image)) => {
            progress.note(format!("{registry} cannot be reached ({why}); the image is from the cache"));
            step.done_with("from the cache");
            return Ok(image);
        }
        (found, _) => found?,
    };
    if let Some(image) = cache.image(name, &pull.digest) {
        cache.remember(name, &pull)?;
        step.done_with("from the cache");
        return Ok(image);
    }
    let blobs = unless(shutdown, pull.download(name, &step)).await??;
    let image = cache.keep(name, &pull, &blobs)?;
    step.done_with(megabytes(image.bytes));
    Ok(image)
}

/// The index whose digest a name has, of an image that was pulled by that name. Nodes need it for pods that name it so.
pub(super) fn index(name: &ImageName, sources: &ImageSources) -> Option<Vec<u8>> {
    Cache(&sources.cache).index(name)
}

/// The images in the cache: an archive by digest, the indexes that lead to it, and the digests of names.
struct Cache<'a>(&'a Path);

impl Cache<'_> {
    fn archive(&self, digest: &str) -> PathBuf {
        self.0.join("pulled").join(format!("{}.tar", digest.replace(':', "-")))
    }

    fn name_file(&self, name: &ImageName) -> PathBuf {
        self.0.join("names").join(digest_of(name.to_string().as_bytes()).replace(':', "-"))
    }

    fn digest_of(&self, name: &ImageName) -> Option<String> {
        let digest = fs::read_to_string(self.name_file(name)).ok()?;
        Some(digest.trim().to_owned()).filter(|digest| digest.starts_with("sha256:") && !digest.contains('/'))
    }

    /// An image in the cache, if it is there and undamaged.
    fn image(&self, name: &ImageName, digest: &str) -> Option<Image> {
        let image = Archive::read(&self.archive(digest), &Progress::silent()).ok()?.one(Some(name)).ok()?;
        (image.digest == digest).then_some(image)
    }

    fn index_file(&self, digest: &str) -> PathBuf {
        self.0.join("pulled").join(format!("{}.json", digest.replace(':', "-")))
    }

    /// The index whose digest a name has, if it is there and undamaged.
    fn index(&self, name: &ImageName) -> Option<Vec<u8>> {
        let content = fs::read(self.index_file(name.digest()?)).ok()?;
        (Some(digest_of(&content).as_str()) == name.digest()).then_some(content)
    }

    fn remember(&self, name: &ImageName, pull: &Pull) -> Result<(), ImageError> {
        if let Some(index) = &pull.index {
            write(&self.index_file(&digest_of(index)), index)?;
        }
        write(&self.name_file(name), pull.digest.as_bytes())
    }

    /// Keeps what was downloaded.
    fn keep(&self, name: &ImageName, pull: &Pull, blobs: &[Blob]) -> Result<Image, ImageError> {
        let path = self.archive(&pull.digest);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(directory_of(&path)?)?;
            let manifest = Manifest { content: &pull.manifest, digest: &pull.digest, media_type: &pull.media_type };
            let entries = blobs.iter().map(Blob::entry);
            write_layout(BufWriter::new(&mut file), &manifest, std::slice::from_ref(name), entries)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source: io::Error| IoError::file("write", &path, source))?;
        self.remember(name, pull)?;
        Archive::read(&path, &Progress::silent())?.one(Some(name))
    }
}

/// Writes a file into the cache.
fn write(path: &Path, content: &[u8]) -> Result<(), ImageError> {
    let written = directory_of(path).and_then(|_| WriteFile::internal().write(path, content));
    Ok(written.map_err(|source| IoError::file("write", path, source))?)
}

/// The directory of a file, which is created if necessary.
fn directory_of(path: &Path) -> io::Result<&Path> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    Ok(directory)
}

/// An image that was found in a registry.
struct Pull {
    client: Client,
    reference: Reference,
    manifest: Vec<u8>,
    digest: String,
    media_type: String,
    blobs: Vec<Descriptor>,
    /// The index through which it was found.
    index: Option<Vec<u8>>,
}

impl Pull {
    /// Finds the manifest for this machine: in a mirror, if Docker is configured to use one, or in the registry.
    async fn find(name: &ImageName, sources: &ImageSources, daemon: &DockerDaemon) -> Result<Self, ImageError> {
        if name.registry() == "docker.io" {
            for mirror in &daemon.registry_mirrors {
                let mut reference = name.reference().clone();
                reference.set_mirror_registry(client::mirror_name(mirror));
                if let Ok(found) = Self::find_at(name, reference, &RegistryAuth::Anonymous, daemon).await {
                    return Ok(found);
                }
            }
        }
        Self::find_at(name, name.reference().clone(), &credentials::find(name, &sources.credentials), daemon).await
    }

    async fn find_at(
        name: &ImageName,
        reference: Reference,
        auth: &RegistryAuth,
        daemon: &DockerDaemon,
    ) -> Result<Self, ImageError> {
        let failed =
            |why: String| ImageError::Registry { image: name.to_string(), registry: name.registry().into(), why };
        let client = client::client(name.registry(), daemon, Some(SILENCE)).map_err(failed)?;
        let manifest = async |reference: &Reference| {
            let answer = tokio::time::timeout(MANIFEST, client.pull_manifest_raw(reference, auth, &KINDS)).await;
            match answer {
                Ok(answer) => answer.map_err(|problem| refused(name, &problem)),
                Err(_) => Err(failed(format!("no answer within {} s", MANIFEST.as_secs()))),
            }
        };
        let (mut content, mut digest) = manifest(&reference).await?;
        let mut index = None;
        if let Ok(parsed) = ImageIndex::from_reader(&content[..]) {
            let entry = choose(name, &parsed)?.digest().to_string();
            index = Some(content.to_vec());
            (content, digest) = manifest(&reference.clone_with_digest(entry)).await?;
        }
        let parsed = ImageManifest::from_reader(&content[..])
            .map_err(|problem| failed(format!("it sent an invalid manifest ({problem})")))?;
        if !is_configuration(parsed.config().media_type()) {
            return Err(failed(format!("it has no image of this name, but {}", parsed.config().media_type())));
        }
        let media_type = parsed.media_type().as_ref().map_or_else(|| KINDS[0].to_owned(), ToString::to_string);
        let blobs = std::iter::once(parsed.config()).chain(parsed.layers()).cloned().collect();
        Ok(Self { client, reference, manifest: content.to_vec(), digest, media_type, blobs, index })
    }

    /// Downloads the configuration and the layers. The client verifies their digests.
    async fn download(&self, name: &ImageName, step: &Step) -> Result<Vec<Blob>, ImageError> {
        let total: u64 = self.blobs.iter().map(Descriptor::size).sum();
        let (mut received, mut reported) = (0, Instant::now());
        let mut blobs: Vec<Blob> = Vec::new();
        for descriptor in &self.blobs {
            let digest = descriptor.digest().to_string();
            if blobs.iter().any(|blob| blob.digest == digest) {
                continue;
            }
            let unwritten = |source| IoError::new("write a layer to a temporary file", source);
            let mut file = temporary().map_err(unwritten)?;
            let stream = self.client.pull_blob_stream(&self.reference, digest.as_str()).await;
            let mut stream = stream.map_err(|problem| refused(name, &problem))?;
            while let Some(part) = stream.next().await {
                let part = part.map_err(|problem| self.broken(name, &problem))?;
                file.write_all(&part).map_err(unwritten)?;
                received += part.len() as u64;
                if reported.elapsed() >= INTERVAL {
                    reported = Instant::now();
                    step.detail(format!("{} of {}", megabytes(received), megabytes(total)));
                }
            }
            let size = file.stream_position().map_err(unwritten)?;
            blobs.push(Blob { digest, size, file });
        }
        Ok(blobs)
    }

    fn broken(&self, name: &ImageName, problem: &io::Error) -> ImageError {
        let registry = self.reference.resolve_registry().to_owned();
        ImageError::Registry { image: name.to_string(), registry, why: words(problem) }
    }
}

/// A configuration or a layer that was downloaded.
struct Blob {
    digest: String,
    size: u64,
    file: File,
}

impl Blob {
    fn entry(&self) -> io::Result<Entry<'_>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        Ok(Entry { digest: &self.digest, size: self.size, content: Box::new(file.take(self.size)) })
    }
}

/// The entry of an index for this machine.
fn choose<'a>(name: &ImageName, index: &'a ImageIndex) -> Result<&'a Descriptor, ImageError> {
    let platforms = index.manifests().iter().filter_map(|entry| Some((entry, entry.platform().as_ref()?)));
    let named = platforms.map(|(entry, of)| (entry, format!("{}/{}", of.os(), of.architecture())));
    let named: Vec<_> = named.filter(|(_, platform)| platform != "unknown/unknown").collect();
    let wanted = platform::of_this_machine();
    if let Some((entry, _)) = named.iter().find(|(_, platform)| *platform == wanted) {
        return Ok(entry);
    }
    let mut found: Vec<_> = named.into_iter().map(|(_, platform)| platform).collect();
    found.dedup();
    Err(ImageError::WrongPlatform { image: name.to_string(), found: found.join(", "), wanted })
}

/// The error for what a registry refused.
fn refused(name: &ImageName, problem: &OciDistributionError) -> ImageError {
    let (image, registry, why) = (name.to_string(), name.registry().to_owned(), words(problem));
    match status(problem) {
        401 | 403 => ImageError::Unauthorised { image, registry, why },
        404 => ImageError::NotInRegistry { image, registry, why },
        _ => ImageError::Registry { image, registry, why },
    }
}
