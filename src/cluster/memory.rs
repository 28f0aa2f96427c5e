//! Checks, before anything is done, whether the machine has the memory that a cluster needs.

use std::fs;

use crate::cluster::ClusterError;
use crate::config::NodeCount;
use crate::toolbox::kernel::bytes_in_meminfo;

/// In megabytes. A cluster that has just booted uses 450 MB that cannot be reclaimed; the rest is for the code of its
/// programs and a few pods. docs/failures.md has the command that measures it.
const NEEDED: u64 = 600;
/// In megabytes: what each further node uses.
const NEEDED_BY_NODE: u64 = 200;

/// Refuses a machine that has too little memory. A machine whose memory cannot be read is accepted.
///
/// # Errors
/// [`ClusterError::LittleMemory`].
pub(super) fn require(nodes: NodeCount) -> Result<(), ClusterError> {
    require_free(NEEDED + NEEDED_BY_NODE * u64::from(nodes.get() - 1))
}

/// Refuses a machine that has too little memory for one more node.
///
/// # Errors
/// [`ClusterError::LittleMemory`].
pub(super) fn require_for_node() -> Result<(), ClusterError> {
    require_free(NEEDED_BY_NODE)
}

fn require_free(needed: u64) -> Result<(), ClusterError> {
    match free_bytes().map(|free| free / 1_000_000) {
        Some(free) if free < needed => Err(ClusterError::LittleMemory { free, needed }),
        _ => Ok(()),
    }
}

/// The memory that is available without evicting other programs, swap included, in bytes. `None` if the kernel does
/// not report it.
pub(super) fn free_bytes() -> Option<u64> {
    fs::read_to_string("/proc/meminfo").ok().and_then(|text| free_in(&text))
}

/// The same by the text of `/proc/meminfo`.
fn free_in(meminfo: &str) -> Option<u64> {
    let bytes = |name| bytes_in_meminfo(meminfo, name);
    Some(bytes("MemAvailable")?.saturating_add(bytes("SwapFree").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_counts_and_unknown_memory_is_accepted() {
        let meminfo = "MemTotal: 2000000 kB\nMemFree: 1 kB\nMemAvailable:  500000 kB\nSwapFree:  250000 kB\n";
        assert_eq!(free_in(meminfo), Some(768_000_000));
        assert_eq!(free_in("MemAvailable: 500000 kB"), Some(512_000_000));
        assert_eq!(free_in("MemTotal: 1 kB"), None);
    }
}
