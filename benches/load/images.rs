//! Builds images of the other servers from files of this machine, without Docker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel::image::{ImageSpec, Packed, TarFile, pack_files};

use super::tools::{self, cargo, directory, node, succeeds};
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
    static_binary(&["--package", "evenkeel-load", "--example", "bare-server"], "examples/bare-server")
}

/// Compiles Evenkeel's server, as `evenkeel build` does. Returns the path of the binary.
pub(crate) fn server_binary() -> Result<PathBuf> {
    static_binary(&["--package", "evenkeel-server", "--bin", "evenkeel-server"], "evenkeel-server")
}

/// Compiles a program that cargo finds by `arguments`, and links it statically. Returns its path.
fn static_binary(arguments: &[&str], program: &str) -> Result<PathBuf> {
    let target_directory = directory().join("static");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut build = cargo();
    build.args(["build", "--locked", "--quiet", "--profile", "server", "--target", &target, "--target-dir"]);
    build.arg(&target_directory).args(arguments);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).env(variable, "-C target-feature=+crt-static");
    if !succeeds(&mut build) {
        return Err(format!("{program} could not be built").into());
    }
    Ok(target_directory.join(target).join("server").join(program))
}

/// A server's script for Node.
#[derive(Clone, Copy)]
pub(crate) struct Script {
    /// The name of the image without the tag, and what it is.
    name: (&'static str, &'static str),
    file: &'static str,
    content: &'static [u8],
}

pub(crate) const NODE_HTTP1: Script = Script {
    name: ("evenkeel.local/node", "Node's own http server"),
    file: "node",
    content: include_bytes!("../servers/node.js"),
};
pub(crate) const NODE_HTTP2: Script = Script {
    name: ("evenkeel.local/node-http2", "Node's own http2 server"),
    file: "node-http2",
    content: include_bytes!("../servers/node-http2.js"),
};
/// The arguments of a container with a script.
pub(crate) const NODE_ARGUMENTS: &[&str] = &["/server.js"];

/// An image of Node, the libraries that it is linked to, and the server's script. `None` without Node.
pub(crate) fn node_server(script: Script) -> Result<Option<Archive>> {
    let Some(node) = node() else { return Ok(None) };
    let mut contents = vec![("node".to_owned(), fs::read(&node)?)];
    for library in libraries(&node)? {
        contents.push((library.trim_start_matches('/').to_owned(), fs::read(&library)?));
    }
    contents.push(("server.js".into(), script.content.to_vec()));
    let files: Vec<TarFile<'_>> =
        contents.iter().map(|(path, content)| TarFile { path, mode: 0o755, content }).collect();
    let (name, description) = script.name;
    let spec = ImageSpec { name, entrypoint: "node", description, port: Some(3000) };
    keep(script.file, &pack_files(&files, &spec)?).map(Some)
}

/// The server of gRPC's helloworld for Go, one static binary. `None` without Go.
pub(crate) fn grpc_go_server() -> Result<Option<Archive>> {
    let Some(binary) = tools::grpc_go_server() else { return Ok(None) };
    let binary = fs::read(binary)?;
    let spec = ImageSpec {
        name: "evenkeel.local/grpc-go",
        entrypoint: "grpc-go",
        description: "The server of gRPC's helloworld for Go",
        port: Some(3000),
    };
    keep("grpc-go", &pack_files(&[TarFile { path: "grpc-go", mode: 0o755, content: &binary }], &spec)?).map(Some)
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
