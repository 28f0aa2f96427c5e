//! Archives as different tools make them, and broken ones.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::tar_index::digest_of;
use super::*;
use crate::image::{ImageSpec, pack};

const SPEC: ImageSpec = ImageSpec { name: "evenkeel.local/x", entrypoint: "x", description: "a test", port: None };

fn tar<T: AsRef<[u8]>>(files: &[(String, T)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.as_ref().len() as u64);
        archive.append_data(&mut header, path, content.as_ref()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn read(content: &[u8]) -> Result<Archive, ImageError> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("image.tar");
    std::fs::write(&path, content).unwrap();
    Archive::read(&path, &Progress::silent())
}

fn inspected(content: &[u8]) -> Result<Image, ImageError> {
    read(content)?.one(None)
}

fn why_not(content: &[u8]) -> String {
    match inspected(content).unwrap_err() {
        ImageError::BadImage { why, .. } => why,
        other => panic!("{other} should be a bad image"),
    }
}

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    compress_to_vec(content, CompressionLevel::Fastest)
}

/// An OCI layout under construction.
#[derive(Default)]
struct Layout {
    files: Vec<(String, Vec<u8>)>,
    entries: Vec<Value>,
}

impl Layout {
    fn blob(&mut self, media_type: &str, content: Vec<u8>) -> Value {
        let digest = digest_of(&content);
        let entry = json!({ "mediaType": media_type, "digest": digest, "size": content.len() });
        self.files.push((format!("blobs/{}", digest.replace(':', "/")), content));
        entry
    }

    fn image(&mut self, architecture: &str, layer: &[u8]) -> Value {
        let config =
            json!({ "os": "linux", "architecture": architecture, "rootfs": { "type": "layers", "diff_ids": [] } });
        let config = self.blob("application/vnd.oci.image.config.v1+json", config.to_string().into());
        let layer = self.blob("application/vnd.oci.image.layer.v1.tar", layer.to_owned());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
        self.blob(kind, manifest.to_string().into())
    }

    fn index(&mut self, entries: &[Value]) -> Value {
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": entries });
        self.blob(kind, index.to_string().into())
    }

    /// Adds an entry to the index of the layout.
    fn named(&mut self, mut entry: Value, key: &str, name: &str) -> &mut Self {
        if !key.is_empty() {
            entry["annotations"] = json!({ key: name });
        }
        self.entries.push(entry);
        self
    }

    fn tar(&self) -> Vec<u8> {
        let index = json!({ "schemaVersion": 2, "manifests": self.entries }).to_string();
        let mut files = self.files.clone();
        files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        files.push(("index.json".into(), index.into()));
        tar(&files)
    }
}

fn here() -> String {
    crate::image::platform::architecture().to_string()
}

