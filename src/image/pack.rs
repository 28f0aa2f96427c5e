//! Packs static binaries as OCI archives. The same files give the same bytes.

use std::collections::HashMap;
use std::fmt::Write;
use std::io;

use oci_spec::OciSpecError;
use oci_spec::image::{
    ConfigBuilder, Descriptor, Digest, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType,
    OciLayoutBuilder, Os, Platform, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION,
};
use serde::Serialize;
use sha2::Digest as _;

use super::archive::{CONTAINERD_NAME, OCI_NAME};
use super::platform::architecture;
use crate::image::ImageError;

/// The user that the binary runs as; most images without a shell call it "nonroot".
const USER: &str = "65532:65532";
/// The number of digits of the digest in the tag.
const TAG_DIGITS: usize = 12;

/// The properties of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// Its name without the tag: `evenkeel.local/server`.
    pub name: &'static str,
    /// The binary in the root directory that the image starts: `evenkeel-server`.
    pub entrypoint: &'static str,
    /// A short description.
    pub description: &'static str,
    /// The port on which it listens, if any.
    pub port: Option<u16>,
}

/// A packed image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its name, with a tag from its digest.
    pub reference: String,
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// The archive.
    pub archive: Vec<u8>,
}

impl Packed {
    /// The tag: the first digits of the digest.
    #[must_use]
    pub fn tag(&self) -> &str {
        tag_of(&self.digest)
    }
}

/// The tag by a digest.
pub(super) fn tag_of(digest: &str) -> &str {
    let digits = digest.rsplit(':').next().unwrap_or(digest);
    digits.get(..TAG_DIGITS).unwrap_or(digits)
}

/// A file of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TarFile<'a> {
    /// Its path, without the first slash.
    pub path: &'a str,
    /// Its permissions: 0o755.
    pub mode: u32,
    /// Its content.
    pub content: &'a [u8],
}

/// Packs `binary` as the only file of an image.
///
/// # Errors
/// [`ImageError::BuildFailed`] when the archive cannot be created.
pub fn pack(binary: &[u8], spec: &ImageSpec) -> Result<Packed, ImageError> {
    pack_files(&[TarFile { path: spec.entrypoint, mode: 0o755, content: binary }], spec)
}

/// Packs `files`, one of which is the spec's entrypoint, as an image.
///
/// # Errors
/// [`ImageError::BuildFailed`] when the archive cannot be created.
pub fn pack_files(files: &[TarFile<'_>], spec: &ImageSpec) -> Result<Packed, ImageError> {
    assemble(files, spec).map_err(|problem| ImageError::BuildFailed {
        what: format!("the image {}", spec.name),
        why: problem.to_string(),
        remedy: None,
    })
}

fn assemble(files: &[TarFile<'_>], spec: &ImageSpec) -> Result<Packed, Box<dyn std::error::Error>> {
    // Not compressed, so that the import only copies; the archive is small enough.
    let layer = Blob::new(MediaType::ImageLayer, tar(files.iter().map(|file| (file.path, file.mode, file.content)))?)?;
    let config = Blob::json(MediaType::ImageConfig, &configuration(spec, &layer.digest)?)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config.descriptor())
        .layers(vec![layer.descriptor()])
        .build()?;
    let manifest = Blob::json(MediaType::ImageManifest, &manifest)?;

    let digest = manifest.digest.to_string();
    let tag = tag_of(&digest);
    let reference = format!("{}:{tag}", spec.name);
    let mut entry = manifest.descriptor();
    entry.set_platform(Some(platform()?));
    entry.set_annotations(Some(strings([(CONTAINERD_NAME, reference.as_str()), (OCI_NAME, tag)])));
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![entry])
        .build()?;
    let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;

    let (index, layout) = (canonical(&index)?, canonical(&layout)?);
    let mut blobs =
        [layer, config, manifest].map(|blob| (format!("blobs/sha256/{}", blob.digest.digest()), blob.content));
    blobs.sort();
    let mut files: Vec<(&str, u32, &[u8])> =
        blobs.iter().map(|(path, content)| (path.as_str(), 0o644, content.as_slice())).collect();
    files.push(("index.json", 0o644, &index));
    files.push(("oci-layout", 0o644, &layout));
    let archive = tar(files)?;
    Ok(Packed { reference, digest, archive })
}

fn configuration(spec: &ImageSpec, layer: &Digest) -> Result<impl Serialize, OciSpecError> {
    let mut config = ConfigBuilder::default()
        .user(USER)
        .entrypoint(vec![format!("/{}", spec.entrypoint)])
        .working_dir("/")
        .stop_signal("SIGTERM")
        .labels(strings([
            ("org.opencontainers.image.title", spec.entrypoint),
            ("org.opencontainers.image.description", spec.description),
            ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION")),
            ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE")),
        ]));
    if let Some(port) = spec.port {
        config = config.exposed_ports(vec![format!("{port}/tcp")]);
    }
    ImageConfigurationBuilder::default()
        .architecture(architecture())
        .os(Os::Linux)
        .config(config.build()?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(vec![layer.to_string()]).build()?)
        .build()
}

