//! One verb at a time may change a lab: the lock they hold meanwhile, and how a waiter learns whom it waits for.
//!
//! The kernel's lock on a file, so that it ends with its holder, however that ends. Its name follows from the lab's, as
//! all that a lab has on the machine, and not from the state directory, which `down` removes. Who lets go removes the
//! file first; so whoever gets a lock must look whether the file is still the one of that name.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::clock::now;
use crate::config::LabName;
use crate::error::Error;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};

use super::held_process::HeldProcess;

/// The verb that may end the others.
const DOWN: &str = "down";
/// Where locks are: in memory, so that none outlives the machine's own life.
const DIRECTORY: &str = "/run";
/// Between two tries; a waiter's delay, not a deadline.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a verb that was asked to stop may take to undo what it did, before `down` does that in its stead.
const PATIENCE: Duration = Duration::from_secs(20);

/// The right to change a lab, until it is dropped.
#[derive(Debug)]
pub struct LabLock {
    path: PathBuf,
    file: Flock<File>,
}

/// Who holds a lock, as it wrote itself into the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    verb: String,
    pid: i32,
    /// When the process started, by the kernel's clock: tells it from a later one with the same id.
    started: u64,
    /// When it took the lock: seconds since the epoch.
    since: u64,
}

impl LabLock {
    /// Takes the lock for `verb`; while another verb holds it, waits, and says for whom.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `shutdown` comes first, [`Error::Io`] when there can be no lock.
    pub async fn wait(name: &LabName, verb: &str, progress: &Progress, shutdown: &Shutdown) -> Result<Self, Error> {
        let path = path_of(name);
        if let Some(lock) = Self::attempt(&path, verb)? {
            return Ok(lock);
        }
        let step = progress.step(format!("wait for {}", named(Owner::read(&path).as_ref())));
        let mut told = None;
        let waited = async {
            loop {
                if let Some(lock) = Self::attempt(&path, verb)? {
                    return Ok(lock);
                }
                let news = Owner::read(&path).map(|owner| format!("waiting for {owner}"));
                if news != told {
                    if let Some(news) = &news {
                        step.detail(news);
                    }
                    told = news;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let lock = shutdown::unless(shutdown, waited).await?;
        step.done();
        Ok(lock)
    }

    /// Takes the lock for `down`: whichever other verb holds it is asked to stop, as by a Ctrl-C, and ended when it
    /// does not. Another `down` is waited for.
    ///
    /// # Errors
    /// As [`LabLock::wait`].
    pub async fn take_over(name: &LabName, progress: &Progress, shutdown: &Shutdown) -> Result<Self, Error> {
        let path = path_of(name);
        let mut asked: Option<(Owner, Instant)> = None;
        let mut unknown = 0;
        loop {
            if let Some(lock) = Self::attempt(&path, DOWN)? {
                return Ok(lock);
            }
            match (Owner::read(&path), &asked) {
                (Some(owner), _) if owner.verb == DOWN => return Self::wait(name, DOWN, progress, shutdown).await,
                (Some(owner), Some((before, since))) if owner == *before && since.elapsed() < PATIENCE => {}
                (Some(owner), Some((before, _))) if owner == *before => {
                    progress.note(format!("{} did not stop, so it is ended", owner.name()));
                    owner.signal(&[Signal::SIGKILL]);
                    asked = Some((owner, Instant::now()));
                }
                (Some(owner), _) => {
                    progress.note(format!("{owner} is asked to stop"));
                    // Not SIGINT, which a shell's background job ignores. A process stopped by Ctrl-Z receives the signal
                    // only when it continues.
                    owner.signal(&[Signal::SIGTERM, Signal::SIGCONT]);
                    asked = Some((owner, Instant::now()));
                }
                // One that has just taken the lock writes itself down in a moment; any other must not be signalled.
                (None, _) => {
                    unknown += 1;
                    if unknown == 20 {
                        progress.note("waiting for another evenkeel, whose process cannot be seen from here");
                    }
                }
            }
            let pause = async {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            };
            shutdown::unless(shutdown, pause).await?;
        }
    }

    /// The lock, unless another has it.
    fn attempt(path: &Path, verb: &str) -> Result<Option<Self>, Error> {
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = file.map_err(|source| Error::file("open the lock", path, source))?;
            let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => return Ok(None),
                Err((_, errno)) => return Err(Error::file("lock", path, errno.into())),
            };
            if is_at(&file, path) {
                let written = Owner::own(verb).write(&mut file);
                written.map_err(|source| Error::file("write", path, source))?;
                return Ok(Some(Self { path: path.to_owned(), file }));
            }
        }
    }
}

impl Drop for LabLock {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            // What stays is an empty claim that the next verb takes over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn path_of(name: &LabName) -> PathBuf {
    Path::new(DIRECTORY).join(format!("evenkeel-{name}.lock"))
}

/// Whether an open file is the one that `path` names.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |data: io::Result<fs::Metadata>| data.map(|data| (data.dev(), data.ino())).ok();
    let open = identity(file.metadata());
    open.is_some() && open == identity(fs::metadata(path))
}

