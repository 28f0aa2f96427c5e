//! Finds and runs cargo to build the images, without the settings that an outer cargo passes on.

use std::env;
use std::ffi::{OsStr, OsString};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::image::ImageError;
use crate::process::{Invocation, ProgramError, last_lines, outcome};
use crate::progress::Step;
use crate::version::Version;

/// The number of lines of cargo's output that an error shows.
const TAIL_LINES: usize = 20;

/// The oldest Rust that compiles this workspace.
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A cargo, and the directory of its downloads.
pub(super) struct Cargo {
    program: PathBuf,
    env: Vec<(&'static str, OsString)>,
    /// Its home directory, which contains the sources of crates.
    pub(super) home: Option<PathBuf>,
}

impl Cargo {
    /// The first of these that is new enough: the cargo that runs this program, those on PATH and in rustup's directory, that
    /// of the caller behind sudo. The error says why there is none.
    pub(super) fn find(cache: &Path) -> Result<Self, String> {
        let given = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = given.or_else(|| Some(env::home_dir()?.join(".cargo")));
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = env::split_paths(&path).chain(home.iter().map(|home| home.join("bin")));
        let programs = env::var_os("CARGO").map(PathBuf::from).into_iter();
        let programs = programs.chain(directories.map(|directory| directory.join("cargo")));
        let caller = caller_home();
        let found =
            programs.filter_map(|program| match caller.as_deref().filter(|caller| program.starts_with(caller)) {
                // PATH may be that of the caller, too.
                Some(caller) => Self::of_caller(program, caller, cache),
                None => Self::at(program, home.clone(), Vec::new()),
            });
        let of_caller =
            caller.iter().filter_map(|caller| Self::of_caller(caller.join(".cargo/bin/cargo"), caller, cache));
        Self::first_suitable(found.chain(of_caller))
    }

    fn first_suitable(mut candidates: impl Iterator<Item = Self>) -> Result<Self, String> {
        let mut passed_over = None;
        let suitable = candidates.find(|cargo| match cargo.problem() {
            None => true,
            Some(problem) => {
                passed_over.get_or_insert(format!("{} {problem}", cargo.program.display()));
                false
            }
        });
        let not_found = || "cargo was found neither on PATH nor in ~/.cargo/bin".to_owned();
        suitable.ok_or_else(|| passed_over.unwrap_or_else(not_found))
    }

    /// The cargo at this path, if there is one. It finds its own rustc first.
    fn at(program: PathBuf, home: Option<PathBuf>, mut env: Vec<(&'static str, OsString)>) -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let own = program.parent()?.to_owned();
        env.push(("PATH", env::join_paths(iter::once(own).chain(env::split_paths(&path))).ok()?));
        program.is_file().then_some(Self { program, env, home })
    }

    /// The cargo in the home directory of the caller behind sudo. Downloads of root do not go there.
    fn of_caller(program: PathBuf, caller: &Path, cache: &Path) -> Option<Self> {
        let home = cache.join("cargo");
        let toolchains = env::var_os("RUSTUP_HOME").unwrap_or_else(|| caller.join(".rustup").into());
        let env = vec![("RUSTUP_HOME", toolchains), ("CARGO_HOME", home.clone().into())];
        Self::at(program, Some(home), env)
    }

    /// Why it cannot build the images: it is older than the Rust that this program asks for, or does not run.
    fn problem(&self) -> Option<String> {
        match self.invocation(["--version"]).run() {
            Err(ProgramError { outcome, .. }) => Some(format!("does not report its version ({outcome})")),
            Ok(answer) => match (Version::in_text(&String::from_utf8_lossy(&answer)), Version::parse(RUST)) {
                (Some(version), Some(oldest)) if version < oldest => {
                    Some(format!("is version {version}, but {oldest} or newer is needed"))
                }
                _ => None,
            },
        }
    }

    /// This cargo with these arguments.
    pub(super) fn invocation<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        let invocation = Invocation::new(&self.program, args);
        self.env.iter().fold(invocation, |invocation, (name, value)| invocation.env(*name, value))
    }
}

/// The home directory of the caller behind sudo, unless that is root or has no directory of their own.
fn caller_home() -> Option<PathBuf> {
    let caller = User::from_name(env::var("SUDO_USER").ok()?.as_str()).ok()??;
    Some(caller.dir).filter(|home| !caller.uid.is_root() && home.parent().is_some())
}

/// Runs cargo until it exits and reports its output as progress.
pub(super) async fn run(invocation: &Invocation, step: &Step) -> Result<(), ImageError> {
    let mut command = invocation.command();
    for name in inherited().filter(|name| !invocation.env.iter().any(|(set, _)| set == name)) {
        command.env_remove(name);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let not_started = |source| invocation.not_started(&source);
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(not_started)?;
    let group = Group(child.id());
    let said = match child.stderr.take() {
        Some(stderr) => follow(stderr, step).await,
        None => String::new(),
    };
    let status = child.wait().await.map_err(not_started)?;
    group.ended();
    if status.success() {
        return Ok(());
    }
    let tail = last_lines(&said, TAIL_LINES);
    Err(ProgramError { command: invocation.to_string(), outcome: outcome(status), tail }.into())
}

/// Reports each line as a detail of the step. Returns all lines.
async fn follow(output: impl AsyncRead + Unpin, step: &Step) -> String {
    let mut output = BufReader::new(output);
    let (mut said, mut line) = (String::new(), Vec::new());
    // An output that cannot be read counts as closed. Cargo's exit status shows whether it failed.
    while output.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        step.detail(text.trim());
        said.push_str(&text);
        line.clear();
    }
    said
}

/// The process group of cargo and its compilers. It is terminated when it is dropped before [`Group::ended`].
struct Group(Option<u32>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // The group may have ended already.
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
        }
    }
}

