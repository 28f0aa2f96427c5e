//! The inner cargo: found, kept from what an outer one would change, followed line by line.

use std::env;
use std::ffi::{OsStr, OsString};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::error::Error;
use crate::process::{Invocation, ProgramError, last_lines, outcome};
use crate::progress::Step;

/// How much of what cargo wrote an error shows.
const TAIL_LINES: usize = 20;

/// A cargo, and where it keeps what it downloads.
pub(super) struct Cargo {
    program: PathBuf,
    env: Vec<(&'static str, OsString)>,
    /// Its home, where crates' sources are.
    pub(super) home: Option<PathBuf>,
}

impl Cargo {
    /// The cargo that runs this program, else the one on PATH or where rustup puts it; behind sudo, the caller's.
    pub(super) fn find(cache: &Path) -> Option<Self> {
        let told = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = told.or_else(|| Some(env::home_dir()?.join(".cargo")));
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = env::split_paths(&path).chain(home.iter().map(|home| home.join("bin")));
        let here = env::var_os("CARGO").map(PathBuf::from);
        here.into_iter()
            .chain(directories.map(|directory| directory.join("cargo")))
            .find(|program| program.is_file())
            .map(|program| Self { program, env: Vec::new(), home })
            .or_else(|| Self::of_caller(cache))
    }

    /// The toolchain of the person behind sudo; what root downloads does not go into that person's home.
    fn of_caller(cache: &Path) -> Option<Self> {
        let caller = User::from_name(env::var("SUDO_USER").ok()?.as_str()).ok()??;
        let programs = caller.dir.join(".cargo/bin");
        let program = programs.join("cargo");
        let home = cache.join("cargo");
        // Cargo looks for rustc on PATH.
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(iter::once(programs).chain(env::split_paths(&path))).ok()?;
        let env = vec![
            ("RUSTUP_HOME", caller.dir.join(".rustup").into()),
            ("CARGO_HOME", home.clone().into()),
            ("PATH", path),
        ];
        program.is_file().then_some(Self { program, env, home: Some(home) })
    }

    /// This cargo with these arguments.
    pub(super) fn invocation<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Invocation {
        let invocation = Invocation::new(&self.program, args);
        self.env.iter().fold(invocation, |invocation, (name, value)| invocation.env(*name, value))
    }
}

/// Runs cargo to its end and passes on what it says it does.
pub(super) async fn run(invocation: &Invocation, step: &Step) -> Result<(), Error> {
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

/// Passes on each line as the step's news; returns them all.
async fn follow(output: impl AsyncRead + Unpin, step: &Step) -> String {
    let mut output = BufReader::new(output);
    let (mut said, mut line) = (String::new(), Vec::new());
    // An output that cannot be read ends like one that is closed: cargo's exit tells the rest.
    while output.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        step.detail(text.trim());
        said.push_str(&text);
        line.clear();
    }
    said
}

/// Cargo's process group, ended with all its compilers when it is dropped before it [`ended`](Group::ended).
struct Group(Option<u32>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // It may have ended by itself, and then there is nothing to do.
            let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
        }
    }
}

/// The variables of this process that the inner build must not see.
fn inherited() -> impl Iterator<Item = OsString> {
    env::vars_os().map(|(name, _)| name).filter(|name| disturbs(&name.to_string_lossy()))
}

/// What an outer cargo, or a developer's settings, would change about the inner build.
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
    use super::*;
    use crate::progress::{Event, Progress};

    #[test]
    fn the_inner_build_does_not_inherit_the_outer_one() {
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

    fn run_shell(script: &str) -> (Result<(), Error>, Vec<Event>) {
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
    fn what_it_says_is_news_and_the_end_of_it_is_the_error() {
        let (result, events) = run_shell("echo '  Compiling x' >&2; echo 'error: no' >&2; exit 101");
        let text = result.unwrap_err().to_string();
        assert!(text.contains("exit 101") && text.contains("error: no"), "{text}");
        let news = |text: &str| Event::Detail { step: "build".into(), text: text.into() };
        assert_eq!(events[1..3], [news("Compiling x"), news("error: no")]);
    }

    #[test]
    fn what_is_set_for_it_stays_and_what_cargo_set_for_this_test_goes() {
        assert!(env::var_os("CARGO_PKG_NAME").is_some(), "cargo sets it for tests");
        let (result, _) = run_shell("test -z \"$CARGO_PKG_NAME\" && test \"$CARGO_TARGET_X_RUSTFLAGS\" = ours");
        result.unwrap();
    }
}