/// A holder that has not written itself down yet is one all the same.
fn named(owner: Option<&Owner>) -> String {
    owner.map_or_else(|| "another evenkeel".to_owned(), Owner::name)
}

impl Owner {
    /// This process.
    fn own(verb: &str) -> Self {
        let pid = std::process::id().cast_signed();
        Self { verb: verb.to_owned(), pid, started: start_of(pid).unwrap_or(0), since: now() }
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(self)?)
    }

    /// Who the file says holds it, if that process is still there: not one that was killed, and whose id may be a
    /// stranger's by now.
    fn read(path: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        let owner: Self = serde_json::from_str(&text).ok()?;
        owner.is_there().then_some(owner)
    }

    fn is_there(&self) -> bool {
        start_of(self.pid) == Some(self.started)
    }

    fn name(&self) -> String {
        format!("`evenkeel {}` (process {})", self.verb, self.pid)
    }

    /// Sends it signals, if it is still there; the handle comes before the look.
    fn signal(&self, signals: &[Signal]) {
        if let Some(process) = HeldProcess::open(self.pid).filter(|_| self.is_there()) {
            for &signal in signals {
                // When it has just ended, it needs none.
                let _ = process.signal(signal);
            }
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = now().saturating_sub(self.since);
        write!(formatter, "`evenkeel {}` (process {}, since {seconds} s)", self.verb, self.pid)
    }
}

/// When a process started, in the kernel's ticks since the boot: the 22nd field of `/proc/PID/stat`.
fn start_of(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command's name, in parentheses, and may hold anything.
    text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("evenkeel-lab.lock");
        let first = LabLock::attempt(&path, "up").unwrap().unwrap();
        assert!(LabLock::attempt(&path, "scale").unwrap().is_none());
        let owner = Owner::read(&path).unwrap();
        assert_eq!((owner.verb.as_str(), owner.pid), ("up", std::process::id().cast_signed()));
        assert_eq!(owner.to_string().split(", since").next().unwrap(), format!("`evenkeel up` (process {}", owner.pid));
        drop(first);
        assert!(!path.exists());
        assert!(LabLock::attempt(&path, "scale").unwrap().is_some());
    }

    #[test]
    fn a_lock_on_a_file_that_was_removed_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("evenkeel-lab.lock");
        let stale = LabLock::attempt(&path, "up").unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        let new = LabLock::attempt(&path, "down").unwrap().unwrap();
        drop(stale);
        assert!(path.exists(), "who holds nothing any more removes nothing");
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn a_stranger_with_the_owners_id_is_not_the_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("evenkeel-lab.lock");
        let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = stranger.id().cast_signed();
        let owner = Owner { verb: "up".into(), pid, started: start_of(pid).unwrap() + 1, since: now() };
        owner.write(&mut File::create(&path).unwrap()).unwrap();
        assert_eq!(Owner::read(&path), None);
        owner.signal(&[Signal::SIGKILL]);
        std::thread::sleep(Duration::from_millis(50));
        assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
        let right = Owner { started: start_of(pid).unwrap(), ..owner };
        right.signal(&[Signal::SIGKILL]);
        assert!(!stranger.wait().unwrap().success());
    }
}
