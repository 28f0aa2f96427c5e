//! How many pods fit on this machine: by its available memory, and by limits of the kernel.
//!
//! What a pod takes was measured in a lab with 102 and with 202 pods of the server (docs/growth.md).

use std::fmt;
use std::fs;

use super::{ProbeResult, bytes_in_meminfo, setting};

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A setting that `sysctl` shows and changes: `kernel.pid_max`.
    Setting(&'static str),
    /// The open files of a process: `ulimit -Hn`.
    OpenFiles,
    /// The memory that is available, in bytes.
    Memory,
}

/// A limit of the number of pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodLimit {
    /// What is limited.
    pub kind: LimitKind,
    /// The limit.
    pub value: u64,
}

impl fmt::Display for PodLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.kind {
            LimitKind::Setting(name) => write!(formatter, "{name} is {value}"),
            LimitKind::OpenFiles => write!(formatter, "a process may have {value} open files"),
            LimitKind::Memory => write!(formatter, "{} MB of memory are available", value / 1_000_000),
        }
    }
}

/// Whom a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// Everything on the machine, of which this much is in use.
    Machine { used: u64 },
    /// The pods of a node.
    Node,
}

/// A limit, and what each pod takes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    limit: PodLimit,
    scope: Scope,
    each: u64,
}

/// How many pods fit, and what limits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodRoom {
    /// The number of pods that may exist in the lab.
    pub pods: u64,
    /// The lowest limit.
    pub limit: PodLimit,
    /// How much each pod takes of it.
    pub each: u64,
}

impl PodRoom {
    /// The room in a lab that has this number of pods now, and whose nodes have these first processes. `None` if no limit can be
    /// read.
    #[must_use]
    pub fn of_lab(pods: u64, nodes: &[i32]) -> Option<Self> {
        // All components of a lab have the limits of the command that started it.
        least(&shares(nodes.first().copied().unwrap_or_else(own_id)), pods, nodes.len() as u64)
    }
}

/// The room for the pods of one node, as a check.
pub(super) fn tried() -> ProbeResult {
    match PodRoom::of_lab(0, &[own_id()]) {
        Some(PodRoom { pods, limit, .. }) => ProbeResult::Works(format!("{pods} more fit, because {limit}")),
        None => ProbeResult::Untried("no limit of the kernel could be read".to_owned()),
    }
}

/// The lowest limit for a lab that has `pods` on `nodes` now.
fn least(shares: &[Share], pods: u64, nodes: u64) -> Option<PodRoom> {
    let room = |share: &Share| PodRoom {
        pods: match share.scope {
            Scope::Machine { used } => pods + share.limit.value.saturating_sub(used) / share.each,
            Scope::Node => nodes.saturating_mul(share.limit.value / share.each),
        },
        limit: share.limit,
        each: share.each,
    };
    shares.iter().map(room).min_by_key(|room| room.pods)
}

fn own_id() -> i32 {
    std::process::id().cast_signed()
}

/// The shares of all limits that can be read. Those of a process are taken from this one.
fn shares(process: i32) -> Vec<Share> {
    let keys = read("/proc/key-users").and_then(|text| keys_of_root(&text));
    let shares = [
        memory(),
        // The shim has 13 threads, the pause process and the server one each.
        of_machine("kernel.pid_max", threads(), 15),
        of_machine("kernel.threads-max", threads(), 15),
        // The node knows the pod, and the pod its gateway.
        of_machine("net.ipv4.neigh.default.gc_thresh3", neighbours(), 2),
        // runc creates a keyring for each container.
        of_machine("kernel.keys.root_maxkeys", keys.map(|(keys, _)| keys), 2),
        of_machine("kernel.keys.root_maxbytes", keys.map(|(_, bytes)| bytes), 140),
        of_machine("fs.file-max", files(), 50),
        // The kubelet watches the cgroups of each pod. In version 1 each hierarchy has them.
        of_node("fs.inotify.max_user_watches", 18),
        // A probe each second has a connection of its own, which is known for two minutes after its end.
        of_node("net.netfilter.nf_conntrack_max", 150),
        files_of_containerd(process),
    ];
    shares.into_iter().flatten().collect()
}

fn of_machine(name: &'static str, used: Option<u64>, each: u64) -> Option<Share> {
    let limit = PodLimit { kind: LimitKind::Setting(name), value: setting(name)?.parse().ok()? };
    Some(Share { limit, scope: Scope::Machine { used: used? }, each })
}

