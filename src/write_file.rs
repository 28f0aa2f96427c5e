//! Writes a file whole or not at all: to a temporary file in the same directory, which then takes the file's name.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use tempfile::Builder;

/// The mode of a new file before the umask, as any program creates it.
const USUAL_MODE: u32 = 0o666;
/// As many symbolic links as Linux follows in one path.
const MOST_LINKS: usize = 40;

/// Writes the content of a file.
pub type Content<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFile {
    mode: u32,
    for_caller: bool,
    existing: Existing,
}

/// What a file that exists already keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    /// Nothing: this program wrote it.
    Replaced,
    /// Its mode, owner and links: it belongs to a person.
    Kept,
}

impl WriteFile {
    /// A file of this program's own: of its user, with the usual mode.
    #[must_use]
    pub fn internal() -> Self {
        Self { mode: USUAL_MODE, for_caller: false, existing: Existing::Replaced }
    }

    /// A file that the user named. A new one belongs to the caller behind sudo and has the usual mode; one that exists
    /// keeps its mode and owner, as with an editor; symbolic links are followed; pipes and devices are written to.
    #[must_use]
    pub fn named() -> Self {
        Self { mode: USUAL_MODE, for_caller: true, existing: Existing::Kept }
    }

    /// Gives a new file this mode, less the umask.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// Gives a new file to the caller behind sudo.
    #[must_use]
    pub fn for_caller(self) -> Self {
        Self { for_caller: true, ..self }
    }

    /// Writes `bytes` to `path`.
    ///
    /// # Errors
    /// Whatever the file system says; the file is then as it was before, except that a pipe, a device, or a file that can
    /// only be written in place may have received a part.
    pub fn write(self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_with(path, &mut |to| to.write_all(bytes))
    }

    /// Writes to `path` what `content` writes, without all of it in memory. `content` may be called a second time, for a
    /// file that can only be written in place.
    ///
    /// # Errors
    /// As [`WriteFile::write`], and those of `content`.
    pub fn write_with(self, path: &Path, content: &mut Content<'_>) -> io::Result<()> {
        if self.existing == Existing::Replaced {
            return self.replace(path, content, None);
        }
        let target = follow_links(path)?;
        match fs::metadata(&target) {
            Ok(before) if is_stdout(&before) => {
                let mut stdout = io::stdout().lock();
                content(&mut stdout).and_then(|()| stdout.flush())
            }
            // Replaced, one of several hard links would be cut off from the others.
            Ok(before) if !before.is_file() || before.nlink() > 1 => write_in_place(&target, content),
            Ok(before) => match self.replace(&target, content, Some(&before)) {
                // The directory, or the owner, cannot be changed by this user; the file may well be.
                Err(source) if source.kind() == ErrorKind::PermissionDenied => write_in_place(&target, content),
                result => result,
            },
            Err(source) if source.kind() == ErrorKind::NotFound => self.replace(&target, content, None),
            Err(source) => Err(source),
        }
    }

    fn replace(self, target: &Path, content: &mut Content<'_>, before: Option<&Metadata>) -> io::Result<()> {
        if target.file_name().is_none() || target.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut draft = Builder::new();
        let draft = draft.prefix(".evenkeel-").permissions(Permissions::from_mode(self.mode));
        let mut draft = draft.tempfile_in(directory)?;
        content(draft.as_file_mut())?;
        match before {
            Some(before) => keep_attributes(draft.as_file(), before)?,
            None if self.for_caller => give_to_caller(draft.as_file())?,
            None => {}
        }
        if self.existing == Existing::Kept {
            draft.as_file().sync_all()?;
        }
        draft.persist(target).map(drop).map_err(|error| error.error)
    }
}

