//! Builds a pinned module with Go in a temporary directory of the cache, and renames it when it is complete.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::module::{Module, Pins, root};
use super::module_directory::{UnfinishedModule, check, lock, remove_leftovers};
use super::program::Program;
use crate::io_error::IoError;
use crate::process::{Invocation, outcome};
use crate::progress::{Progress, Step};
use crate::shutdown::{self, Shutdown};
use crate::toolbox::{InstallRemedy, ToolboxError};

/// Progress is reported after this number of compiled packages or downloaded modules.
const REPORT_EVERY: usize = 50;
/// The number of lines of Go's output that are kept for an error.
const TAIL: usize = 8;

/// The programs are linked without debugging information, so the compiler need not write any.
const GOFLAGS: &str = "-mod=readonly -gcflags=all=-dwarf=false";
/// The compilers look for garbage less often than by default (100), which takes an eighth of their time.
const GOGC: &str = "400";
/// The memory from which on they look for it as often as needed.
const GOMEMLIMIT: &str = "1GiB";

/// Builds a module into `cache`, unless it is already there and complete.
///
/// Only one process at a time builds a module. An interrupted build is never used: the directory gets its final name only
/// when all programs were built and report a suitable version.
pub(super) async fn build(
    pins: &Pins,
    go: &Path,
    cache: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<(), ToolboxError> {
    let step = progress.step(format!("build {} {}", pins.module.title(), pins.version()));
    let root = root(cache);
    fs::create_dir_all(&root).map_err(|source| IoError::file("create", &root, source))?;
    let _lock = lock(&root, pins.module, &step, shutdown).await?;
    remove_leftovers(&root, pins.module);
    let place = pins.directory(cache);
    if check(pins.module, &place.join("bin")).await.is_ok() {
        step.done_with("already built");
        return Ok(());
    }
    let directory = UnfinishedModule::new(pins, &root)?;
    let command = go_install(pins, go, directory.path());
    run(&command, pins.module, &step, shutdown).await?;
    for program in Program::of_module(pins.module) {
        let (built, wanted) = (directory.bin().join(program.built_name()), directory.bin().join(program.name()));
        fs::rename(&built, &wanted).map_err(|source| IoError::file("rename", &wanted, source))?;
    }
    check(pins.module, &directory.bin()).await.map_err(|why| ToolboxError::InstallFailed {
        what: pins.module.title().to_owned(),
        why: format!("the built program cannot be used: {why}"),
        remedy: InstallRemedy::ByHand { command: command.to_string() },
    })?;
    directory.move_to(&place)?;
    let count = Program::of_module(pins.module).count();
    step.done_with(if count == 1 { "1 program".to_owned() } else { format!("{count} programs") });
    Ok(())
}

fn go_install(pins: &Pins, go: &Path, directory: &Path) -> Invocation {
    let args = ["install", "-v"].map(str::to_owned).into_iter().chain(pins.flags()).chain(["tool".to_owned()]);
    let mut command = Invocation::new(go, args)
        .directory(directory)
        .env("GOBIN", directory.join("bin"))
        .env("GOTMPDIR", directory.join("tmp"))
        .env("GOFLAGS", GOFLAGS)
        .env("GOGC", GOGC)
        .env("GOMEMLIMIT", GOMEMLIMIT)
        .env("GOWORK", "off")
        .env("CGO_ENABLED", if pins.module.needs_c() { "1" } else { "0" });
    // Without HOME, as in a system service, Go has no place for its downloads and its build cache.
    if std::env::var_os("HOME").is_none() {
        command = command.env("GOPATH", directory.join("tmp/go")).env("GOCACHE", directory.join("tmp/cache"));
        command = command.env("GOMODCACHE", directory.join("tmp/go/pkg/mod"));
        command = command.env("GOFLAGS", format!("{GOFLAGS} -modcacherw"));
    }
    command
}

/// Runs Go and reports its progress. On shutdown, Go and all compilers that it started are killed.
async fn run(command: &Invocation, module: Module, step: &Step, shutdown: &Shutdown) -> Result<(), ToolboxError> {
    let mut process = Command::from(command.command());
    let process = process.kill_on_drop(true).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = process.spawn().map_err(|source| command.not_started(&source))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut news = BuildProgress::default();
    let ended = shutdown::unless(shutdown, async {
        listen(&mut child, &mut news, step).await.map_err(|source| IoError::new("read the output of Go", source))?;
        child.wait().await.map_err(|source| IoError::new("wait for Go", source))
    })
    .await;
    if !matches!(ended, Ok(Ok(_))) {
        if let Some(group) = group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = child.wait().await;
    }
    let status = ended??;
    if status.success() { Ok(()) } else { Err(failure(module, command, &outcome(status), &news.tail)) }
}

async fn listen(child: &mut Child, news: &mut BuildProgress, step: &Step) -> io::Result<()> {
    let Some(stderr) = child.stderr.take() else { return Ok(()) };
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(text) = news.line(&line) {
            step.detail(text);
        }
    }
    Ok(())
}

