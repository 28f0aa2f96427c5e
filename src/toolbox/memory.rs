//! What programs said when they were asked for their version, remembered while their files stay the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::module;
use crate::write_file::WriteFile;

/// Answers by path. Asking two dozen programs takes a second that every `up` would pay.
///
/// It is only a convenience: what cannot be read is forgotten, what cannot be written is asked again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    entries: BTreeMap<PathBuf, Entry>,
    changed: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    stamp: Stamp,
    answer: String,
}

/// Which file it was; another program under the same path has another one.
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

impl Memory {
    /// What was remembered in this cache.
    pub(super) fn read(cache: &Path) -> Self {
        let entries = fs::read(file(cache)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { entries: entries.unwrap_or_default(), changed: false }
    }

    /// What the program at `path` said, if it is still the same file.
    pub(super) fn answer(&self, path: &Path) -> Option<&str> {
        let entry = self.entries.get(path)?;
        (Stamp::of(path)? == entry.stamp).then_some(entry.answer.as_str())
    }

    /// Remembers what the program at `path` said.
    pub(super) fn learn(&mut self, path: &Path, answer: &str) {
        if let Some(stamp) = Stamp::of(path) {
            self.entries.insert(path.to_owned(), Entry { stamp, answer: answer.to_owned() });
            self.changed = true;
        }
    }

    /// Writes it down, where there is something new; programs that are gone are left out.
    pub(super) fn write(mut self, cache: &Path) {
        if !self.changed {
            return;
        }
        self.entries.retain(|path, _| path.exists());
        // What cannot be written is asked again next time.
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
    fn an_answer_holds_as_long_as_the_file_is_the_same() {
        let cache = tempfile::tempdir().unwrap();
        let program = cache.path().join("program");
        fs::write(&program, "one").unwrap();
        let mut memory = Memory::read(cache.path());
        assert_eq!(memory.answer(&program), None);
        memory.learn(&program, "v1");
        memory.write(cache.path());

        assert_eq!(Memory::read(cache.path()).answer(&program), Some("v1"));
        fs::write(&program, "three").unwrap();
        assert_eq!(Memory::read(cache.path()).answer(&program), None);
    }

    #[test]
    fn a_broken_memory_is_forgotten() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(module::root(cache.path())).unwrap();
        fs::write(file(cache.path()), "{broken").unwrap();
        assert_eq!(Memory::read(cache.path()), Memory::default());
    }
}
