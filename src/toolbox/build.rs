//! Builds a pinned module with Go: beside its place in the cache, then moved there whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::find::{is_executable, on_path};
use super::module::{Module, Pins, root};
use super::{on_thread, version};
use crate::error::Error;
use crate::io_error::IoError;
use crate::process::{Invocation, outcome};
use crate::progress::{Progress, Step};
use crate::shutdown::{self, Shutdown};

/// Where Go is when PATH does not say so, as under sudo.
const GO_DIRECTORIES: &[&str] = &["/usr/local/go/bin", "/usr/lib/go/bin", "/usr/lib/golang/bin"];
/// News is given each time so many more packages are compiled or modules downloaded.
const NEWS_EVERY: usize = 50;
/// How much of what Go says is kept for an error.
const TAIL: usize = 8;

/// The `go` program.
pub(super) fn go() -> Option<PathBuf> {
    on_path("go", GO_DIRECTORIES)
}

/// Builds what `pins` say into `cache`, unless it is there and well.
///
/// Two builds of a module wait for each other. Whatever stops a build, nothing of it is ever found: it takes its place
/// by one rename, when all of its programs are there and say a right version.
pub(super) async fn build(
    pins: &Pins,
    go: &Path,
    cache: &Path,
    progress: &Progress,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let step = progress.step(format!("build {} {}", pins.module.title(), pins.version()));
    let shelf = root(cache);
    fs::create_dir_all(&shelf).map_err(|source| IoError::file("make", &shelf, source))?;
    let _lock = lock(&shelf.join(format!(".{}.lock", pins.module)), &step, shutdown).await?;
    remove_leftovers(&shelf, pins.module);
    let place = pins.directory(cache);
    if check(pins.module, &place.join("bin")).await.is_ok() {
        step.done_with("already built");
        return Ok(());
    }
    let room = Room::new(pins, &shelf)?;
    let command = go_install(pins, go, &room.0);
    run(&command, pins.module, &step, shutdown).await?;
    for program in pins.module.programs() {
        let (built, wanted) = (room.bin().join(Module::built_name(program)), room.bin().join(program.name()));
        fs::rename(&built, &wanted).map_err(|source| IoError::file("name", &wanted, source))?;
    }
    check(pins.module, &room.bin()).await.map_err(|why| Error::InstallFailed {
        what: pins.module.title().to_owned(),
        why: format!("what was built will not do: {why}"),
        hint: format!("run the build by hand to see more: {command}"),
    })?;
    room.move_to(&place)?;
    let count = pins.module.programs().count();
    step.done_with(if count == 1 { "1 program".to_owned() } else { format!("{count} programs") });
    Ok(())
}

/// Waits until no other process builds the module; the lock ends with the file.
async fn lock(path: &Path, step: &Step, shutdown: &Shutdown) -> Result<File, Error> {
    let failed = |source| IoError::file("lock", path, source);
    let file = File::create(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(fs::TryLockError::WouldBlock) => step.detail("another evenkeel builds it; waiting"),
        Err(fs::TryLockError::Error(source)) => return Err(failed(source).into()),
    }
    let locked = on_thread(move || file.lock().map(|()| file));
    Ok(shutdown::unless(shutdown, locked).await??.map_err(failed)?)
}

/// Whether all programs of a module are in `bin` and will do.
async fn check(module: Module, bin: &Path) -> Result<(), String> {
    for program in module.programs() {
        let path = bin.join(program.name());
        if !is_executable(&path) {
            return Err(format!("{program} is not there"));
        }
        if let Some(why) = version::judge(program, &version::ask(program, &path).await) {
            return Err(format!("{program} {why}"));
        }
    }
    Ok(())
}

/// A name that nothing looks for.
fn unfinished(module: Module) -> String {
    format!(".unfinished-{module}-")
}

/// Removes what killed builds left; only for the holder of the lock. What cannot be removed is in nobody's way.
fn remove_leftovers(shelf: &Path, module: Module) {
    let entries = fs::read_dir(shelf).into_iter().flatten().filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&unfinished(module))) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// The directory of a build, removed with all it holds unless it is moved to its place.
struct Room(PathBuf);

