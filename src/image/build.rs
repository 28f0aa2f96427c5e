//! From this source tree to an image: cargo compiles one static binary, which is packed and kept by its content.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::cargo::{self, Cargo};
use super::{Image, ImageSpec, Packed, elf, inspect, pack};
use crate::error::Error;
use crate::io_error::IoError;
use crate::process::Invocation;
use crate::progress::{Progress, Step};
use crate::shutdown::{Shutdown, unless};
use crate::write_file::WriteFile;

/// The cargo profile that both binaries are built with.
const PROFILE: &str = "server";
/// The package that both binaries belong to.
const PACKAGE: &str = "evenkeel-server";

/// One image that is built from this source tree.
struct Recipe {
    /// What the image is of, in a sentence.
    what: &'static str,
    /// The variable that names a finished image to use instead.
    variable: &'static str,
    /// The binary of [`PACKAGE`].
    binary: &'static str,
    spec: ImageSpec,
}

const SERVER: Recipe = Recipe {
    what: "the server's image",
    variable: "EVENKEEL_SERVER_IMAGE",
    binary: "evenkeel-server",
    spec: ImageSpec {
        name: "evenkeel.local/server",
        entrypoint: "evenkeel-server",
        description: "Says which pod answered, and stops without losing a request",
        port: Some(3000),
    },
};

const PAUSE: Recipe = Recipe {
    what: "the pause image",
    variable: "EVENKEEL_PAUSE_IMAGE",
    binary: "evenkeel-pause",
    spec: ImageSpec {
        name: "evenkeel.local/pause",
        entrypoint: "pause",
        description: "Holds a pod's namespaces open",
        port: None,
    },
};

