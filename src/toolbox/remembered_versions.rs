//! A cache of the versions that programs reported; an entry is valid as long as the program's file is the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::module;
use crate::write_file::WriteFile;

/// Reported versions by path: running two dozen programs takes a second at every `up`.
///
/// It is only an optimisation: a cache that cannot be read counts as empty, and errors of writing it are ignored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RememberedVersions {
    entries: BTreeMap<PathBuf, RememberedVersion>,
    changed: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RememberedVersion {
    stamp: Stamp,
    answer: String,
}

/// Identifies a file: another program at the same path has another stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            seconds: file.mtime(),
            nanoseconds: file.mtime_nsec(),
        })
    }
}

impl RememberedVersions {
    /// Reads it from the cache directory.
    pub(super) fn read(cache: &Path) -> Self {
        let entries = fs::read(file(cache)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { entries: entries.unwrap_or_default(), changed: false }
    }

    /// What the program at `path` reported, if it is still the same file.
    pub(super) fn answer(&self, path: &Path) -> Option<&str> {
        let entry = self.entries.get(path)?;
        (Stamp::of(path)? == entry.stamp).then_some(entry.answer.as_str())
    }

    /// Remembers what the program at `path` reported.
    pub(super) fn learn(&mut self, path: &Path, answer: &str) {
        if let Some(stamp) = Stamp::of(path) {
            self.entries.insert(path.to_owned(), RememberedVersion { stamp, answer: answer.to_owned() });
            self.changed = true;
        }
    }

    /// Writes it to the cache directory if it changed, without programs that no longer exist.
    pub(super) fn write(mut self, cache: &Path) {
        if !self.changed {
            return;
        }
        self.entries.retain(|path, _| path.exists());
        // If this fails, the programs are asked again next time.
        if let (Ok(bytes), Ok(())) = (serde_json::to_vec_pretty(&self.entries), fs::create_dir_all(module::root(cache)))
        {
            let _ = WriteFile::internal().write(&file(cache), &bytes);
        }
    }
}

fn file(cache: &Path) -> PathBuf {
    module::root(cache).join("versions.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_valid_while_the_file_is_the_same() {
        let cache = tempfile::tempdir().unwrap();
        let program = cache.path().join("program");
        fs::write(&program, "one").unwrap();
        let mut memory = RememberedVersions::read(cache.path());
        assert_eq!(memory.answer(&program), None);
        memory.learn(&program, "v1");
        memory.write(cache.path());

        assert_eq!(RememberedVersions::read(cache.path()).answer(&program), Some("v1"));
        fs::write(&program, "three").unwrap();
        assert_eq!(RememberedVersions::read(cache.path()).answer(&program), None);
    }

    #[test]
    fn a_broken_cache_counts_as_empty() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(module::root(cache.path())).unwrap();
        fs::write(file(cache.path()), "{broken").unwrap();
        assert_eq!(RememberedVersions::read(cache.path()), RememberedVersions::default());
    }
}