/// The variables of this process that must not reach the build of the image.
fn inherited() -> impl Iterator<Item = OsString> {
    env::vars_os().map(|(name, _)| name).filter(|name| disturbs(&name.to_string_lossy()))
}

/// Whether a variable, set by an outer cargo or by a developer, would change the build of the image.
fn disturbs(variable: &str) -> bool {
    let prefixes = [
        "CARGO_BIN_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
    ];
    let names = [
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_CRATE_NAME",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
        "OUT_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
    ];
    names.contains(&variable) || prefixes.iter().any(|prefix| variable.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::progress::{Progress, ProgressEvent};

    #[test]
    fn settings_of_an_outer_cargo_are_removed() {
        for name in
            ["RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_PKG_NAME", "CARGO_PROFILE_RELEASE_LTO", "CARGO_ENCODED_RUSTFLAGS"]
        {
            assert!(disturbs(name), "{name}");
        }
        for name in
            ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_PROXY", "RUSTC_WRAPPER"]
        {
            assert!(!disturbs(name), "{name}");
        }
    }

    #[test]
    fn a_cargo_that_is_too_old_is_passed_over_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let cargo = |name: &str, script: &str| {
            let program = directory.path().join(name).join("cargo");
            fs::create_dir(program.parent().unwrap()).unwrap();
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            move || Cargo::at(program.clone(), None, Vec::new()).unwrap()
        };
        // Debian 13 has Rust 1.85.
        let old = cargo("old", "echo 'cargo 1.85.0 (d73d2caf9 2024-12-31)'");
        let broken = cargo("broken", "exit 1");
        let new = cargo("new", "echo \"cargo 99.0.0 $(command -v cargo)\"");
        let found = Cargo::first_suitable([old(), broken(), new()].into_iter()).unwrap();
        assert_eq!(found.program, directory.path().join("new/cargo"));
        let own = String::from_utf8(found.invocation::<&str>([]).run().unwrap()).unwrap();
        assert!(own.contains("new/cargo"), "its directory comes first on its PATH: {own}");

        let problem = Cargo::first_suitable([old(), broken()].into_iter()).err().unwrap();
        assert!(problem.ends_with(&format!("old/cargo is version 1.85, but {RUST} or newer is needed")), "{problem}");
        let problem = Cargo::first_suitable([broken()].into_iter()).err().unwrap();
        assert!(problem.ends_with("broken/cargo does not report its version (exit 1)"), "{problem}");
        let problem = Cargo::first_suitable(iter::empty()).err().unwrap();
        assert!(problem.contains("was found neither"), "{problem}");
    }

    fn run_shell(script: &str) -> (Result<(), ImageError>, Vec<ProgressEvent>) {
        let events = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = events.clone();
        let progress = Progress::new(move |event| sink.lock().unwrap().push(event));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let invocation = Invocation::new("/bin/sh", ["-c", script]).env("CARGO_TARGET_X_RUSTFLAGS", "ours");
        let result = runtime.block_on(run(&invocation, &progress.step("build")));
        let events = events.lock().unwrap().clone();
        (result, events)
    }

    #[test]
    fn output_is_progress_and_its_last_lines_are_the_error() {
        let (result, events) = run_shell("echo '  Compiling x' >&2; echo 'error: no' >&2; exit 101");
        let text = result.unwrap_err().to_string();
        assert!(text.contains("exit 101") && text.contains("error: no"), "{text}");
        let detail = |text: &str| ProgressEvent::Detail { step: "build".into(), text: text.into() };
        assert_eq!(events[1..3], [detail("Compiling x"), detail("error: no")]);
    }

    #[test]
    fn variables_of_the_invocation_are_kept() {
        assert!(env::var_os("CARGO_PKG_NAME").is_some(), "cargo sets it for tests");
        let (result, _) = run_shell("test -z \"$CARGO_PKG_NAME\" && test \"$CARGO_TARGET_X_RUSTFLAGS\" = ours");
        result.unwrap();
    }
}
