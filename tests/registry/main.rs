//! Images are pulled from and pushed to a real registry, CNCF Distribution's, on this machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panic")]

mod archive;
mod go_program;
mod push;
mod server;

use std::fs;
use std::sync::{Arc, Mutex};

use evenkeel::image::{Image, ImageError, ImageName, ImageSources, ImageSpec, find, index_of, pack};
use evenkeel::progress::{Progress, ProgressEvent};
use evenkeel::shutdown::Shutdown;
use oci_client::Reference;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Registry, digest};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const SPEC: ImageSpec = ImageSpec { name: "test.local/app", entrypoint: "app", description: "a test", port: None };

/// Pushes an image for a platform, and returns its entry for an index.
async fn push(registry: &Registry, name: &ImageName, architecture: &str, layer: &[u8]) -> Value {
    let image = registry.log_in(name).await;
    let rootfs = json!({ "type": "layers", "diff_ids": [digest(layer)] });
    let config = json!({ "os": "linux", "architecture": architecture, "rootfs": rootfs }).to_string();
    let mut config = registry.push_blob(&image, config.as_bytes()).await;
    let mut layer = registry.push_blob(&image, layer).await;
    config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar");
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let manifest = registry.push_manifest(&image, &manifest, MANIFEST).await;
    let platform = json!({ "os": "linux", "architecture": architecture });
    json!({ "mediaType": MANIFEST, "digest": manifest.0, "size": manifest.1, "platform": platform })
}

fn here() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// A cache, and what a pull reports.
struct Caller {
    files: TempDir,
    sources: ImageSources,
    events: Arc<Mutex<Vec<ProgressEvent>>>,
}

impl Caller {
    fn new() -> Self {
        let files = TempDir::new().unwrap();
        let sources = ImageSources { cache: files.path().join("images"), credentials: Vec::new() };
        Self { files, sources, events: Arc::default() }
    }

    async fn find(&self, name: &ImageName) -> Result<Image, ImageError> {
        let events = Arc::clone(&self.events);
        let progress = Progress::new(move |event| events.lock().unwrap().push(event));
        find(name, &self.sources, &progress, &Shutdown::new()).await
    }

    /// The result of the last step.
    fn result(&self) -> String {
        let events = self.events.lock().unwrap();
        let result = |event: &ProgressEvent| match event {
            ProgressEvent::Done { result, .. } => result.clone(),
            _ => None,
        };
        events.iter().rev().find_map(result).unwrap_or_default()
    }
}

#[tokio::test]
async fn the_image_for_this_machine_is_pulled_once() {
    let registry = Registry::start(false);
    let caller = Caller::new();
    let name = registry.name("shop/app:1");
    let (other, own) = (push(&registry, &name, "s390x", b"other").await, push(&registry, &name, here(), b"own").await);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [other, own] });
    let image: Reference = name.to_string().parse().unwrap();
    let (index, _) = registry.push_manifest(&image, &index, INDEX).await;

    let pulled = caller.find(&name).await.unwrap();
    assert_eq!((&pulled.reference, pulled.digest.as_str()), (&name.to_string(), own["digest"].as_str().unwrap()));
    assert_eq!(caller.result(), "0.0 MB");
    caller.find(&name).await.unwrap();
    assert_eq!(caller.result(), "from the cache");
    // By the digest of the index, and by another tag of the same content.
    let by_digest = registry.name(&format!("shop/app@{index}"));
    assert_eq!(caller.find(&by_digest).await.unwrap().digest, pulled.digest);
    assert_eq!(caller.result(), "from the cache");
    drop(registry);
    for known in [&name, &by_digest] {
        let image = caller.find(known).await.unwrap();
        assert_eq!((image.reference, &image.digest), (known.to_string(), &pulled.digest));
    }
    let content = index_of(&by_digest, &caller.sources).unwrap();
    assert_eq!((digest(&content), index_of(&name, &caller.sources)), (index, None));
}

#[tokio::test]
async fn what_a_registry_refuses_is_an_error_with_its_words() {
    let registry = Registry::start(false);
    let caller = Caller::new();
    let (absent, foreign) = (registry.name("shop/absent:1"), registry.name("shop/foreign:1"));
    let error = caller.find(&absent).await.unwrap_err();
    assert!(matches!(error, ImageError::NotInRegistry { .. }), "{error}");
    assert!(
        error.to_string().ends_with(&format!("{} has no image {absent}: manifest unknown", absent.registry())),
        "{error}"
    );

    let entry = push(&registry, &foreign, "s390x", b"other").await;
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    let image: Reference = registry.name("shop/index:1").to_string().parse().unwrap();
    push(&registry, &registry.name("shop/index:0"), "s390x", b"other").await;
    registry.push_manifest(&image, &index, INDEX).await;
    for name in [foreign, registry.name("shop/index:1")] {
        let error = caller.find(&name).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name} is for linux/s390x, and this machine runs linux/")), "{error}");
    }

    let name = absent.clone();
    drop(registry);
    let error = caller.find(&name).await.unwrap_err();
    assert!(matches!(&error, ImageError::Registry { why, .. } if why.contains("refused")), "{error}");
}

#[tokio::test]
async fn a_password_is_read_from_a_file() {
    let registry = Registry::start(true);
    let mut caller = Caller::new();
    let name = registry.name("shop/app:1");
    push(&registry, &name, here(), b"own").await;
    let error = caller.find(&name).await.unwrap_err();
    assert!(matches!(error, ImageError::Unauthorised { .. }), "{error}");

    let file = caller.files.path().join("config.json");
    let auths = |password: &str| json!({ "auths": { name.registry(): { "username": "ann", "password": password } } });
    caller.sources.credentials = vec![caller.files.path().join("missing.json"), file.clone()];
    fs::write(&file, auths("wrong").to_string()).unwrap();
    let error = caller.find(&name).await.unwrap_err();
    assert!(matches!(error, ImageError::Unauthorised { .. }), "{error}");
    fs::write(&file, auths("secret").to_string()).unwrap();
    assert_eq!(caller.find(&name).await.unwrap().reference, name.to_string());
}

#[tokio::test]
async fn a_damaged_file_in_the_cache_is_pulled_again() {
    let registry = Registry::start(false);
    let caller = Caller::new();
    let name = registry.name("shop/app:1");
    let packed = pack(b"binary", &SPEC).unwrap();
    push(&registry, &name, here(), &packed.archive).await;
    let image = caller.find(&name).await.unwrap();
    fs::write(&image.archive, "damaged").unwrap();
    let again = caller.find(&name).await.unwrap();
    assert_eq!((&again.digest, again.bytes), (&image.digest, image.bytes));
}

#[tokio::test]
async fn a_registry_without_an_address_is_an_error() {
    let name: ImageName = "registry.invalid/shop/app:1".parse().unwrap();
    let error = Caller::new().find(&name).await.unwrap_err();
    assert!(matches!(&error, ImageError::Registry { registry, .. } if registry == "registry.invalid"), "{error}");
}