fn platform() -> Result<Platform, OciSpecError> {
    PlatformBuilder::default().architecture(architecture()).os(Os::Linux).build()
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A part of an image, identified by its digest.
struct Blob {
    media_type: MediaType,
    digest: Digest,
    content: Vec<u8>,
}

impl Blob {
    fn new(media_type: MediaType, content: Vec<u8>) -> Result<Self, OciSpecError> {
        let mut digest = String::from("sha256:");
        for byte in sha2::Sha256::digest(&content) {
            // Writing to a String cannot fail.
            let _ = write!(digest, "{byte:02x}");
        }
        Ok(Self { media_type, digest: digest.parse()?, content })
    }

    fn json(media_type: MediaType, value: &impl Serialize) -> Result<Self, Box<dyn std::error::Error>> {
        Ok(Self::new(media_type, canonical(value)?)?)
    }

    fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.content.len() as u64, self.digest.clone())
    }
}

/// JSON with sorted keys, because `oci_spec` keeps labels and annotations in hash maps.
fn canonical(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let value = serde_json::to_value(value)?;
    serde_json::to_vec(&value)
}

/// A tar archive of these files, owned by root and with modification time 0.
fn tar<'a>(files: impl IntoIterator<Item = (&'a str, u32, &'a [u8])>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive.append_data(&mut header, path, content)?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::{Value, json};

    use super::*;

    const SPEC: ImageSpec =
        ImageSpec { name: "evenkeel.local/x", entrypoint: "x", description: "a test", port: Some(3000) };

    fn unpacked(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), content)
        };
        archive.entries().unwrap().map(read).collect()
    }

    fn json_of(files: &[(String, Vec<u8>)], digest: &Value) -> Value {
        serde_json::from_slice(blob(files, digest)).unwrap()
    }

    fn blob<'a>(files: &'a [(String, Vec<u8>)], digest: &Value) -> &'a [u8] {
        let path = format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));
        &files.iter().find(|(name, _)| *name == path).unwrap().1
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let first = pack(b"binary", &SPEC).unwrap();
        for _ in 0..20 {
            assert_eq!(pack(b"binary", &SPEC).unwrap(), first);
        }
        assert_ne!(pack(b"binarz", &SPEC).unwrap().digest, first.digest);
        let other = ImageSpec { description: "another", ..SPEC };
        assert_ne!(pack(b"binary", &other).unwrap().reference, first.reference);
    }

    #[test]
    fn the_archive_is_an_oci_layout_of_one_file() {
        let packed = pack(b"binary", &SPEC).unwrap();
        let files = unpacked(&packed.archive);
        assert_eq!(files.len(), 5, "layer, configuration, manifest, index, layout");
        assert!(files.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(files[4], ("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        let index: Value = serde_json::from_slice(&files[3].1).unwrap();
        let entry = &index["manifests"][0];
        assert_eq!(entry["digest"], packed.digest);
        assert_eq!(entry["annotations"]["io.containerd.image.name"], packed.reference);
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], packed.tag());
        assert_eq!(entry["platform"]["os"], "linux");
        assert_eq!(packed.reference, format!("evenkeel.local/x:{}", &packed.digest[7..19]));

        let manifest = json_of(&files, &entry["digest"]);
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar");
        let config = json_of(&files, &manifest["config"]["digest"]);
        assert_eq!(config["rootfs"], json!({"type": "layers", "diff_ids": [manifest["layers"][0]["digest"]]}));
        let expected = json!({
            "User": "65532:65532",
            "Entrypoint": ["/x"],
            "ExposedPorts": {"3000/tcp": {}},
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "x",
                "org.opencontainers.image.description": "a test",
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        });
        assert_eq!(config["config"], expected);
        assert_eq!(config.get("created"), None);
    }

    #[test]
    fn the_layer_holds_the_binary_and_nothing_else() {
        let packed = pack(b"binary", &SPEC).unwrap();
        let files = unpacked(&packed.archive);
        let index: Value = serde_json::from_slice(&files[3].1).unwrap();
        let manifest = json_of(&files, &index["manifests"][0]["digest"]);
        let layer = blob(&files, &manifest["layers"][0]["digest"]);
        assert_eq!(unpacked(layer), [("x".to_owned(), b"binary".to_vec())]);
        let mut archive = tar::Archive::new(layer);
        let mode = archive.entries().unwrap().next().unwrap().unwrap().header().mode().unwrap();
        assert_eq!(mode, 0o755);
    }

    #[test]
    fn digests_are_of_the_content() {
        let packed = pack(b"binary", &SPEC).unwrap();
        for (path, content) in unpacked(&packed.archive) {
            if let Some(hex) = path.strip_prefix("blobs/sha256/") {
                let blob = Blob::new(MediaType::ImageLayer, content).unwrap();
                assert_eq!(blob.digest.digest(), hex);
            }
        }
    }
}
