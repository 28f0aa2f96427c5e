//! Reads which image an archive contains: an OCI layout or docker's format, as tar or tar.gz.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use oci_spec::image::{Digest, ImageIndex, ImageManifest};
use serde::Deserialize;

use super::Image;
use crate::image::ImageError;

/// The maximum length of an index.
const LONGEST_INDEX: u64 = 4 << 20;
/// The maximum length of a manifest.
const LONGEST_MANIFEST: u64 = 1 << 20;
/// The maximum length of all manifests that are kept.
const MOST_OF_MANIFESTS: usize = 16 << 20;

/// Reads which image an archive contains, and whether all its files are there.
///
/// # Errors
/// [`ImageError::BadImage`] when the file does not exist, when it contains no image, or when the image has no name with a tag.
pub fn inspect(path: &Path) -> Result<Image, ImageError> {
    let bad = |why: String| ImageError::BadImage { path: path.to_owned(), why };
    let read_problem = |source: io::Error| bad(read_problem(&source));
    // This is checked before the file is opened, since opening a pipe without a writer would block.
    let metadata = path.metadata().map_err(read_problem)?;
    if metadata.file_type().is_fifo() {
        return Err(bad("it is a pipe, and an archive is read several times; save it to a file first".into()));
    }
    if !metadata.is_file() {
        return Err(bad("it is not a file".into()));
    }
    let archive = path.canonicalize().map_err(read_problem)?;
    let file = File::open(&archive).map_err(read_problem)?;
    let contents = Contents::read(file).map_err(|_| bad("it is not a tar archive, or it is damaged".into()))?;
    let ImageIdentity { reference, digest, layers } = contents.identify().map_err(bad)?;
    Ok(Image { archive, reference, digest, bytes: metadata.len(), import_bytes: contents.import_bytes(&layers) })
}

fn read_problem(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "there is no such file".into(),
        _ => source.to_string(),
    }
}

/// The identity of the image in an archive.
struct ImageIdentity {
    reference: String,
    digest: String,
    /// The paths of its layers, if the archive names them.
    layers: Vec<String>,
}

/// How large a file of an archive is.
#[derive(Clone, Copy, Default)]
struct Size {
    stored: u64,
    /// At least as much as this without compression.
    unpacked: u64,
}

/// The contents of an archive that are needed to identify its image.
#[derive(Default)]
struct Contents {
    files: BTreeMap<String, Size>,
    /// Files in `blobs/` that may be an image's manifest.
    manifests: BTreeMap<String, Vec<u8>>,
    /// `index.json` of an OCI layout.
    index: Option<Vec<u8>>,
    /// `manifest.json` of a docker archive.
    manifest: Option<Vec<u8>>,
}

impl Contents {
    fn read(mut file: File) -> io::Result<Self> {
        let mut magic = [0; 2];
        let gzip = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
        file.rewind()?;
        let file = BufReader::new(file);
        if gzip { Self::read_tar(MultiGzDecoder::new(file)) } else { Self::read_tar(file) }
    }

