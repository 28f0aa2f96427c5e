//! Delays every packet that a pod sends, without its help: a rule in the pod's network namespace puts the packets into a
//! queue, and a program of ours lets each of them pass when its time has come.
//!
//! netem does the same in the kernel, but many kernels are built without it, and a delay of netem would stay when this
//! program is killed. The rule here lets packets pass when no program reads the queue.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::time::sleep;

use super::cgroup;
use super::network_plan::NODE_LINK;
use super::node::{Cluster, RunningNode};
use super::slow_container::{ContainerId, groups_of};
use crate::cluster::ClusterError;
use crate::io_error::IoError;
use crate::platform::{self, Namespace, PacketQueue};
use crate::process::{Invocation, ProgramError};
use crate::toolbox::{Program, Toolbox};

/// The number of the queue. Numbers are those of the pod's own namespace.
const QUEUE: u16 = 61_000;

/// Delays the packets of this network namespace that are in the queue, until the process is killed. Writes one byte to stdout
/// when it begins.
///
/// # Errors
/// [`ClusterError::Io`] when the kernel has no queues.
pub fn delay_packets(delay: Duration) -> Result<(), ClusterError> {
    let failed = |source| IoError::new("delay packets", source);
    let mut queue = PacketQueue::bind(QUEUE).map_err(failed)?;
    let mut stdout = io::stdout();
    stdout.write_all(b"\n").and_then(|()| stdout.flush()).map_err(failed)?;
    let mut line = DelayLine::new(delay);
    loop {
        let longest = line.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        let arrived = queue.arrived(longest).map_err(failed)?;
        let now = Instant::now();
        line.extend(&arrived, now);
        if let Some(last) = line.take_due(now) {
            queue.accept_up_to(last).map_err(failed)?;
        }
    }
}

/// Tries, in a network namespace of its own, whether the kernel can delay packets.
///
/// # Errors
/// [`ClusterError::Io`] and [`ClusterError::Program`] when it cannot.
pub fn try_to_delay_packets(iptables: &Path) -> Result<(), ClusterError> {
    let unshared = platform::unshare(&[Namespace::Network]);
    unshared.map_err(|errno| IoError::new("make a network namespace", errno.into()))?;
    let queue = PacketQueue::bind(QUEUE).map_err(|source| IoError::new("make a netfilter queue", source))?;
    with_own_lock(Invocation::new(iptables, rule("-A", Delayed::Own))).run()?;
    drop(queue);
    Ok(())
}

/// Checks, without changing anything, that packets can be delayed on this machine.
///
/// # Errors
/// [`ClusterError::NoPacketDelay`].
pub async fn check_packet_delay(toolbox: &Toolbox) -> Result<(), ClusterError> {
    let arguments = [Path::new("sandbox"), Path::new("try-delay"), toolbox.path(Program::Iptables)];
    let tried = Invocation::new(own_program()?, arguments).run_async().await;
    tried.map(drop).map_err(|error| ClusterError::NoPacketDelay { why: reason(&error) })
}

/// What the trial wrote, in one line and without the hint, which is not for this command.
fn reason(failed: &ProgramError) -> String {
    let lines = failed.tail.lines().map(|line| line.trim().trim_start_matches("error: "));
    let said: Vec<&str> =
        lines.take_while(|line| !line.starts_with("hint: ")).filter(|line| !line.is_empty()).collect();
    if said.is_empty() { failed.outcome.clone() } else { said.join(" ") }
}

fn own_program() -> Result<PathBuf, IoError> {
    std::env::current_exe().map_err(|source| IoError::new("find this program", source))
}

/// Which packets of a network namespace are delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delayed {
    /// Those that its own programs send to others.
    Own,
    /// All that leave through the link of a node: those of its pods, too.
    Leaving,
}

/// The arguments of iptables that add (`-A`) or delete (`-D`) the rule. Packets pass while nothing reads the queue.
fn rule(action: &str, delayed: Delayed) -> Vec<String> {
    let queue = QUEUE.to_string();
    let matched: &[&str] = match delayed {
        Delayed::Own => &["OUTPUT", "!", "-o", "lo"],
        Delayed::Leaving => &["POSTROUTING", "-o", NODE_LINK],
    };
    let table: &[&str] = if delayed == Delayed::Leaving { &["-t", "mangle"] } else { &[] };
    let comment = ["-m", "comment", "--comment", "evenkeel-delay"];
    let target = ["-j", "NFQUEUE", "--queue-num", &queue, "--queue-bypass"];
    [table, &[action], matched, &comment, &target].concat().into_iter().map(str::to_owned).collect()
}

