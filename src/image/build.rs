//! Builds the images from this source tree: cargo compiles a static binary, which is packed and stored by its digest.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::cargo::{self, Cargo};
use super::{Archive, Image, ImageName, ImageSpec, Packed, elf, libc, pack};
use crate::image::{BuildNeed, BuildRemedy, ImageError};
use crate::io_error::IoError;
use crate::process::Invocation;
use crate::progress::{Progress, Step};
use crate::shutdown::{Shutdown, unless};
use crate::write_file::WriteFile;

/// The cargo profile that all binaries are built with.
const PROFILE: &str = "server";
/// The directory of the builds. All binaries share it, and the dependencies that they have in common.
const BUILDS: &str = "evenkeel-server";

/// How an image is built from this source tree.
struct Recipe {
    /// Its name in messages.
    what: &'static str,
    /// The environment variable that names an existing image to use instead.
    variable: &'static str,
    /// The package of the binary.
    package: &'static str,
    /// The binary.
    binary: &'static str,
    spec: ImageSpec,
}

impl Recipe {
    /// The image in the archive that the variable names.
    fn given(&self, progress: &Progress) -> Result<Option<Image>, ImageError> {
        let archive = env::var_os(self.variable).filter(|path| !path.is_empty());
        archive.map(|path| Archive::read(Path::new(&path), progress)?.one(None)).transpose()
    }

    fn cannot_be_built(&self, why: String, missing: BuildNeed) -> ImageError {
        let remedy = Some(BuildRemedy { missing, variable: self.variable });
        ImageError::BuildFailed { what: self.what.into(), why, remedy }
    }
}

const SERVER: Recipe = Recipe {
    what: "the server's image",
    variable: "EVENKEEL_SERVER_IMAGE",
    package: "evenkeel-server",
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
    package: "evenkeel-server",
    binary: "evenkeel-pause",
    spec: ImageSpec {
        name: "evenkeel.local/pause",
        entrypoint: "pause",
        description: "Holds a pod's namespaces open",
        port: None,
    },
};

const AGENT: Recipe = Recipe {
    what: "the agent's image",
    variable: "EVENKEEL_AGENT_IMAGE",
    package: "evenkeel-agent",
    binary: "evenkeel-agent",
    spec: ImageSpec {
        name: "evenkeel.local/agent",
        entrypoint: "evenkeel-agent",
        description: "Sends a part of the load of a test",
        port: None,
    },
};

/// The images of a lab that this program builds, in the order in which they are pushed.
pub(super) const OWN_IMAGES: [OwnImage; 3] = [OwnImage(&SERVER), OwnImage(&PAUSE), OwnImage(&AGENT)];

