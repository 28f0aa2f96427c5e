//! Images of directory trees.

use std::fs::{self, File};
use std::path::Path;

use serde_json::{Value, json};

use crate::registry::digest;

/// Writes an archive, as `docker save` does, of an image with one layer. `config` has `Cmd`, `User` and so on; programs are
/// found in the usual directories.
pub(crate) fn pack_tree(tree: &Path, name: &str, mut config: Value, archive: &Path) {
    let mut layer = tar::Builder::new(Vec::new());
    layer.follow_symlinks(false);
    layer.append_dir_all(".", tree).unwrap();
    let layer = layer.into_inner().unwrap();

    config["Env"] = json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"]);
    let rootfs = json!({ "type": "layers", "diff_ids": [digest(&layer)] });
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({ "architecture": architecture, "os": "linux", "config": config, "rootfs": rootfs }).to_string();
    let (config_file, layer_file) = ("config.json", "layer.tar");
    let manifest = json!([{ "Config": config_file, "RepoTags": [name], "Layers": [layer_file] }]).to_string();

    // Another test never sees half an archive.
    let unfinished = archive.with_extension("unfinished");
    let mut saved = tar::Builder::new(File::create(&unfinished).unwrap());
    let files = [(config_file, config.as_bytes()), (layer_file, &layer), ("manifest.json", manifest.as_bytes())];
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        saved.append_data(&mut header, path, content).unwrap();
    }
    saved.finish().unwrap();
    fs::rename(unfinished, archive).unwrap();
}
