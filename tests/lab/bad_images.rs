//! Images that do not fit into the memory of a node: the error has both sizes, before the import or when it fails.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use crate::host::lab_processes_named;
use crate::lab::{Lab, text};

/// The unpacked size of the image, in bytes.
const IMAGE: usize = 40 << 20;
/// The free space in the image store, in bytes.
const FREE: u64 = 24 << 20;

#[test]
fn an_image_that_does_not_fit_is_an_error_with_both_sizes() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "1"]);
    let directory = tempfile::tempdir().unwrap();
    let layer = layer();
    let plain = directory.path().join("plain.tar");
    archive(&plain, "plain.local/x:1", &layer, &layer);
    // The last gzip member is empty, so the archive does not record the unpacked size.
    let packed = directory.path().join("packed.tar");
    archive(&packed, "packed.local/x:1", &layer, &[gzip(&layer), gzip(b"")].concat());

    let node = first_process();
    let store = nix::sys::statvfs::statvfs(format!("/proc/{node}/root/var/lib").as_str()).unwrap();
    let used = (store.blocks() - store.blocks_free()) * store.fragment_size();
    resize(node, &format!("{}", used + FREE));
    for (file, reference, why) in [
        (&plain, "plain.local/x:1", "it takes 84 MB, and 2"),
        (&packed, "packed.local/x:1", "the store became full during the import"),
    ] {
        let output = lab.run(&["deploy", "--image", file.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{reference}: {said}");
        assert!(said.contains(reference) && said.contains(why) && said.contains("hint: "), "{reference}: {said}");
    }
    let deployed = lab.kube().get("/apis/apps/v1/namespaces/evenkeel/deployments/server").to_string();
    assert!(!deployed.contains("plain.local") && !deployed.contains("packed.local"), "{deployed}");
    resize(node, "50%");
    lab.ok(&["scale", "2"]);
}

/// A layer with one file, which has the size of the image.
fn layer() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(IMAGE as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "zeros", std::io::repeat(0).take(IMAGE as u64)).unwrap();
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Writes an archive in the format of `docker save` with one layer. `stored` is the layer as it is in the archive.
fn archive(path: &Path, reference: &str, layer: &[u8], stored: &[u8]) {
    let digest = Sha256::digest(layer).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/zeros"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"] }]);
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    let (config, manifest) = (config.to_string(), manifest.to_string());
    for (name, content) in
        [("config.json", config.as_bytes()), ("layer.tar", stored), ("manifest.json", manifest.as_bytes())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content).unwrap();
    }
    archive.finish().unwrap();
}

/// The host's id of the sandbox's first process.
fn first_process() -> i32 {
    let first = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("NSpid:") && line.split_whitespace().last() == Some("1"))
    };
    lab_processes_named("evenkeel").into_iter().find(first).unwrap()
}

fn resize(node: i32, size: &str) {
    let mut command = Command::new("nsenter");
    command.args([&format!("--target={node}"), "--mount", "--", "mount", "-o", &format!("remount,size={size}")]);
    let output = command.arg("/var/lib").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}
