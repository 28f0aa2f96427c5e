//! The other generators: found, or brought by the package manager each comes from.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::generator::Generator;

/// Every generator that can be had; one that cannot is left out, with a sentence.
pub(crate) fn all() -> Vec<Generator> {
    let wanted = [("wrk", wrk as fn() -> Option<Generator>), ("oha", oha), ("autocannon", autocannon)];
    let had = wanted.into_iter().filter_map(|(name, find)| {
        let found = find();
        if found.is_none() {
            eprintln!("{name} is left out: it is not here and could not be installed");
        }
        found
    });
    had.collect()
}

/// Where the bench keeps what it brings and builds.
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

/// Node, which runs autocannon and one of the servers.
pub(crate) fn node() -> Option<PathBuf> {
    debian("node", "nodejs")
}

/// Cargo at the lowest priority, without what the outer one set for this bench.
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

/// Whether a command succeeds; what it says goes to stderr, where the story is.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(std::io::stderr()).status().is_ok_and(|status| status.success())
}

/// A program on PATH, brought there by Debian's package manager if need be.
fn debian(program: &str, package: &str) -> Option<PathBuf> {
    let install = || succeeds(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", package]));
    on_path(program).or_else(|| install().then(|| on_path(program)).flatten())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(AsRef::<OsStr>::as_ref(&path)).map(|directory| directory.join(Path::new(program)));
    found.into_iter().find(|program| program.is_file())
}
