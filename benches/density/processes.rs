//! The processor time and the memory of a lab's processes, by program.
//!
//! A program that ended is counted with the one that waited for it: runc with the shims, nft with kube-proxy, network plugins
//! with containerd. The program of a container continues the process of `runc init`, so its processor time includes that.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What the processes of one program used, or one of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Number of processes.
    pub(crate) processes: u64,
    /// Processor time of the processes themselves.
    pub(crate) own: Duration,
    /// Processor time of the children that ended.
    pub(crate) children: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    /// Resident memory that is not shared with a file, in bytes.
    pub(crate) private: u64,
}

impl Used {
    fn add(&mut self, other: Self) {
        self.processes += other.processes;
        self.own += other.own;
        self.children += other.children;
        self.resident += other.resident;
        self.private += other.private;
    }
}

/// What the lab's processes use now, by the name of the program's file. `cgroup` is the lab's group: `/evenkeel-bench`.
pub(crate) fn used(cgroup: &str) -> std::io::Result<BTreeMap<String, Used>> {
    let mut programs: BTreeMap<String, Used> = BTreeMap::new();
    for process in fs::read_dir("/proc")? {
        if let Some((program, used)) = read(&process?.path(), cgroup) {
            programs.entry(program).or_default().add(used);
        }
    }
    Ok(programs)
}

/// `None` for a process of something else, and for one that ends at this moment.
fn read(process: &Path, cgroup: &str) -> Option<(String, Used)> {
    let file = |name: &str| fs::read_to_string(process.join(name)).ok();
    let below = format!("{cgroup}/");
    file("cgroup").filter(|groups| {
        groups.lines().any(|line| line.split(':').nth(2).is_some_and(|group| group.starts_with(&below)))
    })?;
    let program = fs::read_link(process.join("exe")).ok()?.file_name()?.to_str()?.to_owned();
    let stat = file("stat")?;
    let [user, kernel, children_user, children_kernel] = times(&stat)?;
    let status = file("status")?;
    let bytes = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok())
    };
    let read = Used {
        processes: 1,
        own: user + kernel,
        children: children_user + children_kernel,
        resident: bytes("VmRSS:")? * 1024,
        private: bytes("RssAnon:")? * 1024,
    };
    Some((program, read))
}

/// The fields utime, stime, cutime and cstime of `/proc/PID/stat`, as `proc_pid_stat(5)` has them.
fn times(stat: &str) -> Option<[Duration; 4]> {
    // The name of the program, in parentheses, can have blanks.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    // USER_HZ is 100 on every architecture that Kubernetes supports.
    let mut next = || Some(Duration::from_millis(fields.next()?.parse::<u64>().ok()? * 10));
    Some([next()?, next()?, next()?, next()?])
}