/// The legacy variant of iptables would make a lock file on the host.
fn with_own_lock(invocation: Invocation) -> Invocation {
    invocation.env("XTABLES_LOCKFILE", "/dev/null")
}

/// A pod that sends its packets late. It is as before when this value is dropped.
#[derive(Debug)]
pub struct DelayedPod {
    packets: DelayedPackets,
    group: PathBuf,
}

impl DelayedPod {
    /// Delays every packet that the pod of this container sends to others. `None` if the container has ended.
    ///
    /// # Errors
    /// [`ClusterError::Program`] and [`ClusterError::Io`].
    pub async fn begin(
        cluster: &Cluster,
        toolbox: &Toolbox,
        container: ContainerId<'_>,
        delay: Duration,
    ) -> Result<Option<Self>, ClusterError> {
        let found = groups_of(cluster, container).into_iter().find_map(|group| {
            let process = cgroup::processes_below(&group.path).into_iter().next()?;
            let namespace = File::open(format!("/proc/{process}/ns/net")).ok()?;
            // If another process had taken over the id before, the group does not list it any more.
            cgroup::processes_below(&group.path).contains(&process).then_some((namespace, group.path))
        });
        let Some((namespace, group)) = found else { return Ok(None) };
        let network = DelayedNetwork::new(namespace, toolbox, Delayed::Own);
        Ok(Some(Self { packets: DelayedPackets::begin(network, delay).await?, group }))
    }

    /// Ends the delay, without loss of a packet; returns whether the container was still there.
    ///
    /// # Errors
    /// [`ClusterError::Program`].
    pub async fn end(self) -> Result<bool, ClusterError> {
        self.packets.end().await?;
        Ok(!cgroup::processes_below(&self.group).is_empty())
    }
}

/// A node whose packets leave late. It is as before when this value is dropped.
#[derive(Debug)]
pub struct DelayedNode(DelayedPackets);

impl DelayedNode {
    /// Delays every packet that leaves the node through its link.
    ///
    /// # Errors
    /// [`ClusterError::Program`] and [`ClusterError::Io`].
    pub async fn begin(node: &RunningNode, toolbox: &Toolbox, delay: Duration) -> Result<Self, ClusterError> {
        let path = PathBuf::from(format!("/proc/{}/ns/net", node.pid));
        let namespace = File::open(&path).map_err(|source| IoError::file("open", &path, source))?;
        let network = DelayedNetwork::new(namespace, toolbox, Delayed::Leaving);
        Ok(Self(DelayedPackets::begin(network, delay).await?))
    }

    /// Ends the delay, without loss of a packet.
    ///
    /// # Errors
    /// [`ClusterError::Program`].
    pub async fn end(self) -> Result<(), ClusterError> {
        self.0.end().await
    }
}

/// Packets that are delayed. They are not any more when this value is dropped.
#[derive(Debug)]
struct DelayedPackets {
    network: DelayedNetwork,
    delay: Duration,
    program: Child,
}

impl DelayedPackets {
    async fn begin(network: DelayedNetwork, delay: Duration) -> Result<Self, ClusterError> {
        // What a killed test left. There is none after one that ended.
        let _ = network.iptables("-D").run_async().await;
        let millis = delay.as_millis().to_string();
        let delaying = network.inside(&own_program()?, &["sandbox", "delay-packets", &millis]);
        let mut command = tokio::process::Command::from(delaying.command());
        let started = command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut program = started.map_err(|source| delaying.not_started(&source))?;
        let mut begun = [0];
        let has_begun = match program.stdout.as_mut() {
            Some(stdout) => stdout.read_exact(&mut begun).await.is_ok(),
            None => false,
        };
        if !has_begun {
            let ended = program.wait_with_output().await.map_err(|source| delaying.not_started(&source))?;
            delaying.check(ended)?;
            return Err(IoError::new("delay packets", io::ErrorKind::UnexpectedEof.into()).into());
        }
        // From here on, the rule is deleted when this is dropped.
        let delayed = Self { network, delay, program };
        delayed.network.iptables("-A").run_async().await?;
        Ok(delayed)
    }

