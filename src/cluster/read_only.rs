//! The machine's file systems, read-only in the sandbox: a pod with a `hostPath` must not change the machine.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::io_error::IoError;
use crate::platform::{Mount, mount};

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mounted<'a> {
    point: PathBuf,
    options: &'a str,
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
    for Mounted { point, options } in text.lines().filter_map(parse) {
        if writable.iter().any(|path| point.starts_with(path)) {
            continue;
        }
        match mount(Mount::ReadOnly { options }, &point) {
            // A file system of one user, which refuses root, or one that another mount hides.
            Ok(()) | Err(Errno::EACCES | Errno::ENOENT | Errno::EINVAL) => {}
            Err(errno) => return Err(IoError::file("remount read-only", &point, errno.into())),
        }
    }
    Ok(())
}

/// The mount point and the options of a line.
fn parse(line: &str) -> Option<Mounted<'_>> {
    let mut fields = line.split(' ').skip(4);
    Some(Mounted { point: unescape(fields.next()?), options: fields.next()? })
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
    fn a_mount_has_a_point_and_options() {
        let line = r"36 35 98:0 / /home/my\040files rw,nosuid,nodev,relatime shared:1 - ext4 /dev/sda1 rw";
        assert_eq!(parse(line), Some(Mounted { point: "/home/my files".into(), options: "rw,nosuid,nodev,relatime" }));
        assert_eq!(parse("36 35"), None);
    }
}
