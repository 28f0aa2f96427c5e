//! Whether the components of a node can still watch files: each watcher is an inotify instance, and a user has few.

use std::fs;

use nix::sys::inotify::{InitFlags, Inotify};

use super::Outcome;
use crate::error::Error;

/// As many as the components of a node hold with 20 pods on it; docs/failures.md has the command that counts them.
const NEEDED: usize = 64;
/// The kernel settings that limit them: of the whole machine, and of this user namespace.
const SETTINGS: [&str; 2] = ["fs.inotify.max_user_instances", "user.max_inotify_instances"];

/// Makes as many instances as a node needs, and gives them back.
pub(super) fn tried() -> Outcome {
    match require() {
        Ok(()) => Outcome::Works(format!("{NEEDED} instances")),
        Err(error) => Outcome::Fails(error.to_string()),
    }
}

/// The same as an error of its own, because there is a setting that helps.
///
/// # Errors
/// [`Error::FewInotifyInstances`].
pub(super) fn require() -> Result<(), Error> {
    let made: Vec<Inotify> =
        (0..NEEDED).map_while(|_| Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()).collect();
    if made.len() == NEEDED {
        return Ok(());
    }
    let limits = SETTINGS.map(|setting| (setting, read(setting)));
    let lowest = limits.iter().min_by_key(|(_, limit)| limit.parse::<u64>().unwrap_or(u64::MAX));
    let (setting, limit) = lowest.cloned().unwrap_or((SETTINGS[0], String::new()));
    Err(Error::FewInotifyInstances { needed: NEEDED, free: made.len(), setting, limit })
}

fn read(setting: &str) -> String {
    let path = format!("/proc/sys/{}", setting.replace('.', "/"));
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |value| value.trim().to_owned())
}
