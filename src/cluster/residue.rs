//! Finds by fixed names what a lab has on the machine, and removes it. No state is needed, and it can be repeated.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cluster::ClusterError;
use crate::config::{LabName, Paths};
use crate::io_error::IoError;
use crate::progress::Progress;

use super::{apparmor, cgroup, find, gc_roots, network};

/// How long the number of killed processes may stay the same. It limits the time of `down` on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
/// The longest time until processes that have not ended are killed again.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait for all processes after they were killed at once.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Processes that were ended.
    pub processes: usize,
    /// The host's end of the link, if it existed.
    pub link: Option<String>,
    /// Root cgroups that were removed, one in each hierarchy.
    pub cgroups: Vec<PathBuf>,
    /// The state directory, if it existed.
    pub state: Option<PathBuf>,
    /// The directory with the roots for Nix's garbage collector, if it existed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gc_roots: Option<PathBuf>,
    /// State directories in other places, which the running nodes used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_states: Vec<PathBuf>,
}

impl Removed {
    /// Whether there was nothing to remove.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Which part of the state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The whole state is removed.
    Nothing,
    /// The logs are kept, because they show why `up` failed.
    Logs,
}

/// Removes everything that a lab has. Continues after an error, and reports in the end what could not be removed.
pub(super) fn remove(
    name: &LabName,
    paths: &Paths,
    ip: &Path,
    keep: Keep,
    progress: &Progress,
) -> Result<Removed, ClusterError> {
    let mut removed = Removed::default();
    let mut left = Vec::new();
    let mut attempt = |what: &str, result: Result<(), ClusterError>| {
        if let Err(error) = result {
            progress.note(format!("{what}: {error}"));
            left.push(format!("{what}: {error}"));
        }
    };

    // A state directory in another place can only be found as long as the processes run.
    let other_states = find::states_elsewhere(name, paths).unwrap_or_default();
    let step = progress.step("end the processes");
    attempt("processes", end_processes(&name.cgroup()).map(|count| removed.processes = count));
    step.done_with(format!("{} ended", removed.processes));

    let link_exists = network::link_exists(ip, name);
    if matches!(link_exists, Ok(true)) {
        let step = progress.step(format!("remove the link {}", name.link()));
        removed.link = Some(name.link());
        attempt("link", network::disconnect(ip, name).map_err(ClusterError::from));
        step.done();
    }
    attempt("link", link_exists.map(drop));
    for result in remove_cgroups(&name.cgroup())? {
        attempt("cgroup", result.map(|root| removed.cgroups.push(root)).map_err(ClusterError::from));
    }
    attempt("AppArmor profile", apparmor::unload(name).map_err(ClusterError::from));
    attempt("garbage collector roots", remove_roots(name, &mut removed));
    if paths.state.is_dir() {
        attempt("state", remove_state(paths, keep).map_err(ClusterError::from));
        removed.state = Some(paths.state.clone());
    }
    for state in other_states.into_iter().filter(|state| state.is_dir()) {
        attempt("state", remove_tree(&state).map_err(ClusterError::from));
        removed.other_states.push(state);
    }
    if left.is_empty() { Ok(removed) } else { Err(ClusterError::Residue { left }) }
}

/// Kills every process of a group below the root of every hierarchy, and waits until all of them are gone; returns how many
/// there were.
pub(super) fn end_processes(group: &str) -> Result<usize, ClusterError> {
    let count = cgroup::members(group)?.count();
    let (mut left, mut deadline, mut pause) = (count, Instant::now() + PATIENCE, PAUSE);
    if count > 0 && cgroup::kill_at_once(group)? {
        // With hundreds of pods, the kernel needs seconds. Looking at every process would take processors from it.
        wait_while(|| cgroup::has_members_in_version_2(group), FIRST_WAIT)?;
    }
    loop {
        let alive = cgroup::members(group)?;
        if alive.count() == 0 {
            return Ok(count);
        }
        if alive.count() < left {
            (left, deadline) = (alive.count(), Instant::now() + PATIENCE);
        }
        if Instant::now() > deadline {
            let hidden = match alive.hidden {
                0 => String::new(),
                hidden => format!(", of which {hidden} cannot be seen from this PID namespace"),
            };
            let text = format!("{} processes of {group} did not end{hidden}", alive.count());
            return Err(IoError::new("end the sandbox", io::Error::new(io::ErrorKind::TimedOut, text)).into());
        }
        cgroup::kill(group)?;
        wait_while(|| cgroup::has_members(group), pause)?;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Waits while something is so, but not longer than `longest`.
fn wait_while(is_so: impl Fn() -> Result<bool, ClusterError>, longest: Duration) -> Result<(), ClusterError> {
    let end = Instant::now() + longest;
    while is_so()? && Instant::now() < end {
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Removes the group of this name below the root of every hierarchy, all at the same time. Returns those that were removed, and why
/// others were not.
pub(super) fn remove_cgroups(group: &str) -> Result<Vec<Result<PathBuf, IoError>>, ClusterError> {
    Ok(cgroup::in_parallel(cgroup::roots(group)?, |root| remove_cgroup(&root).map(|()| root)))
}

/// Removes a root cgroup. A process that has just ended may keep its group busy for a moment.
fn remove_cgroup(root: &Path) -> Result<(), IoError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match cgroup::remove(root) {
            Err(source) if source.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(PAUSE);
            }
            result => return result.map_err(|source| IoError::file("remove the cgroup", root, source)),
        }
    }
}

fn remove_roots(name: &LabName, removed: &mut Removed) -> Result<(), ClusterError> {
    removed.gc_roots = gc_roots::remove(name)?;
    Ok(())
}

fn remove_state(paths: &Paths, keep: Keep) -> Result<(), IoError> {
    if keep == Keep::Nothing {
        return remove_tree(&paths.state);
    }
    let entries = fs::read_dir(&paths.state).map_err(|source| IoError::file("read", &paths.state, source))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path == paths.logs() {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            remove_tree(&path)?;
        } else {
            fs::remove_file(&path).map_err(|source| IoError::file("remove", &path, source))?;
        }
    }
    Ok(())
}

fn remove_tree(path: &Path) -> Result<(), IoError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(IoError::file("remove", path, source)),
        _ => remove_empty_parent(path),
    }
}

/// Removes `/var/lib/evenkeel` together with its last lab.
fn remove_empty_parent(path: &Path) -> Result<(), IoError> {
    let Some(parent) = path.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "evenkeel")) else {
        return Ok(());
    };
    match fs::remove_dir(parent) {
        Err(source) if !matches!(source.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) => {
            Err(IoError::file("remove", parent, source))
        }
        _ => Ok(()),
    }
}