/// Gives `file` the owner and the mode that the file before had.
fn keep_attributes(file: &File, before: &Metadata) -> io::Result<()> {
    let draft = file.metadata()?;
    if (draft.uid(), draft.gid()) != (before.uid(), before.gid()) {
        fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    file.set_permissions(before.permissions())
}

/// Gives `file` to the caller behind sudo, if this program runs behind it.
fn give_to_caller(file: &File) -> io::Result<()> {
    let id = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    match (id("SUDO_UID"), id("SUDO_GID")) {
        (Some(user), Some(group)) if nix::unistd::geteuid().is_root() => fchown(file, Some(user), Some(group)),
        _ => Ok(()),
    }
}

/// Not with `O_CREAT`, by which the kernel refuses another user's file or pipe in `/tmp` even to root.
fn write_in_place(path: &Path, content: &mut Content<'_>) -> io::Result<()> {
    content(&mut OpenOptions::new().write(true).truncate(true).open(path)?)
}

/// The file that `path` leads to through symbolic links, which may not exist yet.
///
/// # Errors
/// When links lead to each other in a circle.
pub fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        // Where this succeeds there is nothing left to follow. It fails for a link to a file that is not there, and for
        // /dev/stdout when it is a pipe, which can still be opened.
        if let Ok(real) = fs::canonicalize(&target) {
            return Ok(real);
        }
        match fs::read_link(&target) {
            Ok(_) if target.exists() => return Ok(target),
            Ok(link) => target = target.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::from_raw_os_error(nix::libc::ELOOP))
}

/// Whether what is written to `path` comes out at this program's stdout.
#[must_use]
pub fn leads_to_stdout(path: &Path) -> bool {
    follow_links(path).and_then(fs::metadata).is_ok_and(|file| is_stdout(&file))
}

/// Whether a file is this program's stdout: `/dev/stdout`, even where it leads to a regular file that must not be
/// replaced under its writers.
fn is_stdout(file: &Metadata) -> bool {
    let stdout = io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| File::from(stdout).metadata());
    stdout.is_ok_and(|stdout| (stdout.dev(), stdout.ino()) == (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn names(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn a_new_file_has_the_mode_that_any_program_gives_it() {
        let directory = tempfile::tempdir().unwrap();
        let (usual, named) = (directory.path().join("usual"), directory.path().join("named"));
        fs::write(&usual, "x").unwrap();
        WriteFile::named().write(&named, b"x").unwrap();
        assert_eq!(mode(&named), mode(&usual));
        let private = directory.path().join("private");
        WriteFile::internal().mode(0o600).write(&private, b"x").unwrap();
        assert_eq!(mode(&private), 0o600);
        assert_eq!(names(directory.path()), 3, "no temporary file is left");
    }

    #[test]
    fn an_existing_file_keeps_its_mode_and_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.csv");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let owner = if nix::unistd::geteuid().is_root() { 12345 } else { nix::unistd::geteuid().as_raw() };
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        WriteFile::named().write(&path, b"after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!((mode(&path), fs::metadata(&path).unwrap().uid()), (0o640, owner));
    }

    #[test]
    fn links_are_followed_even_to_a_file_that_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("deeper")).unwrap();
        symlink("deeper/link", at("link")).unwrap();
        symlink("file", at("deeper/link")).unwrap();
        for text in ["first", "second"] {
            WriteFile::named().write(&at("link"), text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(at("deeper/file")).unwrap(), text);
        }
        assert!(at("link").is_symlink() && at("deeper/link").is_symlink());
        symlink("round", at("round")).unwrap();
        assert!(WriteFile::named().write(&at("round"), b"x").is_err());
    }

    #[test]
    fn hard_links_stay_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&path, "a longer text than the next").unwrap();
        fs::hard_link(&path, &other).unwrap();
        WriteFile::named().write(&path, b"after").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "after");
    }

    #[test]
    fn pipes_and_devices_are_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            })
        };
        WriteFile::named().write(&pipe, b"through the pipe").unwrap();
        assert_eq!(reader.join().unwrap(), "through the pipe");
        WriteFile::named().write(Path::new("/dev/null"), b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for path in ["", "missing/report.csv", "."] {
            for how in [WriteFile::named(), WriteFile::internal()] {
                assert!(how.write(&directory.path().join(path), b"x").is_err(), "{path:?}");
            }
        }
        assert_eq!(names(directory.path()), 0);
    }
}
