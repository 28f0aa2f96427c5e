//! The checks that need namespaces. Each runs on its own thread, because a thread enters namespaces and they end with it.

use std::fs;
use std::path::Path;
use std::thread;

use super::{ProbeResult, Tools};
use crate::platform::{Mount, Namespace, mount, unshare};
use crate::process::{Invocation, ProgramError};

/// Features that kube-proxy uses and that a kernel may lack: NAT, conntrack, verdict maps, random numbers, route lookup,
/// masquerade.
const RULES: &str = "\
add table ip evenkeel
add chain ip evenkeel nat { type nat hook prerouting priority -100; }
add chain ip evenkeel post { type nat hook postrouting priority 100; }
add chain ip evenkeel to
add rule ip evenkeel to meta l4proto tcp dnat to 192.0.2.1:80
add map ip evenkeel services { type ipv4_addr . inet_proto . inet_service : verdict; }
add rule ip evenkeel nat ct state new ip daddr . meta l4proto . th dport vmap @services
add rule ip evenkeel nat fib daddr type local numgen random mod 2 vmap { 0 : goto to, 1 : goto to }
add rule ip evenkeel post meta mark and 0x4000 != 0 masquerade";

/// Namespaces, overlayfs, veth links, bridges and nftables.
pub(super) fn tried(tools: &Tools) -> [ProbeResult; 5] {
    let (namespaces, inside) = thread::scope(|scope| {
        let namespaces = scope.spawn(namespaces);
        let inside = scope.spawn(|| inside(tools));
        (namespaces.join(), inside.join())
    });
    let broken = || ProbeResult::Fails("the check itself failed".to_owned());
    let namespaces = namespaces.map_or_else(|_| broken(), ProbeResult::from);
    let [overlay, veth, bridge, rules] = inside.unwrap_or_else(|_| std::array::from_fn(|_| broken()));
    [namespaces, overlay, veth, bridge, rules]
}

fn namespaces() -> Result<String, String> {
    enter(&[Namespace::Mount, Namespace::Network, Namespace::Uts, Namespace::Ipc])?;
    enter(&[Namespace::Pid])?;
    Ok("mount, network, UTS, IPC and PID".to_owned())
}

fn enter(namespaces: &[Namespace]) -> Result<(), String> {
    unshare(namespaces).map_err(|errno| errno.desc().to_owned())
}

/// The checks that need a network and a mount table of their own.
fn inside(tools: &Tools) -> [ProbeResult; 4] {
    let entered = enter(&[Namespace::Mount, Namespace::Network])
        .and_then(|()| mount(Mount::Private, Path::new("/")).map_err(|errno| errno.desc().to_owned()));
    if let Err(why) = entered {
        return std::array::from_fn(|_| {
            ProbeResult::Untried(format!("no namespaces could be created for the check ({why})"))
        });
    }
    let (ip, nft) = (tools.ip.as_deref(), tools.nft.as_deref());
    let veth = asked("ip", ip, &["link", "add", "ek0", "type", "veth", "peer", "name", "ek1"]);
    let bridge = asked("ip", ip, &["link", "add", "ekbr", "type", "bridge"]);
    let rules = asked("nft", nft, &[RULES]);
    // Last, because it hides a directory in which the programs may be.
    [overlay().into(), veth, bridge, rules]
}

fn asked(name: &str, program: Option<&Path>, args: &[&str]) -> ProbeResult {
    match program {
        Some(program) => quietly(&Invocation::new(program, args)).into(),
        None => ProbeResult::Untried(format!("{name} is missing")),
    }
}

fn quietly(command: &Invocation) -> Result<String, String> {
    match command.run() {
        Ok(_) => Ok(String::new()),
        Err(ProgramError { outcome, tail, .. }) => Err(tail.lines().next().map_or(outcome, str::to_owned)),
    }
}

/// Mounts an overlay of two directories in memory, as containers in the sandbox use it, and writes to it.
fn overlay() -> Result<String, String> {
    let base = Path::new("/run");
    let mounted = |name: &str, what: Mount, target: &Path| {
        mount(what, target).map_err(|errno| format!("no {name} could be mounted ({})", errno.desc()))
    };
    mounted("tmpfs", Mount::Memory { mode: 0o755 }, base)?;
    let layers = ["lower", "upper", "work", "merged"].map(|layer| base.join(layer));
    let made = layers.iter().try_for_each(fs::create_dir);
    made.map_err(|source| format!("no directory could be created in memory ({source})"))?;
    let [lower, upper, work, merged] = layers;
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mounted("overlay", Mount::Overlay(&options), &merged)?;
    fs::write(merged.join("file"), "written")
        .map_err(|source| format!("nothing could be written to an overlay ({source})"))?;
    Ok("in memory".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_and_errors_are_reported() {
        assert_eq!(asked("nft", None, &[]), ProbeResult::Untried("nft is missing".to_owned()));
        let failed = quietly(&Invocation::new("/bin/sh", ["-c", "echo 'RTNETLINK answers: no' >&2; exit 2"]));
        assert_eq!(failed, Err("RTNETLINK answers: no".to_owned()));
    }
}
