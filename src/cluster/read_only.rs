//! The machine's file systems, read-only in the sandbox: a pod with a `hostPath` must not change the machine.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use crate::io_error::IoError;

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    point: PathBuf,
    flags: MsFlags,
}

/// Remounts every file system read-only, except those below `writable`.
///
/// # Errors
/// [`IoError`] naming the mount that the kernel did not change.
pub(super) fn make_read_only<'a>(writable: impl Iterator<Item = &'a Path>) -> Result<(), IoError> {
    // The kernel's table has no symbolic links in its paths.
    let writable: Vec<PathBuf> = writable.filter_map(|path| path.canonicalize().ok()).collect();
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).map_err(|source| IoError::file("read", table, source))?;
    for Mounted { point, flags } in text.lines().filter_map(parse) {
        if writable.iter().any(|path| point.starts_with(path)) {
            continue;
        }
        let flags = flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        match mount(None::<&str>, &point, None::<&str>, flags, None::<&str>) {
            // A file system of one user, which refuses root, or one that another mount hides.
            Ok(()) | Err(Errno::EACCES | Errno::ENOENT) => {}
            Err(errno) => return Err(IoError::file("remount read-only", &point, errno.into())),
        }
    }
    Ok(())
}

/// The mount point and the flags of a line; a remount without its flags would remove them.
fn parse(line: &str) -> Option<Mounted> {
    let mut fields = line.split(' ').skip(4);
    let (point, options) = (unescape(fields.next()?), fields.next()?);
    let flags = options.split(',').map(|option| match option {
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    });
    Some(Mounted { point, flags: flags.fold(MsFlags::empty(), MsFlags::union) })
}

/// The kernel writes a blank, a tab, a newline and a backslash as a backslash with three octal digits.
fn unescape(field: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), field.as_bytes());
    while let Some((&first, others)) = rest.split_first() {
        let octal = (first == b'\\').then(|| others.get(..3)).flatten();
        let code = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &others[3..] } else { others };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_keeps_its_flags() {
        let line = r"36 35 98:0 / /home/my\040files rw,nosuid,nodev,relatime shared:1 - ext4 /dev/sda1 rw";
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_RELATIME;
        assert_eq!(parse(line), Some(Mounted { point: "/home/my files".into(), flags }));
        assert_eq!(parse("36 35 98:0 / / rw - ext4 /dev/sda1 rw").unwrap().flags, MsFlags::empty());
        assert_eq!(parse("36 35"), None);
    }
}
