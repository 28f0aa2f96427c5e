//! Finds what changed on the machine's file systems since a mark: every file, directory and link whose inode changed.
//!
//! The time of an inode's change (ctime) is set by the kernel, and programs cannot choose it. So a file that is unpacked
//! with an old date counts as changed, and so does a directory from which a file was removed. Files that other programs
//! write during a test must be ignored. The kernel does not record which program wrote a file, so these places are ignored:
//!
//! - file systems that show the state of the kernel, which `host.rs` compares in other ways, and file systems of other
//!   machines and containers;
//! - logs, caches, temporary files, and the state of the system's own services;
//! - the tests' own directories: the checkout, and the directories of cargo and Go in the home directory;
//! - the lab's cache, and the state of labs with other names;
//! - the directories in `EVENKEEL_TEST_IGNORE`, separated by colons, for a machine that is used during the tests.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::time::{ClockId, clock_gettime};

use crate::host::is_anothers;

/// The file systems that are compared: those that store files of this machine.
const COMPARED: [&str; 13] = [
    "bcachefs", "btrfs", "devtmpfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "vfat", "xfs", "zfs",
];

/// Where the system's services, and the tests' calls of `mount`, write at any time. A lab's programs cannot write there,
/// since a sandbox has its own `/run`, `/var/lib` and `/var/log`.
const OF_SERVICES: [&str; 30] = [
    "/run/NetworkManager",
    "/run/chrony",
    "/run/credentials",
    "/run/cloud-init",
    "/run/docker",
    "/run/log",
    "/run/mount",
    "/run/snapd",
    "/run/sudo",
    "/run/systemd",
    "/run/udev",
    "/run/user",
    "/run/utmp",
    "/tmp",
    "/var/cache",
    "/var/lib/NetworkManager",
    "/var/lib/PackageKit",
    "/var/lib/apt",
    "/var/lib/chrony",
    "/var/lib/cloud",
    "/var/lib/dhcp",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/fwupd",
    "/var/lib/private",
    "/var/lib/snapd",
    "/var/lib/systemd",
    "/var/lib/waagent",
    "/var/log",
    "/var/tmp",
];

/// The directories of cargo, rustup and Go in the home directory.
const OF_COMPILERS: [&str; 5] = [".cargo", ".rustup", "go", ".cache/go-build", ".config/go"];

/// Directories in which files are created and removed. Such a directory may change, but not the files in it.
const MAY_CHANGE: [&str; 4] = ["/dev/shm", "/run", "/var/lib", "/var/lib/evenkeel"];

/// A time by the clock that the kernel uses for ctime: seconds and nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(i64, i64);

impl Mark {
    /// A mark that is later than all earlier changes and not later than any following change.
    pub(crate) fn now() -> Self {
        let read = |clock| clock_gettime(clock).map(|time| Self(time.tv_sec(), time.tv_nsec())).unwrap();
        let precise = read(ClockId::CLOCK_REALTIME);
        // The clock of ctime advances in steps of some milliseconds, so the mark must be on the next step.
        loop {
            let coarse = read(ClockId::CLOCK_REALTIME_COARSE);
            if coarse > precise {
                return coarse;
            }
            std::thread::yield_now();
        }
    }

    fn of_change(data: &Metadata) -> Self {
        Self(data.ctime(), data.ctime_nsec())
    }
}

/// Every path that changed since the mark and is not ignored.
pub(crate) fn changed_since(mark: Mark) -> Vec<PathBuf> {
    let mounted = mounted();
    let ignored = ignored();
    let is_compared = |path: &Path| {
        let file_system_is_compared = mounted.get(path).is_none_or(|kind| {
            // An overlay that is not the root is the file system of a container.
            COMPARED.contains(&kind.as_str()) && (kind != "overlay" || path == Path::new("/"))
        });
        file_system_is_compared
            && !ignored.iter().any(|ignored| path == ignored)
            && !is_anothers(&path.display().to_string())
    };
    let mut changed = Vec::new();
    let mut left = vec![PathBuf::from("/")];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(data) = entry.metadata() else { continue };
            if !is_compared(&path) {
                continue;
            }
            // The ctime of a device changes when the device is used.
            let is_device = data.file_type().is_char_device() || data.file_type().is_block_device();
            let may_change = is_device || MAY_CHANGE.iter().any(|directory| path == Path::new(directory));
            if Mark::of_change(&data) >= mark && !may_change {
                changed.push(path.clone());
            }
            if data.is_dir() {
                left.push(path);
            }
        }
    }
    changed.sort();
    changed
}

/// The file system at each mount point.
fn mounted() -> BTreeMap<PathBuf, String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        Some((PathBuf::from(left.split(' ').nth(4)?), right.split(' ').next()?.to_owned()))
    };
    text.lines().filter_map(mount).collect()
}

/// The ignored directories.
fn ignored() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let mut all: Vec<PathBuf> = OF_SERVICES.iter().map(PathBuf::from).collect();
    all.push(env!("CARGO_MANIFEST_DIR").into());
    // The target directory may be outside the checkout. This program is TARGET/PROFILE/deps/PROGRAM.
    let program = std::env::current_exe().unwrap();
    all.extend(program.ancestors().nth(3).map(Path::to_owned));
    if let Some(home) = variable("HOME") {
        all.extend(OF_COMPILERS.iter().map(|directory| home.join(directory)));
    }
    all.extend(
        ["CARGO_HOME", "RUSTUP_HOME", "GOPATH", "GOCACHE", "EVENKEEL_CACHE_DIR"].into_iter().filter_map(variable),
    );
    let more = std::env::var_os("EVENKEEL_TEST_IGNORE").unwrap_or_default();
    all.extend(more.as_bytes().split(|&byte| byte == b':').map(|path| std::ffi::OsStr::from_bytes(path).into()));
    all
}

/// Shows that the comparison can fail.
#[test]
fn every_kind_of_change_is_found_and_no_earlier_change() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = |name: &str| directory.path().join(name);
    for file in ["old", "changed", "removed/file", "mode"] {
        fs::create_dir_all(path(file).parent().unwrap()).unwrap();
        fs::write(path(file), "before").unwrap();
    }
    let mark = Mark::now();
    fs::write(path("changed"), "after").unwrap();
    fs::create_dir_all(path("opt/containerd/bin")).unwrap();
    std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
    fs::remove_file(path("removed/file")).unwrap();
    fs::set_permissions(path("mode"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let dated = fs::File::create(path("dated")).unwrap();
    dated.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let changed = changed_since(mark);
    let here: Vec<&Path> = changed.iter().filter_map(|path| path.strip_prefix(directory.path()).ok()).collect();
    let all = ["", "changed", "dated", "link", "mode", "opt", "opt/containerd", "opt/containerd/bin", "removed"];
    assert_eq!(here, all.map(Path::new));
}