    async fn end(mut self) -> Result<(), ClusterError> {
        self.network.iptables("-D").run_async().await?;
        // The packets in the queue would be dropped.
        sleep(self.delay).await;
        let is_running = self.program.try_wait().is_ok_and(|ended| ended.is_none());
        if is_running {
            return Ok(());
        }
        let why = io::Error::other("the program that delays packets has ended before");
        Err(IoError::new("delay packets", why).into())
    }
}

impl Drop for DelayedPackets {
    fn drop(&mut self) {
        // It was deleted if the delay was ended. A rule that stays has no effect, since the program is killed, too.
        let _ = self.network.iptables("-D").run();
    }
}

/// A network namespace whose packets are delayed.
#[derive(Debug)]
struct DelayedNetwork {
    /// Keeps the namespace, whatever becomes of its processes.
    namespace: File,
    delayed: Delayed,
    nsenter: PathBuf,
    iptables: PathBuf,
}

impl DelayedNetwork {
    fn new(namespace: File, toolbox: &Toolbox, delayed: Delayed) -> Self {
        let path = |program| toolbox.path(program).to_owned();
        Self { namespace, delayed, nsenter: path(Program::Nsenter), iptables: path(Program::Iptables) }
    }

    /// The command that runs a program of the host in it.
    fn inside(&self, program: &Path, arguments: &[impl AsRef<str>]) -> Invocation {
        let net = format!("--net=/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd());
        let program = [net, "--".to_owned(), program.display().to_string()].into_iter();
        Invocation::new(&self.nsenter, program.chain(arguments.iter().map(|argument| argument.as_ref().to_owned())))
    }

    fn iptables(&self, action: &str) -> Invocation {
        with_own_lock(self.inside(&self.iptables, &rule(action, self.delayed)))
    }
}

/// Packets that wait, each for the same time, in the order in which they arrived.
#[derive(Debug)]
struct DelayLine {
    delay: Duration,
    waiting: VecDeque<(Instant, u32)>,
}

impl DelayLine {
    fn new(delay: Duration) -> Self {
        Self { delay, waiting: VecDeque::new() }
    }

    fn extend(&mut self, ids: &[u32], now: Instant) {
        self.waiting.extend(ids.iter().map(|id| (now + self.delay, *id)));
    }

    /// When the next packet is due.
    fn next_due(&self) -> Option<Instant> {
        self.waiting.front().map(|(due, _)| *due)
    }

    /// Takes all packets that are due, and returns the last of them.
    fn take_due(&mut self, now: Instant) -> Option<u32> {
        let due = self.waiting.iter().take_while(|(due, _)| *due <= now).count();
        self.waiting.drain(..due).next_back().map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_waits_for_the_same_time() {
        let (start, ms) = (Instant::now(), Duration::from_millis(1));
        let mut line = DelayLine::new(50 * ms);
        assert_eq!((line.next_due(), line.take_due(start)), (None, None));
        line.extend(&[7, 8], start);
        line.extend(&[9], start + 10 * ms);
        assert_eq!(line.next_due(), Some(start + 50 * ms));
        assert_eq!(line.take_due(start + 49 * ms), None);
        assert_eq!(line.take_due(start + 50 * ms), Some(8));
        assert_eq!(line.next_due(), Some(start + 60 * ms));
        assert_eq!(line.take_due(start + 99 * ms), Some(9));
        assert_eq!(line.next_due(), None);
    }

    #[test]
    fn the_rule_is_deleted_as_it_was_added() {
        for delayed in [Delayed::Own, Delayed::Leaving] {
            let added: Vec<String> = rule("-A", delayed).into_iter().filter(|word| word != "-A").collect();
            let deleted: Vec<String> = rule("-D", delayed).into_iter().filter(|word| word != "-D").collect();
            assert_eq!(added, deleted);
            assert!(added.iter().any(|word| word == "--queue-bypass"), "packets pass when the program is killed");
        }
    }

    #[test]
    fn the_reason_is_what_the_trial_wrote() {
        let failed = |tail: &str| ProgramError { command: "x".into(), outcome: "exit 1".into(), tail: tail.into() };
        let tail = "error: `iptables -A` failed (exit 1):\n  No chain/target/match by that name.\nhint: run it\n";
        assert_eq!(reason(&failed(tail)), "`iptables -A` failed (exit 1): No chain/target/match by that name.");
        assert_eq!(reason(&failed("")), "exit 1");
    }
}