/// The progress of Go by its output: a line for each downloaded module and for each compiled package.
#[derive(Debug, Default, PartialEq, Eq)]
struct BuildProgress {
    downloaded: usize,
    compiled: usize,
    tail: Vec<String>,
}

impl BuildProgress {
    fn line(&mut self, line: &str) -> Option<String> {
        if line.starts_with("go: downloading ") {
            self.downloaded += 1;
            return (self.downloaded % REPORT_EVERY == 1).then(|| format!("downloading modules ({})", self.downloaded));
        }
        // The line of a package has only its path. Lines with several words are kept for an error.
        if !line.is_empty() && !line.starts_with('#') && !line.contains(char::is_whitespace) {
            self.compiled += 1;
            return self.compiled.is_multiple_of(REPORT_EVERY).then(|| format!("{} packages compiled", self.compiled));
        }
        self.tail.push(line.to_owned());
        if self.tail.len() > TAIL {
            self.tail.remove(0);
        }
        None
    }
}

/// The error for a build that failed; the most common causes have their own messages.
fn failure(module: Module, command: &Invocation, outcome: &str, tail: &[String]) -> ToolboxError {
    let said = tail.join("\n");
    let first = tail.iter().find(|line| !line.starts_with('#')).map_or("", |line| line.trim());
    let has = |marks: &[&str]| marks.iter().any(|mark| said.contains(mark));
    let network = ["dial tcp", "no such host", "network is unreachable", "i/o timeout", "connection refused"];
    let (why, remedy) = if has(&network) {
        (format!("Go could not download what it needs ({first})"), InstallRemedy::Network)
    } else if has(&["go.mod requires go", "unknown directive: tool", "invalid go version", "toolchain not available"]) {
        (format!("the installed Go is too old ({first})"), InstallRemedy::NewerGo)
    } else if has(&["no space left"]) {
        (format!("the disk is full ({first})"), InstallRemedy::Space { gigabytes: 5 })
    } else {
        let remedy = InstallRemedy::ByHand { command: command.to_string() };
        (format!("Go failed ({outcome}): {}", said.trim()), remedy)
    };
    ToolboxError::InstallFailed { what: module.title().to_owned(), why, remedy }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn failed(tail: &[&str]) -> ToolboxError {
        let tail: Vec<String> = tail.iter().map(ToString::to_string).collect();
        failure(Module::Runc, &Invocation::new("go", ["install"]), "exit 1", &tail)
    }

    #[test]
    fn progress_counts_packages_and_keeps_errors() {
        let mut news = BuildProgress::default();
        let said: Vec<String> = (0..100).filter_map(|n| news.line(&format!("k8s.io/api/v{n}"))).collect();
        assert_eq!(said, ["50 packages compiled", "100 packages compiled"]);
        assert_eq!(news.line("go: downloading k8s.io/api v0.36.3").as_deref(), Some("downloading modules (1)"));
        (0..20).for_each(|n| assert_eq!(news.line(&format!("error number {n}")), None));
        assert_eq!(news.tail.last().map(String::as_str), Some("error number 19"));
        assert_eq!(news.tail.len(), TAIL);
    }

    #[test]
    fn common_failures_have_their_own_remedies() {
        let remedy = |tail: &[&str]| match failed(tail) {
            ToolboxError::InstallFailed { remedy, .. } => remedy,
            other => panic!("{other} should be a failed installation"),
        };
        let network = "go: x@v1: Get \"https://modules.invalid/x\": dial tcp: lookup modules.invalid: no such host";
        assert_eq!(remedy(&[network]), InstallRemedy::Network);
        let old = "go: go.mod requires go >= 1.26.3 (running go 1.24.4; GOTOOLCHAIN=local)";
        assert_eq!(remedy(&[old]), InstallRemedy::NewerGo);
        assert_eq!(remedy(&["write x: no space left on device"]), InstallRemedy::Space { gigabytes: 5 });
        let other = ["# example.org/x", "x.go:1: undefined: y"];
        assert_eq!(remedy(&other), InstallRemedy::ByHand { command: "go install".into() });
        assert!(failed(&other).to_string().contains("undefined: y"));
    }

    #[tokio::test]
    async fn a_failed_build_leaves_only_the_lock_file() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(root(cache.path()).join(".unfinished-cni-1/bin")).unwrap();
        fs::create_dir_all(root(cache.path()).join(".unfinished-runc-1/bin")).unwrap();
        let pins = Module::Cni.pins();
        let built = build(&pins, Path::new("false"), cache.path(), &Progress::silent(), &Shutdown::new()).await;
        assert!(matches!(built, Err(ToolboxError::InstallFailed { .. })), "{built:?}");
        assert_eq!(
            kept(cache.path()),
            [".cni.lock", ".unfinished-runc-1"],
            "the directory of another module must stay"
        );
    }

    #[tokio::test]
    async fn a_build_that_waits_can_be_stopped() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(root(cache.path())).unwrap();
        let held = File::create(root(cache.path()).join(".cni.lock")).unwrap();
        held.lock().unwrap();
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        let progress = Progress::new(move |event| {
            if matches!(event, crate::progress::ProgressEvent::Detail { .. }) {
                stop.cancel();
            }
        });
        let built = build(&Module::Cni.pins(), Path::new("false"), cache.path(), &progress, &shutdown).await;
        assert!(matches!(built, Err(ToolboxError::Interrupted(_))), "{built:?}");
    }

    fn kept(cache: &Path) -> Vec<String> {
        let entries = fs::read_dir(root(cache)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Tests that need Go and its module proxy. The checks of the flake leave out every module of this name.
    mod online {
        use super::*;

        #[tokio::test]
        async fn a_build_is_kept_only_when_it_is_complete() {
            let cache = tempfile::tempdir().unwrap();
            let cache = cache.path();
            let go = super::super::super::go::find().expect("this test builds with Go: https://go.dev/dl");
            let silent = Progress::silent();
            let mut pins = Module::Cni.pins();

            let stopped = Shutdown::new();
            stopped.cancel();
            let interrupted = build(&pins, &go, cache, &silent, &stopped).await;
            assert!(matches!(interrupted, Err(ToolboxError::Interrupted(_))), "{interrupted:?}");
            assert_eq!(kept(cache), [".cni.lock"]);

            build(&pins, &go, cache, &silent, &Shutdown::new()).await.unwrap();
            assert_eq!(kept(cache), [".cni.lock".to_owned(), format!("cni-{}", pins.key())]);

            fs::remove_file(pins.bin(cache).join("ptp")).unwrap();
            build(&pins, &go, cache, &silent, &Shutdown::new()).await.unwrap();
            assert_eq!(check(Module::Cni, &pins.bin(cache)).await, Ok(()), "a damaged module is built again");

            let first = pins.bin(cache);
            pins.go_mod.to_mut().push_str("\n// another pin\n");
            build(&pins, &go, cache, &silent, &Shutdown::new()).await.unwrap();
            assert_eq!(check(Module::Cni, &pins.bin(cache)).await, Ok(()));
            assert_eq!(check(Module::Cni, &first).await, Ok(()), "labs of another version may still use it");
            assert_eq!(kept(cache).len(), 3);
        }
    }
}
