//! Builds images of the other servers from files of this machine, without Docker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::image::{ImageSpec, Packed, TarFile, pack_files};

use super::tools::{cargo, directory, node, succeeds};
use super::{Bench, Result};

/// An image on the disk.
pub(crate) struct Archive {
    pub(crate) path: PathBuf,
    pub(crate) reference: String,
}

/// The bare epoll server, one static binary.
pub(crate) fn bare() -> Result<Archive> {
    let binary = fs::read(bare_binary()?)?;
    let spec = ImageSpec {
        name: "evenkeel.local/bare",
        entrypoint: "bare-server",
        description: "A bare epoll server",
        port: Some(3000),
    };
    keep("bare", &pack_files(&[TarFile { path: "bare-server", mode: 0o755, content: &binary }], &spec)?)
}

/// Compiles the bare server. Returns the path of the binary.
pub(crate) fn bare_binary() -> Result<PathBuf> {
    let target_directory = directory().join("bare");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut build = cargo();
    build.args(["build", "--locked", "--quiet", "--profile", "server", "--target", &target, "--target-dir"]);
    build.arg(&target_directory).args(["--package", "evenkeel-load", "--example", "bare-server"]);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).env(variable, "-C target-feature=+crt-static");
    if !succeeds(&mut build) {
        return Err("the bare server could not be built".into());
    }
    Ok(target_directory.join(target).join("server/examples/bare-server"))
}

/// An image of Node, the libraries that it is linked to, and the server's script. `None` without Node.
pub(crate) fn node_server() -> Result<Option<Archive>> {
    let Some(node) = node() else { return Ok(None) };
    let mut contents = vec![("node".to_owned(), fs::read(&node)?)];
    for library in libraries(&node)? {
        contents.push((library.trim_start_matches('/').to_owned(), fs::read(&library)?));
    }
    contents.push(("server.js".into(), include_bytes!("../servers/node.js").to_vec()));
    let files: Vec<TarFile<'_>> =
        contents.iter().map(|(path, content)| TarFile { path, mode: 0o755, content }).collect();
    let spec = ImageSpec {
        name: "evenkeel.local/node",
        entrypoint: "node",
        description: "Node's own http server",
        port: Some(3000),
    };
    keep("node", &pack_files(&files, &spec)?).map(Some)
}

/// The shared libraries of a program, and its loader, as `ldd` names them.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    Ok(text.lines().filter_map(path).collect())
}

fn keep(name: &str, packed: &Packed) -> Result<Archive> {
    let path = directory().join(format!("{name}.tar"));
    fs::create_dir_all(directory())?;
    fs::write(&path, &packed.archive)?;
    Ok(Archive { path, reference: packed.reference.clone() })
}

impl Archive {
    /// Imports the image into the lab's nodes.
    pub(crate) async fn import(&self, bench: &Bench, cluster: &evenkeel::cluster::Cluster) -> Result<()> {
        let image = evenkeel::image::Archive::read(&self.path, &evenkeel::progress::Progress::silent())?.one(None)?;
        Ok(evenkeel::cluster::import_image(cluster, &bench.toolbox, &image).await?)
    }
}
