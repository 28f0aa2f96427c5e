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
//! - files outside the system's directories that existed at the mark and still exist: a log to which the output of the tests
//!   is written, or a document of a user. New and removed files are found there, too;
//! - files that another program has open for writing;
//! - the directories in `EVENKEEL_TEST_IGNORE`, separated by colons, for a machine that is used during the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::time::{ClockId, clock_gettime};

use crate::host::{is_anothers, lab_processes};
use crate::lab::Lab;

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
const MAY_CHANGE: [&str; 5] = ["/dev/shm", "/nix/var/nix/gcroots", "/run", "/var/lib", "/var/lib/evenkeel"];

/// The directories that hold the system and its settings, where no change of an existing file is ignored.
const OF_SYSTEM: [&str; 12] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/run", "/sbin", "/usr", "/var"];

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

    /// The time of a file's creation, if the file system records it.
    fn of_creation(data: &Metadata) -> Option<Self> {
        let since_epoch = data.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self(since_epoch.as_secs().try_into().ok()?, since_epoch.subsec_nanos().into()))
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
            if Mark::of_change(&data) >= mark && !may_change && !is_older_file_of_a_user(&path, &data, mark) {
                changed.push(path.clone());
            }
            if data.is_dir() {
                left.push(path);
            }
        }
    }
    if !changed.is_empty() {
        let written = written_by_others();
        changed.retain(|path| !written.contains(path));
    }
    changed.sort();
    changed
}

/// Whether a file outside the system's directories existed at the mark. If the file system records no creation, no file did.
fn is_older_file_of_a_user(path: &Path, data: &Metadata, mark: Mark) -> bool {
    let of_system = OF_SYSTEM.iter().any(|directory| path.starts_with(directory));
    data.is_file() && !of_system && Mark::of_creation(data).is_some_and(|created| created < mark)
}

/// The files that programs outside the tests' lab have open for writing.
fn written_by_others() -> BTreeSet<PathBuf> {
    let lab: BTreeSet<i32> = lab_processes().into_iter().map(|(pid, _)| pid).collect();
    let mut files = BTreeSet::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let pid = process.file_name().to_string_lossy().parse::<i32>();
        if pid.is_ok_and(|pid| !lab.contains(&pid)) {
            files.extend(open_for_writing(&process.path()));
        }
    }
    files
}

fn open_for_writing(process: &Path) -> impl Iterator<Item = PathBuf> {
    let descriptors = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let process = process.to_owned();
    descriptors.filter_map(move |descriptor| {
        let information = fs::read_to_string(process.join("fdinfo").join(descriptor.file_name())).ok()?;
        let flags = information.lines().find_map(|line| line.strip_prefix("flags:"))?;
        // The lowest two bits are the access mode: 0 is read-only.
        let is_writable = i64::from_str_radix(flags.trim(), 8).ok()? & 3 != 0;
        is_writable.then(|| fs::read_link(descriptor.path()).ok()).flatten()
    })
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
    let _one_at_a_time = Lab::new();
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
    dated.set_modified(UNIX_EPOCH).unwrap();
    drop(dated);
    let changed = changed_since(mark);
    let here: Vec<&Path> = changed.iter().filter_map(|path| path.strip_prefix(directory.path()).ok()).collect();
    let all = ["", "changed", "dated", "link", "mode", "opt", "opt/containerd", "opt/containerd/bin", "removed"];
    assert_eq!(here, all.map(Path::new));
}

/// Someone who runs the tests keeps their output in a file, anywhere.
#[test]
fn a_log_that_another_program_writes_is_no_change_of_the_lab() {
    let _one_at_a_time = Lab::new();
    let home = tempfile::tempdir_in(std::env::var_os("HOME").unwrap()).unwrap();
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let log = home.path().join("tests.log");
    fs::write(&log, "before").unwrap();
    fs::write(elsewhere.path().join("held"), "before").unwrap();
    let mark = Mark::now();
    fs::write(&log, "after").unwrap();
    let mut held = fs::OpenOptions::new().append(true).open(elsewhere.path().join("held")).unwrap();
    std::io::Write::write_all(&mut held, b"after").unwrap();
    let changed = || {
        let all = changed_since(mark);
        let here = all.into_iter().filter(|path| path.starts_with(&home) || path.starts_with(&elsewhere));
        here.collect::<Vec<_>>()
    };
    assert_eq!(changed(), Vec::<PathBuf>::new());
    drop(held);
    fs::write(home.path().join("new"), "").unwrap();
    let all = [elsewhere.path().join("held"), home.path().to_owned(), home.path().join("new")];
    assert_eq!(changed(), all);
}