fn of_node(name: &'static str, each: u64) -> Option<Share> {
    let limit = PodLimit { kind: LimitKind::Setting(name), value: setting(name)?.parse().ok()? };
    Some(Share { limit, scope: Scope::Node, each })
}

/// The shim, the processes, and what the kernel and the components keep about a pod take 9 MB.
fn memory() -> Option<Share> {
    let value = bytes_in_meminfo(&read("/proc/meminfo")?, "MemAvailable")?;
    let limit = PodLimit { kind: LimitKind::Memory, value };
    Some(Share { limit, scope: Scope::Machine { used: 0 }, each: 9_000_000 })
}

/// containerd has twelve open files for each pod.
fn files_of_containerd(process: i32) -> Option<Share> {
    let value = hard_limit_of_files(&read(&format!("/proc/{process}/limits"))?)?;
    Some(Share { limit: PodLimit { kind: LimitKind::OpenFiles, value }, scope: Scope::Node, each: 12 })
}

/// All threads: the number behind the slash in `/proc/loadavg`.
fn threads() -> Option<u64> {
    read("/proc/loadavg")?.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

/// All IPv4 neighbours, in whatever network namespace: the first column of the first row, in hexadecimal.
fn neighbours() -> Option<u64> {
    let table = read("/proc/net/stat/arp_cache")?;
    u64::from_str_radix(table.lines().nth(1)?.split_whitespace().next()?, 16).ok()
}

/// The allocated files: the first number in `/proc/sys/fs/file-nr`.
fn files() -> Option<u64> {
    read("/proc/sys/fs/file-nr")?.split_whitespace().next()?.parse().ok()
}

/// The second number in the line `Max open files            1024                 20000                files`. `None` if it is
/// unlimited.
fn hard_limit_of_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The keys of root and their bytes, in lines such as `    0:   413 412/412 407/1000000 28320/25000000` (`man 5 proc_key_users`).
fn keys_of_root(users: &str) -> Option<(u64, u64)> {
    let row = users.lines().find_map(|line| line.trim_start().strip_prefix("0:"))?;
    let mut used = row.split_whitespace().skip(2).map_while(|part| part.split_once('/')?.0.parse().ok());
    Some((used.next()?, used.next()?))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEIGHBOURS: PodLimit =
        PodLimit { kind: LimitKind::Setting("net.ipv4.neigh.default.gc_thresh3"), value: 1024 };
    const WATCHES: PodLimit = PodLimit { kind: LimitKind::Setting("fs.inotify.max_user_watches"), value: 8192 };

    #[test]
    fn the_lowest_limit_counts() {
        let neighbours = Share { limit: NEIGHBOURS, scope: Scope::Machine { used: 424 }, each: 2 };
        let watches = Share { limit: WATCHES, scope: Scope::Node, each: 18 };
        let room = |pods, nodes| least(&[neighbours, watches], pods, nodes).map(|room| (room.pods, room.limit));
        assert_eq!(room(0, 1), Some((300, NEIGHBOURS)));
        // The pods that are there are part of what is used.
        assert_eq!(room(200, 1), Some((455, WATCHES)));
        assert_eq!(room(200, 3), Some((500, NEIGHBOURS)));
        assert_eq!(least(&[], 0, 1), None);
    }

    #[test]
    fn more_in_use_than_allowed_leaves_no_room() {
        let full = Share { limit: NEIGHBOURS, scope: Scope::Machine { used: 1040 }, each: 2 };
        assert_eq!(least(&[full], 7, 1).map(|room| room.pods), Some(7));
    }

    #[test]
    fn keys_of_root_are_found() {
        let users = "    0:   413 412/412 407/1000000 28320/25000000\n 1000:     3 3/3 2/200 27/20000\n";
        assert_eq!(keys_of_root(users), Some((407, 28320)));
        assert_eq!(keys_of_root(" 1000:     3 3/3 2/200 27/20000\n"), None);
    }

    #[test]
    fn the_hard_limit_of_files_is_found() {
        let limits = "Max processes             96364                96364                processes \n\
                      Max open files            1024                 20000                files     \n";
        assert_eq!(hard_limit_of_files(limits), Some(20_000));
        assert_eq!(
            hard_limit_of_files("Max open files            unlimited            unlimited            files\n"),
            None
        );
    }

    #[test]
    fn this_machine_has_room() {
        assert!(PodRoom::of_lab(0, &[own_id()]).is_some_and(|room| room.pods > 0));
    }
}
