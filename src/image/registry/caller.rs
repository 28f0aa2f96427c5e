//! The user who called this program, also behind sudo: credentials and sockets are that user's.

use std::env;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

/// The user's home directory.
pub(super) fn home() -> Option<PathBuf> {
    behind_sudo()
        .map(|user| user.dir)
        .or_else(|| env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from))
}

/// The directory of the user's session: `/run/user/1000`.
pub(super) fn runtime_directory() -> Option<PathBuf> {
    let of = |user: User| PathBuf::from(format!("/run/user/{}", user.uid));
    behind_sudo()
        .map(of)
        .or_else(|| env::var_os("XDG_RUNTIME_DIR").filter(|directory| !directory.is_empty()).map(PathBuf::from))
}

/// The user who called sudo.
fn behind_sudo() -> Option<User> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let id = env::var("SUDO_UID").ok()?.parse().ok()?;
    User::from_uid(Uid::from_raw(id)).ok().flatten()
}
