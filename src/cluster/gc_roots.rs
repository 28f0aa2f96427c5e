//! Roots that keep Nix's garbage collector from deleting what a lab uses, such as runc, which runs only when a pod starts.
//!
//! A root is a symbolic link to a store path. Nix looks for them in every directory below `/nix/var/nix/gcroots`, and
//! keeps what a root leads to with everything that it refers to. The lab's roots are in one directory there, with a fixed
//! name, so `down` needs neither state nor Nix. While they are made, the collector finds most of these store paths in the
//! environment of this process as well.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::config::LabName;
use crate::io_error::IoError;

/// Where the store is, and where Nix looks for roots.
const STORE: &str = "/nix/store";
const ROOTS: &str = "/nix/var/nix/gcroots";

/// Makes a root for each store path that one of `used` is in or leads into.
///
/// # Errors
/// [`IoError`] if a root cannot be made.
pub(super) fn make<'a>(lab: &LabName, used: impl IntoIterator<Item = &'a Path>) -> Result<(), IoError> {
    make_in(&directory(lab), &store_paths(Path::new(STORE), used))
}

/// Removes the lab's roots. Returns their directory if it existed.
///
/// # Errors
/// [`IoError`] if it cannot be removed.
pub(super) fn remove(lab: &LabName) -> Result<Option<PathBuf>, IoError> {
    remove_from(directory(lab))
}

fn directory(lab: &LabName) -> PathBuf {
    Path::new(ROOTS).join(format!("evenkeel-{lab}"))
}

/// The paths directly in `store` that one of `used` is in, as it is given or as links lead on from it. What does not exist
/// needs no root.
fn store_paths<'a>(store: &Path, used: impl IntoIterator<Item = &'a Path>) -> BTreeSet<PathBuf> {
    let both = used.into_iter().filter_map(|path| Some([path.to_owned(), path.canonicalize().ok()?])).flatten();
    both.filter_map(|path| Some(store.join(path.strip_prefix(store).ok()?.components().next()?))).collect()
}

fn make_in(directory: &Path, store_paths: &BTreeSet<PathBuf>) -> Result<(), IoError> {
    if store_paths.is_empty() {
        return Ok(());
    }
    match fs::create_dir(directory) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(IoError::file("create", directory, source));
        }
        _ => {}
    }
    for store_path in store_paths {
        let Some(name) = store_path.file_name() else { continue };
        let root = directory.join(name);
        match symlink(store_path, &root) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(IoError::file("create", &root, source));
            }
            _ => {}
        }
    }
    Ok(())
}

fn remove_from(directory: PathBuf) -> Result<Option<PathBuf>, IoError> {
    match fs::remove_dir_all(&directory) {
        Ok(()) => Ok(Some(directory)),
        Err(source) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(IoError::file("remove", &directory, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory in the place of `/nix`, with a store and roots.
    fn nix() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let nix = tempfile::tempdir().unwrap();
        // The real path, because links are followed to it.
        let base = nix.path().canonicalize().unwrap();
        let (store, roots) = (base.join("store"), base.join("gcroots"));
        for directory in [&store.join("a-runc/bin"), &store.join("b-profile"), &store.join("c-unused"), &roots] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(store.join("a-runc/bin/runc"), "").unwrap();
        fs::write(store.join("d-image.tar"), "").unwrap();
        (nix, store, roots)
    }

    #[test]
    fn a_store_path_is_found_through_links_and_each_once() {
        let (nix, store, _) = nix();
        symlink(store.join("a-runc/bin"), store.join("b-profile/bin")).unwrap();
        let link = nix.path().join("runc");
        symlink(store.join("b-profile/bin/runc"), &link).unwrap();
        let used =
            [&store.join("a-runc/bin/runc"), &link, &store.join("d-image.tar"), Path::new("/usr/bin/env"), &store];
        let found = store_paths(&store, used.map(AsRef::as_ref));
        assert_eq!(found, BTreeSet::from(["a-runc", "d-image.tar"].map(|name| store.join(name))));
        // The link that is given, and what it leads to.
        let found = store_paths(&store, [store.join("b-profile/bin/runc").as_path()]);
        assert_eq!(found, BTreeSet::from(["a-runc", "b-profile"].map(|name| store.join(name))));
        assert!(store_paths(&store, [Path::new("/usr/bin/env"), &store.join("e-deleted")]).is_empty());
    }

    #[test]
    fn roots_are_links_in_one_directory_and_are_removed_with_it() {
        let (_nix, store, roots) = nix();
        let used = BTreeSet::from(["a-runc", "d-image.tar"].map(|name| store.join(name)));
        let directory = roots.join("evenkeel-lab");
        // Also over what an earlier boot left.
        for _ in 0..2 {
            make_in(&directory, &used).unwrap();
            let made: BTreeSet<PathBuf> =
                fs::read_dir(&directory).unwrap().map(|root| fs::read_link(root.unwrap().path()).unwrap()).collect();
            assert_eq!(made, used);
        }
        assert_eq!(remove_from(directory.clone()).unwrap(), Some(directory.clone()));
        assert_eq!(remove_from(directory).unwrap(), None);
        assert!(fs::read_dir(&roots).unwrap().next().is_none() && store.join("a-runc/bin/runc").exists());
    }

    #[test]
    fn a_machine_without_nix_is_left_alone() {
        let nowhere = tempfile::tempdir().unwrap();
        let directory = nowhere.path().join("gcroots/evenkeel-lab");
        make_in(&directory, &BTreeSet::new()).unwrap();
        assert_eq!(remove_from(directory.clone()).unwrap(), None);
        let error = make_in(&directory, &BTreeSet::from(["/nix/store/a-runc".into()])).unwrap_err();
        assert!(error.to_string().contains("gcroots/evenkeel-lab"), "{error}");
    }
}