/// The server's image: the archive that `EVENKEEL_SERVER_IMAGE` names, else built from the source tree.
///
/// # Errors
/// [`Error::BadImage`] when the named archive is none; [`Error::BuildFailed`] or [`Error::Program`] when it cannot be built.
pub async fn build_server(cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Image, Error> {
    provide(&SERVER, cache, progress, shutdown).await
}

/// The image of a pod's first process: the archive that `EVENKEEL_PAUSE_IMAGE` names, else built from the source tree.
///
/// # Errors
/// As [`build_server`].
pub async fn build_pause(cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Image, Error> {
    provide(&PAUSE, cache, progress, shutdown).await
}

async fn provide(recipe: &Recipe, cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Image, Error> {
    if let Some(archive) = env::var_os(recipe.variable).filter(|path| !path.is_empty()) {
        return inspect(Path::new(&archive));
    }
    let source = source_tree(recipe)?;
    let step = progress.step(format!("build {}", recipe.what));
    let binary = unless(shutdown, compile(recipe, &source, cache, &step)).await??;
    let content = fs::read(&binary).map_err(|problem| IoError::file("read", &binary, problem))?;
    if let Some(why) = elf::problem(&content) {
        let hint =
            format!("the C library must be there as a static one, or name a finished image: {}=FILE", recipe.variable);
        return Err(Error::BuildFailed { what: recipe.what.into(), why: format!("{}: {why}", binary.display()), hint });
    }
    let image = keep(&pack(&content, &recipe.spec)?, &cache.join("images"))?;
    step.done_with(format!("{}, {:.2} MB", image.reference, image.megabytes()));
    Ok(image)
}

/// Where the sources are: `EVENKEEL_SOURCE`, else where this program was built.
fn source_tree(recipe: &Recipe) -> Result<PathBuf, Error> {
    let told = env::var_os("EVENKEEL_SOURCE").filter(|path| !path.is_empty());
    let source = told.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let manifest = fs::read_to_string(source.join("Cargo.toml")).unwrap_or_default();
    if manifest.lines().any(|line| line == "name = \"evenkeel\"") {
        return Ok(source);
    }
    Err(Error::BuildFailed {
        what: recipe.what.into(),
        why: format!("Evenkeel's source tree is not at {}", source.display()),
        hint: format!("name the tree: EVENKEEL_SOURCE=DIRECTORY, or a finished image: {}=FILE", recipe.variable),
    })
}

/// Compiles the binary and says where it is.
async fn compile(recipe: &Recipe, source: &Path, cache: &Path, step: &Step) -> Result<PathBuf, Error> {
    let cargo = Cargo::find(cache).ok_or_else(|| Error::BuildFailed {
        what: recipe.what.into(),
        why: "cargo is neither on PATH nor in ~/.cargo/bin".into(),
        hint: format!("install Rust (https://rustup.rs), or name a finished image: {}=FILE", recipe.variable),
    })?;
    // A directory of its own, so that a developer's build and this one do not wait for each other. Both binaries share it
    // and their dependencies.
    let target_directory = cache.join("build").join(PACKAGE);
    let target = host_target();
    cargo::run(&cargo_build(recipe, &cargo, source, &target_directory, &target), step).await?;
    Ok(target_directory.join(target).join(PROFILE).join(recipe.binary))
}

fn cargo_build(recipe: &Recipe, cargo: &Cargo, source: &Path, target_directory: &Path, target: &str) -> Invocation {
    let mut args: Vec<&OsStr> = vec!["build".as_ref(), "--target-dir".as_ref(), target_directory.as_os_str()];
    args.extend(["--locked", "--profile", PROFILE, "--target", target].map(OsStr::new));
    args.extend(["--package", PACKAGE, "--bin", recipe.binary].map(OsStr::new));
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    cargo.invocation(args).directory(source).env(variable, rust_flags(source, cargo.home.as_deref()))
}

/// Static, and without this machine's paths in the binary: the same sources give the same image elsewhere.
fn rust_flags(source: &Path, cargo_home: Option<&Path>) -> String {
    let paths = [Some((source, "evenkeel")), cargo_home.map(|home| (home, "cargo"))];
    let remapped = paths.into_iter().flatten().filter_map(|(path, name)| {
        // Flags are split at spaces, so a path with one cannot be given.
        let path = path.to_str().filter(|path| !path.contains(char::is_whitespace))?;
        Some(format!("--remap-path-prefix={path}={name}"))
    });
    let flags: Vec<String> = ["-C target-feature=+crt-static".to_owned()].into_iter().chain(remapped).collect();
    flags.join(" ")
}

/// This machine's target as rustc calls it; always given, so that the flags do not reach build scripts and macros.
fn host_target() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-unknown-linux-{libc}", env::consts::ARCH)
}

/// Puts the archive into `directory`, named by its content; whole or not at all.
fn keep(packed: &Packed, directory: &Path) -> Result<Image, Error> {
    let archive = directory.join(format!("{}.tar", packed.tag()));
    if !fs::read(&archive).is_ok_and(|kept| kept == packed.archive) {
        fs::create_dir_all(directory).map_err(|source| IoError::file("create", directory, source))?;
        let written = WriteFile::internal().write(&archive, &packed.archive);
        written.map_err(|source| IoError::file("write", &archive, source))?;
    }
    inspect(&archive)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn archives_are_kept_once_and_repaired() {
        let directory = TempDir::new().unwrap();
        let directory = directory.path().join("images");
        let packed = pack(b"binary", &PAUSE.spec).unwrap();
        let image = keep(&packed, &directory).unwrap();
        assert_eq!((&image.reference, &image.digest), (&packed.reference, &packed.digest));
        fs::write(&image.archive, "broken").unwrap();
        assert_eq!(keep(&packed, &directory).unwrap(), image);
        assert_eq!(fs::read(&image.archive).unwrap(), packed.archive);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing unfinished is left");
    }

    #[test]
    fn cargo_is_told_what_makes_a_static_binary() {
        let cargo = Cargo::find(Path::new("/cache")).unwrap();
        let target = "x86_64-unknown-linux-gnu";
        let command = cargo_build(&SERVER, &cargo, Path::new("/src"), Path::new("/cache/build"), target).to_string();
        for part in [
            "cd /src && CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static",
            "--remap-path-prefix=/src=evenkeel",
            "--target-dir /cache/build --locked --profile server --target x86_64-unknown-linux-gnu",
            "--package evenkeel-server --bin evenkeel-server",
        ] {
            assert!(command.contains(part), "{part} is missing: {command}");
        }
    }

    #[test]
    fn paths_with_spaces_are_not_given_as_flags() {
        assert_eq!(rust_flags(Path::new("/a b"), None), "-C target-feature=+crt-static");
    }
}