impl Room {
    fn new(pins: &Pins, shelf: &Path) -> Result<Self, Error> {
        let room = Self(shelf.join(format!("{}{}", unfinished(pins.module), std::process::id())));
        let fill = || {
            fs::create_dir(&room.0)?;
            fs::create_dir(room.bin())?;
            fs::create_dir(room.scratch())?;
            fs::write(room.0.join("go.mod"), &*pins.go_mod)?;
            fs::write(room.0.join("go.sum"), &*pins.go_sum)
        };
        fill().map_err(|source| IoError::file("make", &room.0, source))?;
        Ok(room)
    }

    fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// For what Go makes in passing: when Go is killed, it goes with the rest.
    fn scratch(&self) -> PathBuf {
        self.0.join("tmp")
    }

    /// Moves it to `place`, in place of a damaged one.
    fn move_to(self, place: &Path) -> Result<(), IoError> {
        let mut damaged = self.0.clone();
        damaged.set_extension("damaged");
        let moved = || {
            fs::remove_dir_all(self.scratch())?;
            if place.exists() {
                fs::rename(place, &damaged)?;
                fs::remove_dir_all(&damaged)?;
            }
            fs::rename(&self.0, place)
        };
        moved().map_err(|source| IoError::file("make", place, source))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next build.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn go_install(pins: &Pins, go: &Path, room: &Path) -> Invocation {
    let args = ["install", "-v"].map(str::to_owned).into_iter().chain(pins.flags()).chain(["tool".to_owned()]);
    let mut command = Invocation::new(go, args)
        .directory(room)
        .env("GOBIN", room.join("bin"))
        .env("GOTMPDIR", room.join("tmp"))
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", if pins.module.needs_c() { "1" } else { "0" });
    // Without a home (a system service, say) Go does not know where to keep what it downloads and compiles.
    if std::env::var_os("HOME").is_none() {
        command = command.env("GOPATH", room.join("tmp/go")).env("GOCACHE", room.join("tmp/cache"));
        command = command.env("GOMODCACHE", room.join("tmp/go/pkg/mod")).env("GOFLAGS", "-mod=readonly -modcacherw");
    }
    command
}

/// Runs Go to its end and passes on how far it is; told to stop, it ends Go and every compiler that Go started.
async fn run(command: &Invocation, module: Module, step: &Step, shutdown: &Shutdown) -> Result<(), Error> {
    let mut process = Command::from(command.command());
    let process = process.kill_on_drop(true).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = process.spawn().map_err(|source| command.not_started(&source))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut news = News::default();
    let ended = shutdown::unless(shutdown, async {
        listen(&mut child, &mut news, step).await.map_err(|source| IoError::new("listen to Go", source))?;
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

async fn listen(child: &mut Child, news: &mut News, step: &Step) -> io::Result<()> {
    let Some(stderr) = child.stderr.take() else { return Ok(()) };
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(text) = news.hear(&line) {
            step.detail(text);
        }
    }
    Ok(())
}

/// How far Go is, by what it says: a line for each module it downloads, one for each package it compiles.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    downloaded: usize,
    compiled: usize,
    tail: Vec<String>,
}

impl News {
    fn hear(&mut self, line: &str) -> Option<String> {
        if line.starts_with("go: downloading ") {
            self.downloaded += 1;
            return (self.downloaded % NEWS_EVERY == 1).then(|| format!("downloading modules ({})", self.downloaded));
        }
        // A package's path is all its line says; whatever has more words is worth keeping for an error.
        if !line.is_empty() && !line.starts_with('#') && !line.contains(char::is_whitespace) {
            self.compiled += 1;
            return self.compiled.is_multiple_of(NEWS_EVERY).then(|| format!("{} packages compiled", self.compiled));
        }
        self.tail.push(line.to_owned());
        if self.tail.len() > TAIL {
            self.tail.remove(0);
        }
        None
    }
}

/// The error for a build that failed, with the reasons that a machine most often has told apart.
fn failure(module: Module, command: &Invocation, outcome: &str, tail: &[String]) -> Error {
    let said = tail.join("\n");
    let first = tail.iter().find(|line| !line.starts_with('#')).map_or("", |line| line.trim());
    let has = |marks: &[&str]| marks.iter().any(|mark| said.contains(mark));
    let network = ["dial tcp", "no such host", "network is unreachable", "i/o timeout", "connection refused"];
    let (why, hint) = if has(&network) {
        (
            format!("Go could not download what it needs ({first})"),
            "connect this machine, or set GOPROXY to a proxy it can reach, then try again".to_owned(),
        )
    } else if has(&["go.mod requires go", "unknown directive: tool", "invalid go version", "toolchain not available"]) {
        (format!("this Go is too old ({first})"), "install a newer Go: https://go.dev/dl".to_owned())
    } else if has(&["no space left"]) {
        (format!("the disk is full ({first})"), "free 5 GB, or choose another place with EVENKEEL_CACHE_DIR".to_owned())
    } else {
        (format!("Go failed ({outcome}): {}", said.trim()), format!("run it by hand to see more: {command}"))
    };
    Error::InstallFailed { what: module.title().to_owned(), why, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(tail: &[&str]) -> Error {
        let tail: Vec<String> = tail.iter().map(ToString::to_string).collect();
        failure(Module::Runc, &Invocation::new("go", ["install"]), "exit 1", &tail)
    }

    #[test]
    fn news_counts_and_keeps_what_is_an_error() {
        let mut news = News::default();
        let said: Vec<String> = (0..100).filter_map(|n| news.hear(&format!("k8s.io/api/v{n}"))).collect();
        assert_eq!(said, ["50 packages compiled", "100 packages compiled"]);
        assert_eq!(news.hear("go: downloading k8s.io/api v0.36.3").as_deref(), Some("downloading modules (1)"));
        (0..20).for_each(|n| assert_eq!(news.hear(&format!("error number {n}")), None));
        assert_eq!(news.tail.last().map(String::as_str), Some("error number 19"));
        assert_eq!(news.tail.len(), TAIL);
    }

    #[test]
    fn failures_say_what_to_do() {
        let net =
            failed(&["go: x@v1: Get \"https://modules.invalid/x\": dial tcp: lookup modules.invalid: no such host"]);
        assert!(net.hint().contains("connect this machine"), "{net} {}", net.hint());
        let old = failed(&["go: go.mod requires go >= 1.26.3 (running go 1.24.4; GOTOOLCHAIN=local)"]);
        assert!(old.hint().contains("newer Go"), "{old} {}", old.hint());
        let other = failed(&["# example.org/x", "x.go:1: undefined: y"]);
        assert!(other.to_string().contains("undefined: y") && other.hint().contains("go install"), "{other}");
    }

    #[tokio::test]
    async fn a_failed_build_leaves_nothing_and_a_lock_is_no_leftover() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(root(cache.path()).join(".unfinished-cni-1/bin")).unwrap();
        fs::create_dir_all(root(cache.path()).join(".unfinished-runc-1/bin")).unwrap();
        let pins = Module::Cni.pins();
        let built = build(&pins, Path::new("/bin/false"), cache.path(), &Progress::silent(), &Shutdown::new()).await;
        assert!(matches!(built, Err(Error::InstallFailed { .. })), "{built:?}");
        assert_eq!(
            kept(cache.path()),
            [".cni.lock", ".unfinished-runc-1"],
            "another module's build is not this one's to remove"
        );
    }

    #[tokio::test]
    async fn a_stopped_build_waits_for_nobody() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(root(cache.path())).unwrap();
        let held = File::create(root(cache.path()).join(".cni.lock")).unwrap();
        held.lock().unwrap();
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        let progress = Progress::new(move |event| {
            if matches!(event, crate::progress::Event::Detail { .. }) {
                stop.cancel();
            }
        });
        let built = build(&Module::Cni.pins(), Path::new("/bin/false"), cache.path(), &progress, &shutdown).await;
        assert!(matches!(built, Err(Error::Interrupted(_))), "{built:?}");
    }

    fn kept(cache: &Path) -> Vec<String> {
        let entries = fs::read_dir(root(cache)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_build_is_kept_whole_or_not_at_all() {
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path();
        let go = go().expect("this test builds with Go: https://go.dev/dl");
        let silent = Progress::silent();
        let mut pins = Module::Cni.pins();

        let stopped = Shutdown::new();
        stopped.cancel();
        let interrupted = build(&pins, &go, cache, &silent, &stopped).await;
        assert!(matches!(interrupted, Err(Error::Interrupted(_))), "{interrupted:?}");
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
