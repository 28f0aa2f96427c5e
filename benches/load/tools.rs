//! Finds the other load generators on PATH, or installs them with their package managers.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::generator::Generator;

/// The program of ghz.
const GHZ: &str = "github.com/bojand/ghz/cmd/ghz@v0.121.0";

/// Every generator over HTTP/1.1 that is available. Says which ones are skipped.
pub(crate) fn all() -> Vec<Generator> {
    available([("wrk", wrk as Find), ("oha", oha), ("autocannon", autocannon)])
}

/// Finds a generator, or installs it.
type Find = fn() -> Option<Generator>;

fn available<const N: usize>(all: [(&str, Find); N]) -> Vec<Generator> {
    let available = all.into_iter().filter_map(|(name, find)| {
        let found = find();
        if found.is_none() {
            eprintln!("{name} is skipped: it was not found and could not be installed");
        }
        found
    });
    available.collect()
}

/// The generators that send HTTP/1.1 over TLS and keep connections.
pub(crate) fn over_tls() -> Vec<Generator> {
    available([("wrk", wrk as Find), ("oha", oha)])
}

/// The generators that send HTTP/2.
pub(crate) fn over_http2() -> Vec<Generator> {
    available([("h2load", h2load as Find), ("oha", oha)])
}

/// The generators that call methods of gRPC.
pub(crate) fn over_grpc() -> Vec<Generator> {
    available([("ghz", ghz as Find)])
}

/// The directory of the programs that the bench installs and builds.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench")
}

fn wrk() -> Option<Generator> {
    debian("wrk", "wrk").map(Generator::Wrk)
}

fn oha() -> Option<Generator> {
    let root = directory().join("oha");
    let program = root.join("bin/oha");
    let install = || succeeds(cargo().args(["install", "--locked", "oha", "--root"]).arg(&root));
    on_path("oha").or_else(|| (program.is_file() || install()).then_some(program)).map(Generator::Oha)
}

fn h2load() -> Option<Generator> {
    debian("h2load", "nghttp2-client").map(Generator::H2load)
}

fn ghz() -> Option<Generator> {
    let programs = directory().join("ghz");
    let program = programs.join("ghz");
    let install = || succeeds(Command::new("go").args(["install", GHZ]).env("GOBIN", &programs));
    on_path("ghz").or_else(|| (program.is_file() || install()).then_some(program)).map(Generator::Ghz)
}

/// Builds the server of gRPC's helloworld for Go, with the modules that its `go.sum` names.
pub(crate) fn grpc_go_server() -> Option<PathBuf> {
    let program = directory().join("grpc-go/grpc-go");
    let mut build = Command::new("go");
    build.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(&program).arg(".");
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/servers/grpc-go")).env("CGO_ENABLED", "0");
    succeeds(&mut build).then_some(program)
}

fn autocannon() -> Option<Generator> {
    let directory = directory().join("autocannon");
    let script = directory.join("node_modules/autocannon/autocannon.js");
    let node = node()?;
    let npm = || debian("npm", "npm");
    let install = || {
        npm().is_some_and(|npm| {
            succeeds(Command::new(npm).arg("install").arg("--prefix").arg(&directory).arg("autocannon"))
        })
    };
    (script.is_file() || install()).then_some(Generator::Autocannon(node, script))
}

/// The path of Node, which runs autocannon and one of the servers.
pub(crate) fn node() -> Option<PathBuf> {
    debian("node", "nodejs")
}

/// Cargo at a low priority, without the variables that the outer cargo set for this bench.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("nice");
    command.arg(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let set_by_cargo = ["CARGO_PKG_", "CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_CRATE_"];
    for (name, _) in env::vars_os() {
        if set_by_cargo.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command and returns whether it succeeded. Its output goes to stderr.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(std::io::stderr()).status().is_ok_and(|status| status.success())
}

/// A program on PATH. It is installed with Debian's package manager if it is missing.
fn debian(program: &str, package: &str) -> Option<PathBuf> {
    let install = || succeeds(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", package]));
    on_path(program).or_else(|| install().then(|| on_path(program)).flatten())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(AsRef::<OsStr>::as_ref(&path)).map(|directory| directory.join(Path::new(program)));
    found.into_iter().find(|program| program.is_file())
}
