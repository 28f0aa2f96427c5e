//! Difficult machines: the lab works, or fails with an error that names the cause and leaves nothing.
//!
//! Each machine is simulated in its own namespaces, so that this machine does not change.

use std::os::unix::fs::PermissionsExt;

use crate::host::Host;
use crate::lab::{Lab, NAME, text};

/// Boots a lab and removes it. The exit code is that of the boot.
const UP_AND_DOWN: &str = "\"$EVENKEEL\" up; code=$?; \"$EVENKEEL\" down >&2 || exit 98; exit $code";

/// Boots, uses and removes a lab; `up` is the verb with its arguments. The exit code is that of the first command that fails.
fn up_use_and_down(up: &str) -> String {
    format!(
        "\"$EVENKEEL\" {up} && \"$EVENKEEL\" deploy --replicas 1 && \"$EVENKEEL\" test -c 2 -d 1s; \
         code=$?; \"$EVENKEEL\" down >&2 || exit 98; exit $code"
    )
}

const MOUNTS: [&str; 1] = ["--mount"];
const NETWORK: [&str; 1] = ["--net"];

/// Asserts that the boot fails with an error that contains these parts, and leaves nothing.
#[track_caller]
fn fails(lab: &Lab, before: &Host, unshare: &[&str], prepare: &str, parts: &[&str]) {
    let output = lab.script(unshare, &format!("{prepare} || exit 97\n{UP_AND_DOWN}"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{prepare}: {said}");
    for part in parts {
        assert!(said.contains(part), "{prepare}: {part:?} is missing: {said}");
    }
    assert!(said.contains("hint: ") && !said.contains("panicked"), "{prepare}: {said}");
    Host::look().assert_same(before);
    assert!(!lab.state().exists());
}

/// Asserts that the lab can be booted, used and removed.
#[track_caller]
fn works(lab: &Lab, before: &Host, unshare: &[&str], prepare: &str) {
    works_after(lab, before, unshare, prepare, "up");
}

/// The same with arguments of `up`.
#[track_caller]
fn works_after(lab: &Lab, before: &Host, unshare: &[&str], prepare: &str, up: &str) {
    let output = lab.script(unshare, &format!("{prepare} || exit 97\n{}", up_use_and_down(up)));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{prepare}: {said}");
    Host::look().assert_same(before);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_named() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let on = |options: &str| format!("mount -t tmpfs -o {options} tmpfs \"$EVENKEEL_STATE_DIR\"");
    let state = lab.state().display().to_string();
    fails(&lab, &before, &MOUNTS, &on("size=300k"), &["No space left on device", &state]);
    fails(&lab, &before, &MOUNTS, &on("nr_inodes=12"), &["No space left on device", &state]);
    fails(&lab, &before, &MOUNTS, &on("ro"), &["Read-only file system", &state]);
}

#[test]
fn a_network_that_is_in_use_is_not_changed() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let link = format!("ek-{NAME}");
    let named = format!("ip link set lo up && ip link add {link} type bridge && ip link show {link} >/dev/null");
    let kept = format!("{named} && trap 'ip link show {link} >/dev/null || exit 96' EXIT");
    fails(&lab, &before, &NETWORK, &kept, &[&format!("link {link} is already in use"), "does not belong to a lab"]);
    let routed = "ip link set lo up && ip link add other type bridge && ip link set other up \
                  && ip address add 198.18.0.9/24 dev other";
    fails(&lab, &before, &NETWORK, routed, &["198.18.0.0/15 is already in use", "198.18.0.0/24 through other"]);
}

#[test]
fn a_firewall_that_drops_everything_is_named_and_one_that_accepts_replies_works() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let chain = |hook| format!("add chain inet strict {hook} {{ type filter hook {hook} priority 0; policy drop; }}");
    let rules = |more: &str| {
        let (input, forward) = (chain("input"), chain("forward"));
        let loopback = "add rule inet strict input iifname lo accept";
        format!("ip link set lo up && nft 'add table inet strict; {input}; {forward}; {loopback}; {more}'")
    };
    let all = ["cannot reach the lab's node at 198.18.0.2:6443", "the chain input of table inet strict drops"];
    fails(&lab, &before, &NETWORK, &rules(""), &all);
    fails(&lab, &before, &NETWORK, &rules(&chain("output")), &["the chain output of table inet strict drops"]);
    works(&lab, &before, &NETWORK, &rules("add rule inet strict input ct state established,related accept"));
}

#[test]
fn unusual_machines_work() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let odd = "ip link set lo up && echo 'Odd_Host.name--' > /proc/sys/kernel/hostname \
               && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 \
               && echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
    works_after(&lab, &before, &["--net", "--uts", "--mount"], odd, "up --nodes 3");

    let bin = tempfile::tempdir().unwrap();
    let containerd = bin.path().join("containerd");
    std::fs::write(&containerd, "#!/bin/sh\necho containerd github.com/containerd/containerd v1.4.13 9cc61520\n")
        .unwrap();
    std::fs::set_permissions(&containerd, std::fs::Permissions::from_mode(0o755)).unwrap();
    works(&lab, &before, &["--net"], &format!("ip link set lo up && export PATH={}:$PATH", bin.path().display()));
}

/// As with `ipv6.disable=1`: the kernel has no IPv6 settings, and refuses those of a link.
#[test]
fn a_kernel_without_ipv6_works() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let bin = tempfile::tempdir().unwrap();
    let ip = bin.path().join("ip");
    let real = std::process::Command::new("sh").args(["-c", "command -v ip"]).output().unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *ek-{NAME}*addrgenmode*) echo 'RTNETLINK answers: Operation not supported' >&2; \
         exit 2;; esac\nexec {} \"$@\"\n",
        text(&real.stdout).trim()
    );
    std::fs::write(&ip, script).unwrap();
    std::fs::set_permissions(&ip, std::fs::Permissions::from_mode(0o755)).unwrap();
    let disabled = format!(
        "ip link set lo up && mount -t tmpfs none /proc/sys/net/ipv6 && export PATH={}:$PATH && ip link show >/dev/null",
        bin.path().display()
    );
    works(&lab, &before, &["--net", "--mount"], &disabled);
}

#[test]
fn too_little_memory_is_an_error_before_anything_is_changed() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let meminfo = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(meminfo.path(), "MemTotal: 500000 kB\nMemAvailable: 100000 kB\nSwapFree: 0 kB\n").unwrap();
    let small = format!("mount --bind {} /proc/meminfo", meminfo.path().display());
    fails(&lab, &before, &MOUNTS, &small, &["needs 600 MB of memory", "102 MB free", "free -m"]);
}
