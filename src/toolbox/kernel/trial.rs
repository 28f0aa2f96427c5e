//! Trying it: in threads of their own, since namespaces are entered by a thread and end with it.

use std::fs;
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::{Outcome, Tools};
use crate::process::{Invocation, ProgramError};

/// Of what kube-proxy uses, what a kernel may have been built without: NAT, conntrack, maps of verdicts, random choice,
/// a look at the routes, masquerade.
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
pub(super) fn tried(tools: &Tools) -> [Outcome; 5] {
    let (namespaces, inside) = thread::scope(|scope| {
        let namespaces = scope.spawn(namespaces);
        let inside = scope.spawn(|| inside(tools));
        (namespaces.join(), inside.join())
    });
    let broken = || Outcome::Fails("the probe itself broke".to_owned());
    let namespaces = namespaces.map_or_else(|_| broken(), Outcome::from);
    let [overlay, veth, bridge, rules] = inside.unwrap_or_else(|_| std::array::from_fn(|_| broken()));
    [namespaces, overlay, veth, bridge, rules]
}

fn namespaces() -> Result<String, String> {
    enter(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC)?;
    enter(CloneFlags::CLONE_NEWPID)?;
    Ok("mount, network, UTS, IPC and PID".to_owned())
}

fn enter(namespaces: CloneFlags) -> Result<(), String> {
    unshare(namespaces).map_err(|errno| errno.desc().to_owned())
}

/// The probes that need a network and a mount table which go away with this thread.
fn inside(tools: &Tools) -> [Outcome; 4] {
    let entered = enter(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).and_then(|()| {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(|errno| errno.desc().to_owned())
    });
    if let Err(why) = entered {
        return std::array::from_fn(|_| Outcome::Untried(format!("no namespaces to try it in ({why})")));
    }
    let (ip, nft) = (tools.ip.as_deref(), tools.nft.as_deref());
    let veth = asked("ip", ip, &["link", "add", "ek0", "type", "veth", "peer", "name", "ek1"]);
    let bridge = asked("ip", ip, &["link", "add", "ekbr", "type", "bridge"]);
    let rules = asked("nft", nft, &[RULES]);
    // Last, for it hides a directory that the programs may be in.
    [overlay().into(), veth, bridge, rules]
}

fn asked(name: &str, program: Option<&Path>, args: &[&str]) -> Outcome {
    match program {
        Some(program) => quietly(&Invocation::new(program, args)).into(),
        None => Outcome::Untried(format!("{name} is missing")),
    }
}

fn quietly(command: &Invocation) -> Result<String, String> {
    match command.run() {
        Ok(_) => Ok(String::new()),
        Err(ProgramError { outcome, tail, .. }) => Err(tail.lines().next().map_or(outcome, str::to_owned)),
    }
}

/// Stacks two directories in memory, as the sandbox's containers are, and writes through the stack.
fn overlay() -> Result<String, String> {
    let room = Path::new("/run");
    let mounted = |what: &str, target: &Path, options: Option<&str>| {
        mount(Some(what), target, Some(what), MsFlags::empty(), options)
            .map_err(|errno| format!("no {what} could be mounted ({})", errno.desc()))
    };
    mounted("tmpfs", room, None)?;
    let layers = ["lower", "upper", "work", "merged"].map(|layer| room.join(layer));
    let made = layers.iter().try_for_each(fs::create_dir);
    made.map_err(|source| format!("no directory could be made in memory ({source})"))?;
    let [lower, upper, work, merged] = layers;
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mounted("overlay", &merged, Some(&options))?;
    fs::write(merged.join("file"), "written")
        .map_err(|source| format!("nothing could be written to an overlay ({source})"))?;
    Ok("in memory".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(asked("nft", None, &[]), Outcome::Untried("nft is missing".to_owned()));
        let failed = quietly(&Invocation::new("/bin/sh", ["-c", "echo 'RTNETLINK answers: no' >&2; exit 2"]));
        assert_eq!(failed, Err("RTNETLINK answers: no".to_owned()));
    }
}