    fn read_tar(tar: impl Read) -> io::Result<Self> {
        let mut contents = Self::default();
        for entry in tar::Archive::new(tar).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
            let mut content = Vec::new();
            match path.as_str() {
                "index.json" | "manifest.json" => {
                    entry.by_ref().take(LONGEST_INDEX).read_to_end(&mut content)?;
                    let slot = if path == "index.json" { &mut contents.index } else { &mut contents.manifest };
                    *slot = Some(content);
                    contents.files.insert(path, Size::default());
                }
                _ if path.starts_with("blobs/") && entry.size() <= LONGEST_MANIFEST => {
                    entry.by_ref().read_to_end(&mut content)?;
                    contents.files.insert(path.clone(), Size::of(content.as_slice())?);
                    contents.keep_manifest(path, content);
                }
                _ => {
                    contents.files.insert(path, Size::of(&mut entry)?);
                }
            }
        }
        Ok(contents)
    }

    fn keep_manifest(&mut self, path: String, content: Vec<u8>) {
        let kept: usize = self.manifests.values().map(Vec::len).sum();
        if content.starts_with(b"{") && kept + content.len() <= MOST_OF_MANIFESTS {
            self.manifests.insert(path, content);
        }
    }

    /// What a node needs to import these layers: containerd keeps them as they are and unpacks them as well. It is an
    /// estimate from below.
    fn import_bytes(&self, layers: &[String]) -> u64 {
        let sizes = layers.iter().collect::<BTreeSet<_>>().into_iter().filter_map(|layer| self.files.get(layer));
        sizes.map(|size| size.stored.saturating_add(size.unpacked)).fold(0, u64::saturating_add)
    }

    /// Which image it is, or what is wrong. An OCI layout has precedence, as in containerd.
    fn identify(&self) -> Result<ImageIdentity, String> {
        match (&self.index, &self.manifest) {
            (Some(index), _) if self.files.contains_key("oci-layout") => self.identify_oci(index),
            (_, Some(manifest)) => self.identify_docker(manifest),
            _ => Err("the archive contains neither an OCI layout nor a docker image".into()),
        }
    }

    fn identify_oci(&self, index: &[u8]) -> Result<ImageIdentity, String> {
        let index =
            ImageIndex::from_reader(index).map_err(|problem| format!("its index.json is invalid ({problem})"))?;
        let named = index.manifests().iter().find_map(|manifest| {
            let annotations = manifest.annotations().as_ref()?;
            let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
            let reference = names.iter().filter_map(|name| annotations.get(*name)).find(|name| is_tagged(name))?;
            Some((reference.clone(), manifest.digest()))
        });
        let (reference, digest) = named.ok_or_else(no_tag)?;
        let blob = |digest: &Digest| format!("blobs/{}/{}", digest.algorithm(), digest.digest());
        let path = blob(digest);
        self.require(&path)?;
        // An index of several platforms has no layers of its own.
        let manifest = self.manifests.get(&path).and_then(|content| ImageManifest::from_reader(&content[..]).ok());
        let layers = manifest.iter().flat_map(ImageManifest::layers).map(|layer| blob(layer.digest()));
        Ok(ImageIdentity { reference, digest: digest.to_string(), layers: layers.collect() })
    }

    fn identify_docker(&self, manifest: &[u8]) -> Result<ImageIdentity, String> {
        let images: Vec<DockerImage> =
            serde_json::from_slice(manifest).map_err(|problem| format!("its manifest.json is invalid ({problem})"))?;
        let tagged = |image: &DockerImage| image.repo_tags.iter().flatten().find(|name| is_tagged(name)).cloned();
        let (reference, image) = images.iter().find_map(|image| Some((tagged(image)?, image))).ok_or_else(no_tag)?;
        self.require(&image.config)?;
        image.layers.iter().try_for_each(|layer| self.require(layer))?;
        let digest = image.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        let digest = format!("sha256:{digest}");
        Ok(ImageIdentity { reference, digest, layers: image.layers.clone() })
    }

    fn require(&self, path: &str) -> Result<(), String> {
        if self.files.contains_key(path) {
            Ok(())
        } else {
            Err(format!("the archive is incomplete: {path} is missing"))
        }
    }
}

impl Size {
    /// Reads a file to its end. The last four bytes of gzip are the unpacked size, which is far quicker than unpacking. It
    /// is an estimate from below: those bytes count modulo 4 GiB, and only the last part of a file of several parts.
    fn of(mut file: impl Read) -> io::Result<Self> {
        let mut magic = Vec::new();
        file.by_ref().take(2).read_to_end(&mut magic)?;
        let mut rest = LastBytes::default();
        let stored = magic.len() as u64 + io::copy(&mut file, &mut rest)?;
        let unpacked = if magic == [0x1f, 0x8b] { u64::from(u32::from_le_bytes(rest.0)) } else { 0 };
        Ok(Self { stored, unpacked: unpacked.max(stored) })
    }
}

/// Keeps the last four bytes of what is written to it.
#[derive(Default)]
struct LastBytes([u8; 4]);

impl Write for LastBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let last = &bytes[bytes.len().saturating_sub(self.0.len())..];
        self.0.rotate_left(last.len());
        let kept = self.0.len() - last.len();
        self.0[kept..].copy_from_slice(last);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An element of `manifest.json` in docker's format.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Whether a reference has a name and a tag; the port of a registry is not a tag.
fn is_tagged(reference: &str) -> bool {
    let last = reference.rsplit('/').next().unwrap_or_default();
    !reference.contains(char::is_whitespace)
        && last.split_once(':').is_some_and(|(name, tag)| !name.is_empty() && !tag.is_empty())
}

