//! The lock of a lab: only one verb at a time may change the lab, and a verb that waits can name the one that it waits for.
//!
//! The lock is the kernel's lock on a file (flock), so it ends with the process that holds it. The file's name follows from
//! the lab's name and not from the state directory, which `down` removes. The holder removes the file before it releases
//! the lock. So a process that gets a lock must check that the path still leads to the same file.

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
use crate::cluster::ClusterError;
use crate::config::LabName;
use crate::io_error::IoError;
use crate::progress::Progress;
use crate::shutdown::{self, Shutdown};

use super::pid_fd::PidFd;

/// The verb that may end the others.
const DOWN: &str = "down";
/// Where locks are: in memory on most machines, so that a reboot removes them.
pub(super) const DIRECTORY: &str = "/run";
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a verb that was asked to stop may take to undo what it did. After that, `down` kills it and removes the lab.
const PATIENCE: Duration = Duration::from_secs(20);

/// The right to change a lab. It ends when this value is dropped.
#[derive(Debug)]
pub struct LabLock {
    path: PathBuf,
    file: Flock<File>,
}

/// The process that holds a lock, as it described itself in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    verb: String,
    pid: i32,
    /// When the process started, by the kernel's clock: it distinguishes this process from a later one with the same id.
    started: u64,
    /// When it took the lock: seconds since the epoch.
    since: u64,
}

impl LabLock {
    /// Takes the lock for `verb`. While another verb holds it, waits, and reports which one.
    ///
    /// # Errors
    /// [`ClusterError::Interrupted`] when `shutdown` comes first, [`ClusterError::Io`] when the file cannot be locked.
    pub async fn wait(
        name: &LabName,
        verb: &str,
        progress: &Progress,
        shutdown: &Shutdown,
    ) -> Result<Self, ClusterError> {
        let path = path_of(name);
        if let Some(lock) = Self::attempt(&path, verb)? {
            return Ok(lock);
        }
        let step = progress.step(format!("wait for {}", named(Owner::read(&path).as_ref())));
        let mut told = None;
        let waited = async {
            loop {
                if let Some(lock) = Self::attempt(&path, verb)? {
                    return Ok::<_, ClusterError>(lock);
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
        let lock = shutdown::unless(shutdown, waited).await??;
        step.done();
        Ok(lock)
    }

    /// Takes the lock for `down`. A verb that holds it is asked to stop, as by Ctrl-C, and is killed if it does not stop.
    /// If the holder is another `down`, waits for it.
    ///
    /// # Errors
    /// As [`LabLock::wait`].
    pub async fn take_over(name: &LabName, progress: &Progress, shutdown: &Shutdown) -> Result<Self, ClusterError> {
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
                    progress.note(format!("{} did not stop, so it is killed", owner.name()));
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
                // A process that has just taken the lock describes itself in a moment. No other may be signalled.
                (None, _) => {
                    unknown += 1;
                    if unknown == 20 {
                        progress
                            .note("waiting for another evenkeel, whose process cannot be seen from this PID namespace");
                    }
                }
            }
            shutdown::unless(shutdown, tokio::time::sleep(PAUSE)).await?;
        }
    }

    /// The lock, unless another process holds it.
    fn attempt(path: &Path, verb: &str) -> Result<Option<Self>, IoError> {
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = file.map_err(|source| IoError::file("open the lock", path, source))?;
            let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((_, Errno::EWOULDBLOCK | Errno::EINTR)) => return Ok(None),
                Err((_, errno)) => return Err(IoError::file("lock", path, errno.into())),
            };
            if is_at(&file, path) {
                let written = Owner::own(verb).write(&mut file);
                written.map_err(|source| IoError::file("write", path, source))?;
                return Ok(Some(Self { path: path.to_owned(), file }));
            }
        }
    }
}

impl Drop for LabLock {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            // If this fails, the file stays without a lock, and the next verb takes it over.
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

/// The name of a holder, also of one that has not described itself yet.
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

    /// The holder that the file names, if that process still runs. If it was killed, another process may have its id now.
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

    /// Sends it signals, if it still runs. The handle is opened before that is checked.
    fn signal(&self, signals: &[Signal]) {
        if let Some(process) = PidFd::open(self.pid).filter(|_| self.is_there()) {
            for &signal in signals {
                // A process that has just ended needs no signal.
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
        assert!(path.exists(), "a lock that was lost must not remove the file");
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
