//! The functions on Linux.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::inotify::{InitFlags, Inotify};
use nix::sys::signal::Signal;

use super::{Mount, Namespace};

/// Lets the kernel kill the command when the thread that starts it ends.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl with PR_SET_PDEATHSIG is async-signal-safe and touches only the child itself.
    #[allow(unsafe_code, reason = "the parent-death signal can only be set between fork and exec")]
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}

/// The kernel's own handle of a process. After that process ends, the handle never refers to another one.
#[derive(Debug)]
pub struct ProcessHandle(OwnedFd);

impl ProcessHandle {
    /// The process that has this id now; `None` when there is none.
    ///
    /// An id of 0 or below names no process: `kill` would take it for the caller's own group or for a whole group.
    #[must_use]
    pub fn open(pid: i32) -> Option<Self> {
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let pid = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw)?;
        pidfd_open(pid, PidfdFlags::empty()).ok().map(Self)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH` when the process has ended.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let number = rustix::process::Signal::from_named_raw(signal as i32).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(rustix::process::pidfd_send_signal(&self.0, number)?)
    }
}

/// Moves this thread into new namespaces.
///
/// # Errors
/// That of the kernel.
pub fn unshare(namespaces: &[Namespace]) -> nix::Result<()> {
    let flag = |namespace: &Namespace| match namespace {
        Namespace::Mount => CloneFlags::CLONE_NEWNS,
        Namespace::Network => CloneFlags::CLONE_NEWNET,
        Namespace::Uts => CloneFlags::CLONE_NEWUTS,
        Namespace::Ipc => CloneFlags::CLONE_NEWIPC,
        Namespace::Pid => CloneFlags::CLONE_NEWPID,
    };
    nix::sched::unshare(namespaces.iter().map(flag).collect())
}

/// The mount and network namespaces of the machine, for programs that a sandbox runs outside.
#[derive(Debug)]
pub struct MachineNamespaces([File; 2]);

/// The variable by which a program gets the numbers of the descriptors.
const NAMESPACES: &str = "EVENKEEL_NAMESPACES";

impl MachineNamespaces {
    /// The namespaces of a process.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn of(process: u32) -> io::Result<Self> {
        let open = |kind| File::open(format!("/proc/{process}/ns/{kind}"));
        // The network comes first: afterwards, /proc may be another one.
        Ok(Self([open("net")?, open("mnt")?]))
    }

    /// Those that [`MachineNamespaces::give_to`] gave this program. What it starts does not get them.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there are none.
    pub fn given() -> io::Result<Self> {
        let numbers = std::env::var(NAMESPACES).unwrap_or_default();
        let numbers = numbers.split_once(',').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
        let (network, mount): (i32, i32) = numbers.ok_or(io::ErrorKind::NotFound)?;
        let take = |number: i32| {
            let file = File::open(format!("/proc/self/fd/{number}"))?;
            nix::unistd::close(number)?;
            Ok::<_, io::Error>(file)
        };
        Ok(Self([take(network)?, take(mount)?]))
    }

    /// Lets the command inherit the descriptors.
    pub fn give_to(&self, command: &mut Command) {
        let numbers = self.0.each_ref().map(AsRawFd::as_raw_fd);
        command.env(NAMESPACES, format!("{},{}", numbers[0], numbers[1]));
        // SAFETY: fcntl is async-signal-safe, and the descriptors are open in the child, which is a copy of this process.
        #[allow(unsafe_code, reason = "what a child inherits can only be changed between fork and exec")]
        unsafe {
            command.pre_exec(move || {
                for number in numbers {
                    let file = BorrowedFd::borrow_raw(number);
                    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
                }
                Ok(())
            });
        }
    }

    /// Runs the command in these namespaces.
    pub fn run_in(&self, command: &mut Command) {
        let numbers = self.0.each_ref().map(AsRawFd::as_raw_fd);
        // SAFETY: setns is async-signal-safe, and the descriptors are open in the child, which is a copy of this process.
        #[allow(unsafe_code, reason = "the namespaces of a child can only be changed between fork and exec")]
        unsafe {
            command.pre_exec(move || {
                for number in numbers {
                    nix::sched::setns(BorrowedFd::borrow_raw(number), CloneFlags::empty())?;
                }
                Ok(())
            });
        }
    }
}

/// Sets the hostname of this UTS namespace.
///
/// # Errors
/// That of the kernel.
pub fn set_hostname(name: &str) -> nix::Result<()> {
    nix::unistd::sethostname(name)
}

/// Mounts something on `target`, or changes the mount there.
///
/// # Errors
/// That of the kernel.
pub fn mount(what: Mount, target: &Path) -> nix::Result<()> {
    let hardened = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let memory_mode;
    let (source, kind, flags, options) = match what {
        Mount::Private => (None, None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None),
        Mount::Shared => (None, None, MsFlags::MS_REC | MsFlags::MS_SHARED, None),
        Mount::Bind(source) => (Some(source), None, MsFlags::MS_BIND, None),
        Mount::Memory { mode } => {
            memory_mode = format!("mode={mode:o}");
            (Some(Path::new("evenkeel")), Some("tmpfs"), hardened, Some(memory_mode.as_str()))
        }
        Mount::ReadOnly { options } => {
            (None, None, flags_of(options) | MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY, None)
        }
        Mount::Processes => (Some(Path::new("proc")), Some("proc"), hardened | MsFlags::MS_NOEXEC, None),
        Mount::Overlay(options) => (Some(Path::new("overlay")), Some("overlay"), MsFlags::empty(), Some(options)),
    };
    nix::mount::mount(source, target, kind, flags, options)
}

/// The flags of a mount's options. A remount without them would remove them.
fn flags_of(options: &str) -> MsFlags {
    let flags = options.split(',').map(|option| match option {
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "noatime" => MsFlags::MS_NOATIME,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    });
    flags.fold(MsFlags::empty(), MsFlags::union)
}

/// Creates up to `most` inotify instances, and closes them again. Returns how many could be created.
#[must_use]
pub fn inotify_instances(most: usize) -> usize {
    let create = |_| Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
    let created: Vec<Inotify> = (0..most).map_while(create).collect();
    created.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_a_mount_are_read_from_its_options() {
        assert_eq!(flags_of("rw,nosuid,nodev,relatime"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_RELATIME);
        assert_eq!(flags_of("rw"), MsFlags::empty());
    }
}
