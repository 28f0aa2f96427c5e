//! Checks whether the components of a node can watch files: each watcher needs an inotify instance, and their number is
//! limited for each user.

use super::{ProbeResult, setting};
use crate::platform;
use crate::toolbox::ToolboxError;

/// The components of a node hold 20. The rest is for followed logs (one for each pod) and, with cgroup v2, for containers.
const NEEDED: usize = 32;
/// The kernel settings with the limits of the machine and of this user namespace.
const SETTINGS: [&str; 2] = ["fs.inotify.max_user_instances", "user.max_inotify_instances"];

/// Creates as many instances as a node needs, and closes them again.
pub(super) fn tried() -> ProbeResult {
    match require() {
        Ok(()) => ProbeResult::Works(format!("{NEEDED} instances")),
        Err(error) => ProbeResult::Fails(error.to_string()),
    }
}

/// The same check with an error that names the setting.
///
/// # Errors
/// [`ToolboxError::FewInotifyInstances`].
pub(super) fn require() -> Result<(), ToolboxError> {
    let free = platform::inotify_instances(NEEDED);
    if free == NEEDED {
        return Ok(());
    }
    let limits = SETTINGS.map(|name| (name, setting(name).unwrap_or_else(|| "unknown".to_owned())));
    let lowest = limits.iter().min_by_key(|(_, limit)| limit.parse::<u64>().unwrap_or(u64::MAX));
    let (setting, limit) = lowest.cloned().unwrap_or((SETTINGS[0], String::new()));
    Err(ToolboxError::FewInotifyInstances { needed: NEEDED, free, setting, limit })
}
