//! The sandbox: a process tree in its own PID, mount, network, UTS and IPC namespaces.
//!
//! It is entered in two steps, both of them this program run again: [`enter`] makes the namespaces and starts the
//! first process in them, [`prepare`] furnishes them from inside. When the first process ends, the kernel ends all the
//! others, and with them go mounts and links: nothing of it can be left behind but cgroups and files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::error::Error;
use crate::process::Invocation;

use super::plan::{BootPlan, Message};
use super::{cgroup, network};

/// Directories that the programs inside write to by fixed names; each becomes an empty one in memory.
const MASKED: [&str; 2] = ["/run", "/var/lib"];

/// Kernel settings that the kubelet writes though they are the whole machine's. Inside, each is covered by a file that
/// already says what the kubelet wants, so that the machine's own stay as they are.
const COVERED_SYSCTLS: [(&str, &str); 6] = [
    ("/proc/sys/vm/overcommit_memory", "1"),
    ("/proc/sys/vm/panic_on_oom", "0"),
    ("/proc/sys/kernel/panic", "10"),
    ("/proc/sys/kernel/panic_on_oops", "1"),
    ("/proc/sys/kernel/keys/root_maxkeys", "1000000"),
    ("/proc/sys/kernel/keys/root_maxbytes", "25000000"),
];

/// Makes the namespaces and starts the sandbox's first process in them, with this process's stdin, stdout and stderr;
/// says its process id on stdout. Must run in a process with one thread.
///
/// # Errors
/// [`Error::Io`] when the kernel refuses, [`Error::Program`] when the first process cannot be started.
pub fn enter(plan_file: &Path) -> Result<(), Error> {
    close_inherited();
    let plan = BootPlan::read(plan_file)?;
    cgroup::enter(&plan.cgroup, &plan.node.name)?;
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID;
    unshare(namespaces).map_err(|errno| Error::io("make namespaces", errno.into()))?;

    let program = std::env::current_exe().map_err(|source| Error::io("find this program", source))?;
    let first = Invocation::new(program, [OsStr::new("sandbox"), OsStr::new("init"), plan_file.as_os_str()]);
    let mut command = first.daemon_command();
    command.env_clear().env("PATH", &plan.path).env("HOME", "/root").env("TMPDIR", "/run/tmp");
    let child = command.stdin(std::process::Stdio::inherit()).spawn().map_err(|source| first.not_started(&source))?;
    say(&Message::Entered(child.id().cast_signed()));
    Ok(())
}

/// Closes what the caller's own parents left open: a lab that outlives them must not hold their locks and pipes.
fn close_inherited() {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        // The one that listed them is closed by now.
        let _ = nix::unistd::close(descriptor);
    }
}

/// Waits for the link, then furnishes the namespaces: mounts, hostname, network.
///
/// # Errors
/// [`Error::Io`] or [`Error::Program`], naming what the kernel refused; [`Error::Interrupted`] when `up` is gone.
pub fn prepare(plan: &BootPlan) -> Result<(), Error> {
    nix::unistd::sethostname(&plan.node.name).map_err(|errno| Error::io("set the hostname", errno.into()))?;
    mounts(plan)?;
    let mut go = String::new();
    match io::stdin().lock().read_line(&mut go) {
        Ok(read) if read > 0 => {}
        _ => return Err(Error::Interrupted),
    }
    network::configure_inside(&plan.ip, &plan.node)
}

/// Says something to `up`. It may be gone by now, and then nobody needs to hear.
pub fn say(message: &Message) {
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

fn mounts(plan: &BootPlan) -> Result<(), Error> {
    // Private cuts the ties to the machine's mounts, shared makes new ones for those that pods want to see grow.
    change(Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
    change(Path::new("/"), MsFlags::MS_REC | MsFlags::MS_SHARED)?;
    let visible: Vec<(&PathBuf, File)> = plan
        .keep_visible
        .iter()
        .filter(|path| MASKED.iter().any(|masked| path.starts_with(masked)))
        .map(|path| Ok((path, File::open(path).map_err(|source| Error::file("open", path, source))?)))
        .collect::<Result<_, Error>>()?;

    for masked in MASKED {
        in_memory(Path::new(masked))?;
    }
    for (path, directory) in &visible {
        fs::create_dir_all(path).map_err(|source| Error::file("create", path, source))?;
        bind(Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())), path)?;
    }
    in_memory(Path::new("/var/log"))?;
    fs::create_dir_all("/run/tmp").map_err(|source| Error::io("create /run/tmp", source))?;

    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
        .map_err(|errno| Error::io("mount /proc", errno.into()))?;
    cover_sysctls()
}

fn cover_sysctls() -> Result<(), Error> {
    let directory = Path::new("/run/evenkeel-sysctl");
    fs::create_dir_all(directory).map_err(|source| Error::file("create", directory, source))?;
    for (index, (path, value)) in COVERED_SYSCTLS.iter().enumerate() {
        if !Path::new(path).exists() {
            continue;
        }
        let cover = directory.join(index.to_string());
        fs::write(&cover, format!("{value}\n")).map_err(|source| Error::file("write", &cover, source))?;
        bind(&cover, Path::new(path))?;
    }
    Ok(())
}

fn change(target: &Path, flags: MsFlags) -> Result<(), Error> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .map_err(|errno| Error::file("change the mount", target, errno.into()))
}

fn bind(source: &Path, target: &Path) -> Result<(), Error> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|errno| Error::file("bind", target, errno.into()))
}

fn in_memory(target: &Path) -> Result<(), Error> {
    mount(Some("evenkeel"), target, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=0755"))
        .map_err(|errno| Error::file("mount memory on", target, errno.into()))
}