fn no_tag() -> String {
    "the image has no name with a tag, such as evenkeel.local/server:1, which a pod needs to refer to it".into()
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use tempfile::TempDir;

    use super::*;
    use crate::image::{ImageSpec, pack};

    const SPEC: ImageSpec = ImageSpec { name: "evenkeel.local/x", entrypoint: "x", description: "a test", port: None };

    fn tar(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn inspected(content: &[u8]) -> Result<Image, ImageError> {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("image.tar");
        std::fs::write(&path, content).unwrap();
        inspect(&path)
    }

    fn why_not(content: &[u8]) -> String {
        let error = inspected(content).unwrap_err();
        match error {
            ImageError::BadImage { why, .. } => why,
            other => panic!("{other} should be a bad image"),
        }
    }

    const CONFIG: &str = "0123456789abcdef.json";

    fn docker(tags: &str) -> Vec<u8> {
        let manifest = format!(r#"[{{"Config":"{CONFIG}","RepoTags":{tags},"Layers":["l/layer.tar"]}}]"#);
        tar(&[(CONFIG, "{}"), ("./l/layer.tar", "x"), ("manifest.json", &manifest)])
    }

    #[test]
    fn an_image_packed_here_is_recognised() {
        let packed = pack(b"binary", &SPEC).unwrap();
        let image = inspected(&packed.archive).unwrap();
        assert_eq!((image.reference, image.digest), (packed.reference, packed.digest));
        assert_eq!(image.bytes, packed.archive.len() as u64);
    }

    #[test]
    fn a_compressed_archive_is_recognised() {
        let packed = pack(b"binary", &SPEC).unwrap();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&packed.archive).unwrap();
        let gzip = gzip.finish().unwrap();
        let image = inspected(&gzip).unwrap();
        assert_eq!(image.digest, packed.digest);
        assert_eq!(image.bytes, gzip.len() as u64);
    }

    #[test]
    fn an_import_needs_the_layers_packed_and_unpacked() {
        let binary = vec![7; 100_000];
        let image = inspected(&pack(&binary, &SPEC).unwrap().archive).unwrap();
        assert!((200_000..230_000).contains(&image.import_bytes), "{}", image.import_bytes);
        assert_eq!(inspected(&docker(r#"["a:1"]"#)).unwrap().import_bytes, 2);

        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&binary).unwrap();
        let gzip = gzip.finish().unwrap();
        let size = |content: &[u8]| Size::of(content).map(|size| (size.stored, size.unpacked)).unwrap();
        assert_eq!(size(&gzip), (gzip.len() as u64, 100_000));
        // The second part unpacks to nothing, as in layers that can be read from any place.
        let empty = GzEncoder::new(Vec::new(), Compression::fast()).finish().unwrap();
        let parts = [gzip, empty].concat();
        assert_eq!(size(&parts), (parts.len() as u64, parts.len() as u64));
        for short in [&b""[..], b"x", b"\x1f\x8b", b"\x1f\x8b\x01\x02"] {
            assert_eq!(size(short).0, short.len() as u64);
        }
    }

    #[test]
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
        let directory = TempDir::new().unwrap();
        let pipe = directory.path().join("app.tar");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(inspect(&pipe).unwrap_err().to_string().contains("it is a pipe"));
    }

    #[test]
    fn docker_archives_are_recognised() {
        let image = inspected(&docker(r#"["localhost:5000/a/b:1"]"#)).unwrap();
        assert_eq!(image.reference, "localhost:5000/a/b:1");
        assert_eq!(image.digest, "sha256:0123456789abcdef");
    }

    #[test]
    fn an_image_without_a_tag_is_refused() {
        for tags in ["null", "[]", r#"["localhost:5000/a"]"#, r#"["a:"]"#, r#"[":1"]"#] {
            assert!(why_not(&docker(tags)).contains("tag"), "{tags}");
        }
        let digest = format!("sha256:{}", "0".repeat(64));
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,
            "digest":"{digest}","annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}"#
        );
        assert!(why_not(&tar(&[("oci-layout", "{}"), ("index.json", &index)])).contains("tag"));
        assert!(
            why_not(&tar(&[("oci-layout", "{}"), ("index.json", &index.replace("latest", "a:1"))]))
                .contains("incomplete")
        );
    }

    #[test]
    fn other_files_are_refused() {
        assert!(why_not(&tar(&[("hello.txt", "hello")])).contains("neither"));
        assert!(why_not(b"").contains("neither"));
        assert!(why_not(&b"just some text, but enough of it\n".repeat(40)).contains("tar"));
        assert!(why_not(&tar(&[("manifest.json", "[")])).contains("invalid"));
        assert!(why_not(&tar(&[("oci-layout", "{}"), ("index.json", "{}")])).contains("invalid"));
        let whole = pack(&[7; 4000], &SPEC).unwrap().archive;
        assert!(why_not(&whole[..3000]).contains("tar"));
    }

    #[test]
    fn missing_files_and_directories_are_refused() {
        let directory = TempDir::new().unwrap();
        assert!(inspect(&directory.path().join("none.tar")).unwrap_err().to_string().contains("no such file"));
        assert!(inspect(directory.path()).unwrap_err().to_string().contains("not a file"));
    }
}
