//! The sandbox: a process tree in its own PID, mount, network, UTS and IPC namespaces.
//!
//! It is made in two steps, each by this program run again: [`enter`] makes the namespaces and starts the first process in
//! them, [`prepare`] sets them up from inside. When the first process ends, the kernel ends all the others, and removes the
//! mounts and links. Only cgroups, files and an AppArmor profile can stay.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::platform::{self, MachineNamespaces, Mount, Namespace};
use crate::process::Invocation;
use crate::shutdown::Interrupted;

use super::plan::{BootPlan, Message};
use super::read_only::make_read_only;
use super::{cgroup, network};

/// Directories with fixed names that the programs inside write to, and in which pods usually have a `hostPath`; each with
/// its mode. Each is covered by an empty directory in memory. Only `/mnt` may be missing.
const MASKED: [(&str, u32); 5] =
    [("/run", 0o755), ("/var/lib", 0o755), ("/var/log", 0o755), ("/tmp", 0o1777), ("/mnt", 0o755)];

/// Where the kernel shows its state.
const OF_KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Kernel settings of the whole machine that the kubelet writes. Inside, each is covered by a file that already has the
/// value that the kubelet wants, so that the machine's own setting does not change.
const COVERED_SYSCTLS: [(&str, &str); 6] = [
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/vm/panic_on_oom", "0"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
    ("/proc/sys/kernel/keys/root_maxkeys", "1000000"),
    ("/proc/sys/kernel/keys/root_maxbytes", "25000000"),
];

/// Makes the namespaces and starts the sandbox's first process in them, with this process's stdin, stdout and stderr;
/// reports its process id on stdout. Must run in a process with one thread.
///
/// # Errors
/// [`ClusterError::Io`] when the kernel refuses, [`ClusterError::Program`] when the first process cannot be started.
pub fn enter(plan_file: &Path) -> Result<(), ClusterError> {
    close_inherited();
    let plan = BootPlan::read(plan_file)?;
    cgroup::enter(&plan.cgroup, &plan.name)?;
    let namespaces = [Namespace::Mount, Namespace::Network, Namespace::Uts, Namespace::Ipc, Namespace::Pid];
    platform::unshare(&namespaces).map_err(|errno| IoError::new("make namespaces", errno.into()))?;

    let program = std::env::current_exe().map_err(|source| IoError::new("find this program", source))?;
    let first = Invocation::new(program, [OsStr::new("sandbox"), OsStr::new("init"), plan_file.as_os_str()]);
    let mut command = first.daemon_command();
    command.env_clear().env("PATH", &plan.path).env("HOME", "/root").env("TMPDIR", "/run/tmp");
    let child = command.stdin(std::process::Stdio::inherit()).spawn().map_err(|source| first.not_started(&source))?;
    say(&Message::Entered(child.id().cast_signed()));
    Ok(())
}

/// Closes file descriptors inherited from the caller's parents: a lab that runs longer than they do must not hold their
/// locks and pipes.
fn close_inherited() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        // This fails for the descriptor of the directory that was listed, which is already closed.
        let _ = nix::unistd::close(descriptor);
    }
}

/// Sets up the namespaces: hostname and mounts, and the network once the link exists. Returns the machine's own namespaces.
///
/// # Errors
/// [`ClusterError::Io`] or [`ClusterError::Program`], naming what the kernel refused; [`ClusterError::Interrupted`] when `up` is gone.
pub fn prepare(plan: &BootPlan) -> Result<MachineNamespaces, ClusterError> {
    let machine =
        MachineNamespaces::of(plan.caller).map_err(|source| IoError::new("find the namespaces of `up`", source))?;
    platform::set_hostname(&plan.name).map_err(|errno| IoError::new("set the hostname", errno.into()))?;
    mounts(plan)?;
    let mut go = String::new();
    match io::stdin().lock().read_line(&mut go) {
        Ok(read) if read > 0 => {}
        _ => return Err(Interrupted.into()),
    }
    network::configure(&plan.ip, &plan.network)?;
    Ok(machine)
}

/// Sends a message to `up`. If `up` has ended, the message is lost.
pub fn say(message: &Message) {
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

fn mounts(plan: &BootPlan) -> Result<(), IoError> {
    // Private disconnects the mounts from the machine's. Shared then lets mounts propagate to pods that ask for it.
    mount(Mount::Private, Path::new("/"))?;
    mount(Mount::Shared, Path::new("/"))?;
    let visible: Vec<(&PathBuf, File)> = plan
        .keep_visible
        .iter()
        .filter(|path| MASKED.iter().any(|(masked, _)| path.starts_with(masked)))
        .map(|path| Ok((path, File::open(path).map_err(|source| IoError::file("open", path, source))?)))
        .collect::<Result<_, IoError>>()?;

    for (masked, mode) in MASKED.into_iter().filter(|(masked, _)| Path::new(masked).is_dir()) {
        mount(Mount::Memory { mode }, Path::new(masked))?;
    }
    for (path, directory) in &visible {
        fs::create_dir_all(path).map_err(|source| IoError::file("create", path, source))?;
        mount(Mount::Bind(Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd()))), path)?;
    }
    // A mount of its own stays writable when the file system around it becomes read-only.
    mount(Mount::Bind(&plan.state), &plan.state)?;
    let in_memory = MASKED.iter().map(|(masked, _)| masked);
    let writable = in_memory.chain(&OF_KERNEL).map(Path::new).chain([plan.state.as_path()]);
    make_read_only(writable)?;
    fs::create_dir_all("/run/tmp").map_err(|source| IoError::new("create /run/tmp", source))?;

    mount(Mount::Processes, Path::new("/proc"))?;
    cover_sysctls()
}

fn cover_sysctls() -> Result<(), IoError> {
    let directory = Path::new("/run/evenkeel-sysctl");
    fs::create_dir_all(directory).map_err(|source| IoError::file("create", directory, source))?;
    for (index, (path, value)) in COVERED_SYSCTLS.iter().enumerate() {
        if !Path::new(path).exists() {
            continue;
        }
        let cover = directory.join(index.to_string());
        fs::write(&cover, format!("{value}\n")).map_err(|source| IoError::file("write", &cover, source))?;
        mount(Mount::Bind(&cover), Path::new(path))?;
    }
    Ok(())
}

fn mount(what: Mount, target: &Path) -> Result<(), IoError> {
    let doing = match what {
        Mount::Private | Mount::Shared | Mount::ReadOnly { .. } => "change the mount",
        Mount::Bind(_) => "bind",
        Mount::Memory { .. } => "mount a tmpfs on",
        Mount::Processes | Mount::Overlay(_) => "mount",
    };
    platform::mount(what, target).map_err(|errno| IoError::file(doing, target, errno.into()))
}