/// An image that this program builds.
#[derive(Clone, Copy)]
pub(super) struct OwnImage(&'static Recipe);

impl OwnImage {
    /// Its short name: "server".
    pub(super) fn name(self) -> &'static str {
        self.0.spec.name.rsplit('/').next().unwrap_or(self.0.spec.name)
    }

    /// Its names without the tags: those of the archive that its variable names, or the one that a build gives it.
    ///
    /// # Errors
    /// [`ImageError::BadImage`].
    pub(super) fn repositories(self, progress: &Progress) -> Result<Vec<String>, ImageError> {
        let repository = |name: &ImageName| format!("{}/{}", name.registry(), name.repository());
        let given = self.0.given(progress)?;
        Ok(given
            .map_or_else(|| vec![self.0.spec.name.to_owned()], |image| image.names.iter().map(repository).collect()))
    }

    /// The image for this machine: the archive that its variable names, or built from the source tree.
    ///
    /// # Errors
    /// As [`build_server`].
    pub(super) async fn provide(
        self,
        cache: &Path,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Result<Image, ImageError> {
        provide(self.0, cache, progress, shutdown).await
    }
}

/// The image of the server: the archive that `EVENKEEL_SERVER_IMAGE` names, or built from the source tree.
///
/// # Errors
/// [`ImageError::BadImage`] when the named archive has no image; [`ImageError::BuildFailed`] or [`ImageError::Program`] when the build
/// fails.
pub async fn build_server(cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Image, ImageError> {
    provide(&SERVER, cache, progress, shutdown).await
}

/// The pause image: the archive that `EVENKEEL_PAUSE_IMAGE` names, or built from the source tree.
///
/// # Errors
/// As [`build_server`].
pub async fn build_pause(cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Image, ImageError> {
    provide(&PAUSE, cache, progress, shutdown).await
}

/// The image of the load generator in pods: the archive that `EVENKEEL_AGENT_IMAGE` names, or built from the source tree.
///
/// # Errors
/// As [`build_server`].
pub async fn build_agent(cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Image, ImageError> {
    provide(&AGENT, cache, progress, shutdown).await
}

async fn provide(recipe: &Recipe, cache: &Path, progress: &Progress, shutdown: &Shutdown) -> Result<Image, ImageError> {
    if let Some(image) = recipe.given(progress)? {
        return Ok(image);
    }
    let source = source_tree(recipe)?;
    let step = progress.step(format!("build {}", recipe.what));
    let binary = unless(shutdown, compile(recipe, &source, cache, &step)).await??;
    let content = fs::read(&binary).map_err(|problem| IoError::file("read", &binary, problem))?;
    if let Some(why) = elf::problem(&content) {
        let why = format!("{}: {why}", binary.display());
        return Err(recipe.cannot_be_built(why, BuildNeed::StaticLibrary));
    }
    let image = keep(&pack(&content, &recipe.spec)?, &cache.join("images"))?;
    step.done_with(format!("{}, {:.2} MB", image.reference, image.megabytes()));
    Ok(image)
}

/// The source tree: `EVENKEEL_SOURCE`, or the directory in which this program was built.
fn source_tree(recipe: &Recipe) -> Result<PathBuf, ImageError> {
    let given = env::var_os("EVENKEEL_SOURCE").filter(|path| !path.is_empty());
    let source = given.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let manifest = fs::read_to_string(source.join("Cargo.toml")).unwrap_or_default();
    if manifest.lines().any(|line| line == "name = \"evenkeel\"") {
        return Ok(source);
    }
    let why = format!("Evenkeel's source tree is not at {}", source.display());
    Err(recipe.cannot_be_built(why, BuildNeed::SourceTree))
}

/// Compiles the binary and returns its path.
async fn compile(recipe: &Recipe, source: &Path, cache: &Path, step: &Step) -> Result<PathBuf, ImageError> {
    let cargo = Cargo::find(cache).map_err(|why| recipe.cannot_be_built(why, BuildNeed::Rust))?;
    // A separate directory, so that a developer's build and this one do not wait for each other.
    let target_directory = cache.join("build").join(BUILDS);
    let target = host_target();
    let flags = rust_flags(source, cargo.home.as_deref(), libc::understands_packed_relocations().await);
    cargo::run(&cargo_build(recipe, &cargo, source, &target_directory, (&target, flags)), step).await?;
    Ok(target_directory.join(target).join(PROFILE).join(recipe.binary))
}

fn cargo_build(
    recipe: &Recipe,
    cargo: &Cargo,
    source: &Path,
    target_directory: &Path,
    (target, flags): (&str, String),
) -> Invocation {
    let mut args: Vec<&OsStr> = vec!["build".as_ref(), "--target-dir".as_ref(), target_directory.as_os_str()];
    args.extend(["--locked", "--profile", PROFILE, "--target", target].map(OsStr::new));
    args.extend(["--package", recipe.package, "--bin", recipe.binary].map(OsStr::new));
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    cargo.invocation(args).directory(source).env(variable, flags)
}

/// Links statically and removes the paths of this machine, so that the same sources give the same image on any machine.
fn rust_flags(source: &Path, cargo_home: Option<&Path>, packs_relocations: bool) -> String {
    let paths = [Some((source, "evenkeel")), cargo_home.map(|home| (home, "cargo"))];
    let remapped = paths.into_iter().flatten().filter_map(|(path, name)| {
        // Cargo splits the flags at spaces, so a path with a space cannot be given.
        let path = path.to_str().filter(|path| !path.contains(char::is_whitespace))?;
        Some(format!("--remap-path-prefix={path}={name}"))
    });
    let linked = ["-Ctarget-feature=+crt-static".to_owned()].into_iter();
    let packed = packs_relocations.then(|| libc::PACK_RELOCATIONS.to_owned());
    linked.chain(packed).chain(remapped).collect::<Vec<_>>().join(" ")
}

/// The target of this machine. It is always given, so that the flags do not apply to build scripts and macros.
fn host_target() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-unknown-linux-{libc}", env::consts::ARCH)
}

/// Writes the archive into `directory`, named by its digest.
fn keep(packed: &Packed, directory: &Path) -> Result<Image, ImageError> {
    let archive = directory.join(format!("{}.tar", packed.tag()));
    if !fs::read(&archive).is_ok_and(|kept| kept == packed.archive) {
        fs::create_dir_all(directory).map_err(|source| IoError::file("create", directory, source))?;
        let written = WriteFile::internal().write(&archive, &packed.archive);
        written.map_err(|source| IoError::file("write", &archive, source))?;
    }
    Archive::read(&archive, &Progress::silent())?.one(None)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn archives_are_stored_once_and_repaired() {
        let directory = TempDir::new().unwrap();
        let directory = directory.path().join("images");
        let packed = pack(b"binary", &PAUSE.spec).unwrap();
        let image = keep(&packed, &directory).unwrap();
        assert_eq!((&image.reference, &image.digest), (&packed.reference, &packed.digest));
        fs::write(&image.archive, "broken").unwrap();
        assert_eq!(keep(&packed, &directory).unwrap().digest, image.digest);
        assert_eq!(image.import_path(), image.archive, "containerd imports the archive as it is");
        assert_eq!(fs::read(&image.archive).unwrap(), packed.archive);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn cargo_builds_a_static_binary() {
        let cargo = Cargo::find(Path::new("/cache")).unwrap();
        let target = "x86_64-unknown-linux-gnu";
        let flags = rust_flags(Path::new("/src"), None, false);
        let command =
            cargo_build(&SERVER, &cargo, Path::new("/src"), Path::new("/cache/build"), (target, flags)).to_string();
        for part in [
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-Ctarget-feature=+crt-static",
            "--remap-path-prefix=/src=evenkeel",
            "--target-dir /cache/build --locked --profile server --target x86_64-unknown-linux-gnu",
            "--package evenkeel-server --bin evenkeel-server",
        ] {
            assert!(command.contains(part), "{part} is missing: {command}");
        }
    }

    #[test]
    fn paths_with_spaces_are_left_out_of_the_flags() {
        assert_eq!(rust_flags(Path::new("/a b"), None, false), "-Ctarget-feature=+crt-static");
    }
}
