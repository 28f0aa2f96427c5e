//! The files of a tar archive and where they are in it, so that each can be read by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

/// How many links lead to a file at most.
const MOST_LINKS: usize = 8;

/// Where a file is in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    offset: u64,
    /// Its size.
    pub(super) size: u64,
}

impl Place {
    /// Its last `length` bytes, if it has as many.
    pub(super) fn last(self, length: u64) -> Option<Self> {
        let skipped = self.size.checked_sub(length)?;
        Some(Self { offset: self.offset + skipped, size: length })
    }
}

/// The files of an archive.
pub(super) struct TarIndex {
    tar: File,
    files: BTreeMap<PathBuf, Place>,
    /// Old versions of docker store a layer that two images have once, and link to it.
    links: BTreeMap<PathBuf, PathBuf>,
}

impl TarIndex {
    /// Finds all files. Their content is not read.
    pub(super) fn read(tar: File) -> io::Result<Self> {
        let (mut files, mut links) = (BTreeMap::new(), BTreeMap::new());
        let mut archive = tar::Archive::new(BufReader::new(&tar));
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let path = normal(&entry.path()?);
            let kind = entry.header().entry_type();
            if kind.is_symlink() || kind.is_hard_link() {
                if let Some(target) = entry.link_name()? {
                    let base = path.parent().filter(|_| kind.is_symlink()).unwrap_or(Path::new(""));
                    links.insert(path.clone(), normal(&base.join(target)));
                }
            } else if kind.is_file() {
                files.insert(path, Place { offset: entry.raw_file_position(), size: entry.size() });
            }
        }
        let end = files.values().map(|place: &Place| place.offset.saturating_add(place.size)).max().unwrap_or(0);
        drop(archive);
        if end > tar.metadata()?.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { tar, files, links })
    }

    /// The file at a path, through links.
    pub(super) fn find(&self, path: &str) -> Option<Place> {
        let mut path = normal(Path::new(path));
        for _ in 0..MOST_LINKS {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => return self.files.get(&path).copied(),
            }
        }
        None
    }

    /// The content of a file, without a copy of it in memory.
    pub(super) fn content(&self, place: Place) -> io::Result<impl Read + '_> {
        let mut tar = &self.tar;
        tar.seek(SeekFrom::Start(place.offset))?;
        Ok(tar.take(place.size))
    }

    /// The content of a file that is small.
    pub(super) fn small(&self, place: Place, limit: u64) -> io::Result<Vec<u8>> {
        if place.size > limit {
            return Err(io::Error::other(format!("it has {} bytes, expected at most {limit}", place.size)));
        }
        let mut content = Vec::new();
        self.content(place)?.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Up to `length` bytes of a file from `offset` on.
    pub(super) fn read_at(&self, place: Place, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(place.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut content = vec![0; length.min(left)];
        self.tar.read_exact_at(&mut content, place.offset + offset)?;
        Ok(content)
    }

    /// The digest of a file: `sha256:…`.
    pub(super) fn digest(&self, place: Place) -> io::Result<String> {
        let mut sum = Sha256::new();
        let mut buffer = vec![0; 1 << 18];
        let mut content = self.content(place)?;
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(written(sum)),
                length => sum.update(&buffer[..length]),
            }
        }
    }

    /// The tar file itself.
    pub(super) fn into_file(self) -> File {
        self.tar
    }
}

/// The digest of some bytes: `sha256:…`.
pub(in crate::image) fn digest_of(bytes: &[u8]) -> String {
    written(Sha256::new_with_prefix(bytes))
}

fn written(sum: Sha256) -> String {
    sum.finalize().iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

/// A path without `.` and `..`, and without the first slash.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}