fn docker(tags: &str) -> Vec<u8> {
    let manifest = format!(r#"[{{"Config":"0123.json","RepoTags":{tags},"Layers":["l/layer.tar"]}}]"#);
    tar(&[("0123.json".into(), "{}"), ("./l/layer.tar".into(), "x"), ("manifest.json".into(), &manifest)])
}

/// The image as containerd will see it.
fn imported(image: &Image) -> (Vec<String>, Image) {
    let archive = Archive::read(&image.import_path(), &Progress::silent()).unwrap();
    assert!(archive.images.len() == 1, "an import contains one image");
    let names = archive.images[0].names.iter().map(ToString::to_string).collect();
    (names, archive.one(None).unwrap())
}

#[test]
fn an_image_packed_here_is_imported_as_it_is() {
    let packed = pack(b"binary", &SPEC).unwrap();
    let image = inspected(&packed.archive).unwrap();
    assert_eq!((&image.reference, &image.digest), (&packed.reference, &packed.digest));
    assert_eq!(image.bytes, packed.archive.len() as u64);
    assert!(image.normalised.is_none());
}

#[test]
fn compressed_archives_are_unpacked() {
    let packed = pack(&vec![7; 100_000], &SPEC).unwrap();
    let (first, second) = packed.archive.split_at(70_000);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for compressed in [
        gzip(&packed.archive),
        [gzip(first), gzip(second)].concat(),
        zstd(&packed.archive),
        [zstd(first), skipped, zstd(second)].concat(),
    ] {
        let image = inspected(&compressed).unwrap();
        assert_eq!((&image.digest, image.bytes), (&packed.digest, compressed.len() as u64));
        assert_eq!(imported(&image).1.digest, packed.digest);
    }
    assert!(why_not(&gzip(&packed.archive)[..500]).contains("unpacked"));
    assert!(why_not(&zstd(&packed.archive)[..60]).contains("unpacked"));
    assert!(why_not(b"\xfd7zXZ\0rest").contains("compressed with xz"));
    assert!(why_not(b"BZh9rest").contains("compressed with bzip2"));
}

#[test]
fn short_names_are_completed_before_the_import() {
    for (key, given, full) in [
        (OCI_NAME, "myapp:1", "docker.io/library/myapp:1"),
        (OCI_NAME, "user/app", "docker.io/user/app:latest"),
        (CONTAINERD_NAME, "docker.io/myapp:1", "docker.io/library/myapp:1"),
        (OCI_NAME, "ghcr.io/a/b:1", "ghcr.io/a/b:1"),
    ] {
        let mut layout = Layout::default();
        let entry = layout.image(&here(), b"layer");
        let image = inspected(&layout.named(entry, key, given).tar()).unwrap();
        assert_eq!(image.reference, full);
        assert_eq!(image.normalised.is_none(), given == full, "{given}");
        if image.normalised.is_none() {
            continue;
        }
        let (names, again) = imported(&image);
        assert_eq!((&names[..], again.digest), (&[full.to_owned()][..], image.digest));
    }
    let image = inspected(&docker(r#"["myapp:1","user/app"]"#)).unwrap();
    assert_eq!(imported(&image).0, ["docker.io/library/myapp:1", "docker.io/user/app:latest"]);
}

#[test]
fn one_of_several_images_must_be_chosen() {
    let mut layout = Layout::default();
    for (given, layer) in [("web:1", b"web"), ("db:1", b"db_")] {
        let entry = layout.image(&here(), layer);
        layout.named(entry, OCI_NAME, given);
    }
    let several = layout.tar();
    let ImageError::SeveralImages { images, .. } = inspected(&several).unwrap_err() else { panic!("two images") };
    assert_eq!(images, ["docker.io/library/web:1", "docker.io/library/db:1"]);
    assert!(matches!(read(&several).unwrap().one(Some(&name("x:1"))), Err(ImageError::SeveralImages { .. })));
    let image = read(&several).unwrap().one(Some(&name("db:1"))).unwrap();
    assert_eq!(imported(&image).0, ["docker.io/library/db:1"]);
    let all = read(&several).unwrap().all().unwrap();
    let names: Vec<_> = all.iter().map(|image| imported(image).0.concat()).collect();
    assert_eq!(names, images);
    assert_ne!(all[0].digest, all[1].digest);
}

#[test]
fn an_image_without_a_name_gets_one() {
    let mut layout = Layout::default();
    let entry = layout.image(&here(), b"layer");
    for (tar, called) in [
        (layout.named(entry, OCI_NAME, "v1").tar(), "v1"),
        (docker("null"), "sha256:"),
        (docker("[]"), "sha256:"),
        (docker(r#"["a:"]"#), "sha256:"),
        (docker(r#"[":1"]"#), "sha256:"),
    ] {
        let ImageError::NoName { image, .. } = inspected(&tar).unwrap_err() else { panic!("no name") };
        assert!(image.starts_with(called), "{image}");
        assert!(matches!(read(&tar).unwrap().all(), Err(ImageError::NoName { .. })));
        let image = read(&tar).unwrap().one(Some(&name("myapp:2"))).unwrap();
        assert_eq!(imported(&image).0, ["docker.io/library/myapp:2"]);
    }
}

#[test]
fn the_image_for_this_machine_is_chosen() {
    let mut layout = Layout::default();
    let (other, own) = (layout.image("s390x", b"other"), layout.image(&here(), b"own"));
    // Its manifests of other platforms are not in the archive, as with `docker save`.
    let absent = json!({ "mediaType": own["mediaType"], "digest": digest_of(b"absent"), "size": 1 });
    let index = layout.index(&[other.clone(), absent, own.clone()]);
    let image = inspected(&layout.named(index, OCI_NAME, "app:1").tar()).unwrap();
    assert_eq!(
        (image.digest.as_str(), image.reference.as_str()),
        (own["digest"].as_str().unwrap(), "docker.io/library/app:1")
    );
    assert_eq!(imported(&image).1.digest, image.digest);

    let mut layout = Layout::default();
    let other = layout.image("s390x", b"other");
    let error = inspected(&layout.named(other, OCI_NAME, "app:1").tar()).unwrap_err().to_string();
    assert!(error.starts_with("docker.io/library/app:1 is for linux/s390x, and this machine runs linux/"), "{error}");
}

#[test]
fn a_damaged_image_is_refused_before_the_import() {
    let mut layout = Layout::default();
    let entry = layout.image(&here(), b"layer");
    layout.named(entry, OCI_NAME, "app:1");
    for damaged in 0..layout.files.len() {
        let mut layout = Layout { files: layout.files.clone(), entries: layout.entries.clone() };
        layout.files[damaged].1.push(b' ');
        let why = why_not(&layout.tar());
        assert!(why.contains("damaged") && why.contains("sha256:"), "{why}");
        layout.files.remove(damaged);
        assert!(why_not(&layout.tar()).contains("incomplete"));
    }
}

#[test]
fn an_import_needs_the_layers_packed_and_unpacked() {
    let content = vec![7; 100_000];
    let image = inspected(&pack(&content, &SPEC).unwrap().archive).unwrap();
    assert!((200_000..230_000).contains(&image.import_bytes), "{}", image.import_bytes);
    let mut layout = Layout::default();
    let entry = layout.image(&here(), &gzip(&content));
    let image = inspected(&layout.named(entry, OCI_NAME, "app:1").tar()).unwrap();
    assert!((100_000..110_000).contains(&image.import_bytes), "{}", image.import_bytes);
    for short in [&b""[..], b"x", b"\x1f\x8b", b"\x1f\x8b\x01\x02"] {
        let mut layout = Layout::default();
        let entry = layout.image(&here(), short);
        assert!(inspected(&layout.named(entry, OCI_NAME, "app:1").tar()).unwrap().import_bytes < 1_000);
    }
}

#[test]
fn a_layer_that_is_a_link_is_found() {
    let mut archive = tar::Builder::new(Vec::new());
    let manifest = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["1/layer.tar","2/layer.tar"]}]"#;
    for (path, content) in [("c.json", "{}"), ("1/layer.tar", "layer"), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, "2/layer.tar", "../1/layer.tar").unwrap();
    let image = inspected(&archive.into_inner().unwrap()).unwrap();
    assert_eq!(imported(&image).0, ["docker.io/library/a:1"]);
}

#[test]
fn a_pipe_is_read_once() {
    let directory = TempDir::new().unwrap();
    let pipe = directory.path().join("app.tar");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(is_pipe(&pipe));
    let packed = pack(b"binary", &SPEC).unwrap();
    let writer = std::thread::spawn({
        let (pipe, content) = (pipe.clone(), packed.archive.clone());
        move || std::fs::write(pipe, content).unwrap()
    });
    let image = Archive::read(&pipe, &Progress::silent()).unwrap().one(None).unwrap();
    writer.join().unwrap();
    assert_eq!((&image.archive, &image.digest), (&pipe, &packed.digest));
    assert_eq!(imported(&image).1.digest, packed.digest);
    let unused = Archive::read(&pipe, &Progress::silent()).err().unwrap().to_string();
    assert!(unused.contains("nothing writes to this pipe"), "{unused}");
}

#[test]
fn other_files_are_refused() {
    let file = |path: &str, content: &str| (path.to_owned(), content.to_owned());
    assert!(why_not(&tar(&[file("hello.txt", "hello")])).contains("neither"));
    assert!(why_not(b"").contains("neither"));
    assert!(why_not(&b"just some text, but enough of it\n".repeat(40)).contains("tar"));
    assert!(why_not(&tar(&[file("manifest.json", "[")])).contains("invalid"));
    assert!(why_not(&tar(&[file("manifest.json", "[]")])).contains("no image"));
    assert!(why_not(&tar(&[file("oci-layout", "{}"), file("index.json", "{}")])).contains("invalid"));
    let whole = pack(&[7; 4000], &SPEC).unwrap().archive;
    assert!(why_not(&whole[..3000]).contains("tar"));
}

#[test]
fn missing_files_and_directories_are_refused() {
    let directory = TempDir::new().unwrap();
    let refused = |path: &Path| Archive::read(path, &Progress::silent()).err().unwrap().to_string();
    assert!(refused(&directory.path().join("none.tar")).contains("no such file"));
    assert!(refused(directory.path()).contains("neither a file nor a pipe"));
}

#[test]
fn images_for_every_platform_are_read_with_all_their_files() {
    let mut layout = Layout::default();
    let entries = [layout.image("amd64", b"one"), layout.image("arm64", b"the other")];
    let index = layout.index(&entries);
    let directory = TempDir::new().unwrap();
    let stored = |content: &[u8]| {
        let path = directory.path().join("image.tar");
        std::fs::write(&path, content).unwrap();
        StoredImage::read_all(&path, &Progress::silent())
    };
    let images = stored(&gzip(&layout.named(index, OCI_NAME, "a.example/app:1").tar())).unwrap();
    let platforms: Vec<_> = images.iter().map(|image| image.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    for (image, layer) in images.iter().zip(["one", "the other"]) {
        assert_eq!(
            (&image.names[..], digest_of(&image.manifest)),
            (&[name("a.example/app:1")][..], image.digest.clone())
        );
        let last = &image.blobs[1];
        assert_eq!((image.blobs.len(), last.size()), (2, layer.len() as u64));
        assert_eq!(last.read_at(1, 100).unwrap(), &layer.as_bytes()[1..]);
        assert!(last.read_at(last.size(), 100).unwrap().is_empty());
    }
    let Err(error) = stored(&docker(r#"["app:1"]"#)) else { panic!("the image has no architecture") };
    assert!(error.to_string().ends_with("the image docker.io/library/app:1 does not say its architecture"), "{error}");
}
