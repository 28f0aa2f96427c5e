//! The state of the machine outside the lab, which the tests compare before, during and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::files::{Mark, changed_since};
use crate::lab::{NAME, eventually};

/// Kernel settings that contain counters or random values, and so change at any time.
const RESTLESS: [&str; 12] = [
    "/proc/sys/fs/dentry-state",
    "/proc/sys/fs/file-nr",
    "/proc/sys/fs/inode-nr",
    "/proc/sys/fs/inode-state",
    "/proc/sys/fs/aio-nr",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/pty/nr",
    "/proc/sys/kernel/random/",
    "/proc/sys/kernel/perf_event_max_sample_rate",
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "/proc/sys/fs/quota/",
    "/proc/sys/fs/binfmt_misc/",
];

/// Everything on the machine that a lab could change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) links: BTreeSet<String>,
    pub(crate) routes: BTreeSet<String>,
    pub(crate) rules: BTreeSet<String>,
    pub(crate) mounts: BTreeSet<String>,
    pub(crate) cgroups: BTreeSet<String>,
    pub(crate) processes: Vec<(i32, String)>,
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Files that are named after a lab, in the directories for temporary files and state.
    pub(crate) files: BTreeSet<String>,
    /// The security profiles in the kernel.
    pub(crate) profiles: BTreeSet<String>,
    /// The names of the kernel's keyrings.
    pub(crate) keyrings: BTreeSet<String>,
    /// The time of this observation. Changes on the file systems since then are compared, too.
    pub(crate) at: Mark,
}

impl Host {
    pub(crate) fn look() -> Self {
        Self {
            links: links(),
            routes: lines("ip", &["-4", "route", "show", "table", "all"]),
            rules: [
                lines("nft", &["list", "ruleset"]),
                lines("iptables-save", &[]),
                lines("ip6tables-save", &[]),
                lines("ip", &["rule"]),
            ]
            .concat_sets(),
            mounts: fs::read_to_string("/proc/self/mountinfo").unwrap().lines().map(str::to_owned).collect(),
            cgroups: cgroups(),
            processes: lab_processes(),
            sysctls: sysctls(),
            files: named_after_a_lab(),
            profiles: profiles(),
            keyrings: keyring_names(),
            at: Mark::now(),
        }
    }

    /// Asserts that, while a lab is up, nothing has changed except the lab's own link, routes, cgroups and processes.
    pub(crate) fn assert_undisturbed(&self, before: &Self) {
        let link = format!("ek-{NAME}");
        let own = |line: &&String| line.contains(&link);
        assert_eq!(self.links.difference(&before.links).collect::<Vec<_>>(), [&link]);
        assert!(before.links.is_subset(&self.links));
        let routes: Vec<_> = self.routes.difference(&before.routes).filter(|line| !own(line)).collect();
        assert!(routes.is_empty(), "routes that do not lead to the lab's link: {routes:?}");
        assert!(before.routes.is_subset(&self.routes));
        assert_eq!(self.rules, before.rules, "the machine's firewall rules");
        assert_eq!(self.mounts, before.mounts, "the machine's mounts");
        let group = format!("evenkeel-{NAME}");
        let groups: Vec<_> = self.cgroups.difference(&before.cgroups).filter(|path| !path.contains(&group)).collect();
        assert!(groups.is_empty(), "cgroups outside the lab's own: {groups:?}");
        let sysctls: Vec<_> = self.sysctls.iter().filter(|(name, _)| !name.contains(&link)).collect();
        let earlier: Vec<_> = before.sysctls.iter().collect();
        assert_eq!(sysctls, earlier, "the machine's kernel settings");
        let own = Path::new("/run").join(format!("evenkeel-{NAME}.apparmor"));
        let changed: Vec<_> = changed_since(before.at).into_iter().filter(|path| *path != own).collect();
        assert!(changed.is_empty(), "changed outside the lab's state: {changed:#?}");
    }

    /// Asserts that everything is as before.
    pub(crate) fn assert_same(&self, before: &Self) {
        self.assert_same_but_files(before);
        let changed = changed_since(before.at);
        assert!(changed.is_empty(), "a lab left or changed these: {changed:#?}");
    }

    /// Like [`Host::assert_same`] without the comparison of the whole file system, which takes seconds. A test of many
    /// rounds makes that comparison once at its end.
    pub(crate) fn assert_same_but_files(&self, before: &Self) {
        assert_eq!(self.links, before.links);
        assert_eq!(self.routes, before.routes);
        assert_eq!(self.rules, before.rules);
        assert_eq!(self.mounts, before.mounts);
        assert_eq!(self.cgroups, before.cgroups);
        assert_eq!(self.processes, before.processes);
        assert_eq!(self.sysctls, before.sysctls);
        assert_eq!(self.files, before.files);
        assert_eq!(self.profiles, before.profiles);
        // The kernel frees the keyrings of containers and users a moment after their last process.
        eventually("the lab's keyrings are gone", || keyring_names().is_subset(&before.keyrings).then_some(()));
    }
}

