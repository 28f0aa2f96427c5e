//! Whether an image fits into the nodes: containerd keeps images in memory there, packed and unpacked.

use nix::sys::statvfs::statvfs;

use crate::cluster::ClusterError;
use crate::image::Image;
use crate::process::ProgramError;

use super::memory;
use super::node::{Cluster, RunningNode};

/// The directory in the sandbox below which containerd keeps images.
const STORE: &str = "/var/lib";
/// What containerd says, through `ctr`, when the store is full.
const FULL: &str = "no space left on device";

/// Refuses an image that cannot fit into one of the nodes. A node whose free space cannot be read is not judged.
///
/// # Errors
/// [`ClusterError::ImageTooLarge`] with both sizes.
pub(super) fn require_room(cluster: &Cluster, image: &Image) -> Result<(), ClusterError> {
    // All nodes take their memory from the same machine.
    let nodes = cluster.nodes.len() as u64;
    let memory = memory::free_bytes().map(|free| free / nodes.max(1));
    let stores = cluster.nodes.iter().filter_map(free_in_store);
    match stores.chain(memory).min() {
        Some(free) if free < image.import_bytes => Err(too_large(image, sizes(image.import_bytes, free))),
        _ => Ok(()),
    }
}

/// The error for an import that failed. If the store is full, the error says that instead of what containerd reports.
pub(super) fn import_failed(image: &Image, error: ClusterError) -> ClusterError {
    match &error {
        ClusterError::Program(ProgramError { tail, .. }) if tail.to_lowercase().contains(FULL) => {
            too_large(image, "the store became full during the import".to_owned())
        }
        _ => error,
    }
}

#[allow(clippy::useless_conversion, reason = "some systems count in 32 bits")]
fn free_in_store(running: &RunningNode) -> Option<u64> {
    let store = statvfs(format!("/proc/{}/root{STORE}", running.pid).as_str()).ok()?;
    Some(u64::from(store.blocks_available()).saturating_mul(u64::from(store.fragment_size())))
}

fn too_large(image: &Image, why: String) -> ClusterError {
    ClusterError::ImageTooLarge { image: image.reference.clone(), why }
}

/// "it takes 812 MB, and 300 MB are free". The needed size is rounded up, the free size down.
fn sizes(needed: u64, free: u64) -> String {
    const MEGABYTE: u64 = 1_000_000;
    format!("it takes {} MB, and {} MB are free", needed.div_ceil(MEGABYTE), free / MEGABYTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        let (reference, digest) = ("a.local/x:1".to_owned(), "sha256:0".to_owned());
        let (archive, names, normalised) = ("x.tar".into(), Vec::new(), None);
        Image { archive, reference, names, digest, bytes: 1, import_bytes: 2, normalised }
    }

    #[test]
    fn both_sizes_are_told_and_never_the_same() {
        assert_eq!(sizes(811_200_001, 811_100_000), "it takes 812 MB, and 811 MB are free");
    }

    #[test]
    fn a_full_store_is_told_from_other_failures() {
        let failed = |tail: &str| {
            let (command, outcome) = ("ctr".to_owned(), "exit 1".to_owned());
            import_failed(&image(), ProgramError { command, outcome, tail: tail.to_owned() }.into())
        };
        let full = failed("ctr: failed to extract layer: write /x: no space left on device: unknown");
        assert!(full.to_string().contains("a.local/x:1") && full.to_string().contains("became full"), "{full}");
        assert!(matches!(failed("ctr: connection refused"), ClusterError::Program { .. }));
    }
}
