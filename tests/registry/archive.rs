//! Archives of images for any architecture.

use serde_json::json;
use sha2::{Digest, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The other architecture of a lab.
pub(crate) fn elsewhere() -> &'static str {
    if cfg!(target_arch = "aarch64") { "amd64" } else { "arm64" }
}

/// An archive with one image, as `evenkeel build` on a machine of that architecture makes it.
pub(crate) fn archive(name: &str, architecture: &str, layer: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: String, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content).unwrap();
    };
    let mut blob = |media_type: &str, content: &[u8]| {
        let digest = digest(content);
        add(format!("blobs/{}", digest.replace(':', "/")), content);
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    };
    let rootfs = json!({ "type": "layers", "diff_ids": [digest(layer)] });
    let config = json!({ "os": "linux", "architecture": architecture, "rootfs": rootfs }).to_string();
    let (config, layer) = (blob(CONFIG, config.as_bytes()), blob(LAYER, layer));
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    let mut entry = blob(MANIFEST, manifest.to_string().as_bytes());
    entry["annotations"] = json!({ "io.containerd.image.name": name });
    add("index.json".into(), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().as_bytes());
    add("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#);
    tar.into_inner().unwrap()
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold("sha256:".into(), |text, byte| format!("{text}{byte:02x}"))
}