/// The lines of AppArmor's list, each a profile and its mode. Empty if AppArmor is off.
fn profiles() -> BTreeSet<String> {
    let list = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
    list.lines().map(str::to_owned).collect()
}

/// The names of all visible keyrings, without the number of keys, which follows after a colon.
fn keyring_names() -> BTreeSet<String> {
    let keys = fs::read_to_string("/proc/keys").unwrap();
    let keyrings = keys.lines().filter_map(|line| line.split_once(" keyring "));
    keyrings.map(|(_, name)| name.split(':').next().unwrap().trim().to_owned()).collect()
}

fn named_after_a_lab() -> BTreeSet<String> {
    let names = |directory| names_in(directory).into_iter().map(move |name| format!("{directory}/{name}"));
    let all = ["/run", "/tmp", "/dev/shm", "/var/lib"].into_iter().flat_map(names);
    all.filter(|path| path.contains("evenkeel") && !is_anothers(path)).collect()
}

/// The kernel's keyrings that runc made for the lab's containers: `_ses.` and the container's id.
pub(crate) fn keyrings() -> BTreeSet<String> {
    let group = format!("/evenkeel-{NAME}/");
    let groups = cgroups().into_iter().filter(|path| path.contains(&group));
    let ids: BTreeSet<String> = groups.filter_map(|path| Some(path.rsplit('/').next()?.to_owned())).collect();
    all_keyrings().into_iter().filter(|name| ids.contains(name)).collect()
}

/// Every keyring of a container, by the container's id.
pub(crate) fn all_keyrings() -> BTreeSet<String> {
    let keys = fs::read_to_string("/proc/keys").unwrap();
    let names = keys.lines().filter_map(|line| Some(line.split_once("_ses.")?.1.split(':').next()?.to_owned()));
    names.collect()
}

/// The processes in the lab's cgroups, with the names of their commands. Zombies, which the machine's first process has
/// not reaped yet, are ignored.
pub(crate) fn lab_processes() -> Vec<(i32, String)> {
    let group = format!("evenkeel-{NAME}/");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let membership = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if membership.contains(&group) && !status.contains("State:\tZ") {
            let command = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            found.push((pid, command.trim().to_owned()));
        }
    }
    found
}

/// The host's ids of the lab's processes whose command is `name`.
pub(crate) fn lab_processes_named(name: &str) -> Vec<i32> {
    lab_processes().into_iter().filter(|(_, command)| command == name).map(|(pid, _)| pid).collect()
}

trait ConcatSets {
    fn concat_sets(self) -> BTreeSet<String>;
}

impl<const N: usize> ConcatSets for [BTreeSet<String>; N] {
    fn concat_sets(self) -> BTreeSet<String> {
        self.into_iter().flatten().collect()
    }
}

/// The network links, from the kernel: `/sys` may show another network namespace.
pub(crate) fn links() -> BTreeSet<String> {
    let links = nix::net::if_::if_nameindex().unwrap();
    links.iter().map(|link| link.name().to_string_lossy().into_owned()).collect()
}

/// Whether a path is named after a lab other than that of these tests. A file of the tests' lab is named after it, with an
/// extension.
pub(crate) fn is_anothers(path: &str) -> bool {
    let mut labs = path.split('/').filter_map(|part| part.strip_prefix("evenkeel-"));
    labs.any(|lab| lab.split('.').next() != Some(NAME))
}

fn names_in(directory: &str) -> BTreeSet<String> {
    fs::read_dir(directory).unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The lines that a program prints, without counters and comments, which change at any time.
fn lines(program: &str, arguments: &[&str]) -> BTreeSet<String> {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('[').next().unwrap().to_owned()).collect()
}

/// Every cgroup of the machine, except those of other labs.
pub(crate) fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![Path::new("/sys/fs/cgroup").to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path().display().to_string();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_anothers(&path) {
                found.insert(path);
                left.push(entry.path());
            }
        }
    }
    found
}

fn sysctls() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![Path::new("/proc/sys").to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let name = entry.path().display().to_string();
            if RESTLESS.iter().any(|restless| name.starts_with(restless)) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                left.push(entry.path());
            } else if let Ok(value) = fs::read_to_string(entry.path()) {
                found.insert(name, value);
            }
        }
    }
    found
}
