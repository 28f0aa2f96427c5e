//! podinfo, an application that somebody else wrote: its image, its Helm chart and its kustomization.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::go_program::go_program;
use crate::image_tree::pack_tree;

const MODULE: &str = "github.com/stefanprodan/podinfo";
/// The version of the Go module that is podinfo 6.9.2.
const VERSION: &str = "v1.8.1-0.20250910200901-e86405a8674e";
/// The image that the chart, the kustomization and the examples name.
pub(crate) const IMAGE: &str = "ghcr.io/stefanprodan/podinfo:6.9.2";
/// Where it listens.
pub(crate) const PORT: u16 = 9898;

/// An image archive, and the source with the chart and the kustomization.
pub(crate) struct Podinfo {
    pub(crate) archive: PathBuf,
    pub(crate) source: PathBuf,
}

/// Builds the image with Go, once for all tests. It has the files of podinfo's Dockerfile, but for Alpine's.
pub(crate) fn podinfo() -> &'static Podinfo {
    static BUILT: OnceLock<Podinfo> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = source();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("podinfo-image");
        let tree = directory.join("tree");
        for (name, place) in [("podinfo", "home/app"), ("podcli", "usr/local/bin")] {
            let program = go_program(&format!("{MODULE}/cmd/{name}"), VERSION, "-s -w");
            fs::create_dir_all(tree.join(place)).unwrap();
            fs::copy(program, tree.join(place).join(name)).unwrap();
        }
        let ui = tree.join("home/app/ui");
        fs::create_dir_all(&ui).unwrap();
        for file in fs::read_dir(source.join("ui")).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), ui.join(file.file_name())).unwrap();
            fs::set_permissions(ui.join(file.file_name()), fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::create_dir_all(tree.join("etc")).unwrap();
        fs::write(tree.join("etc/passwd"), "app:x:100:101:app:/home/app:/sbin/nologin\n").unwrap();
        let archive = directory.join("podinfo.tar");
        let config = json!({ "User": "app", "WorkingDir": "/home/app", "Cmd": ["./podinfo"] });
        pack_tree(&tree, IMAGE, config, &archive);
        Podinfo { archive, source }
    })
}

/// The directory of the module in Go's cache.
fn source() -> PathBuf {
    let output = Command::new("go").args(["mod", "download", "-json"]).arg(format!("{MODULE}@{VERSION}")).output();
    let module: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    module["Dir"].as_str().unwrap_or_else(|| panic!("{module:#}")).into()
}
