//! Difficult environments: proxies that do not work, ignored signals, and an undo that hangs.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;

use crate::begun::begun_in;
use crate::host::{Host, lab_processes, lab_processes_named};
use crate::lab::{Lab, eventually, text};

/// Every variable that names a proxy, with a proxy that does not exist or a value that is invalid.
const PROXIES: [(&str, &str); 8] = [
    ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ("https_proxy", "http://127.0.0.1:9"),
    ("HTTP_PROXY", "http://127.0.0.1:9"),
    ("ALL_PROXY", "socks5://127.0.0.1:9"),
    ("HTTPS_PROXY", "http://[::1"),
    ("https_proxy", "\u{1}"),
    ("NO_PROXY", "[,"),
    ("no_proxy", "*"),
];

#[test]
fn the_labs_api_server_is_never_asked_through_a_proxy() {
    let Some(lab) = Lab::new() else { return };
    let run = |arguments: &[&str], proxies: &[(&str, &str)]| {
        let output = lab.command(arguments).envs(proxies.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{arguments:?} with {proxies:?}: {}", text(&output.stderr));
    };
    run(&["up"], &PROXIES[..4]);
    run(&["deploy", "--replicas", "1"], &PROXIES[..4]);
    let inherited = lab_processes().into_iter().filter(|(pid, _)| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        text(&environment).to_lowercase().contains("_proxy=")
    });
    assert_eq!(inherited.collect::<Vec<_>>(), [], "components and pods with proxy variables");

    let verbs: [&[&str]; 6] = [
        &["status"],
        &["scale", "2"],
        &["logs"],
        &["test", "-c", "2", "-d", "1s"],
        &["test", "-c", "2", "-d", "1s", "--balance", "client"],
        &["deploy", "--replicas", "1"],
    ];
    for verb in verbs {
        run(verb, &PROXIES[..4]);
    }
    for proxy in PROXIES {
        run(&["status"], &[proxy]);
    }
    run(&["down"], &PROXIES[..4]);
}

#[test]
fn what_the_shell_ignores_is_not_ignored_in_the_lab() {
    let Some(lab) = Lab::new() else { return };
    let script = "trap '' HUP INT TERM; \"$EVENKEEL\" up && \"$EVENKEEL\" deploy --replicas 1";
    let output = lab.script(&[], script);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let ignoring = lab_processes().into_iter().filter(|(pid, _)| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].into_iter().any(|signal| mask >> (signal as i32 - 1) & 1 == 1)
    });
    assert_eq!(ignoring.collect::<Vec<_>>(), []);
}

#[test]
fn a_second_interrupt_ends_an_undo_that_hangs() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let bin = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let hanging = bin.path().join("ip");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'link del'*) exec sleep 600;; esac\nPATH={path}:/usr/sbin:/sbin; exec ip \"$@\"\n"
    );
    std::fs::write(&hanging, script).unwrap();
    std::fs::set_permissions(&hanging, std::fs::Permissions::from_mode(0o755)).unwrap();

    let mut up = begun_in(&lab, &["up"], &[("PATH", &format!("{}:{path}", bin.path().display()))]);
    up.until(|event| event["event"] == "started" && event["step"] == "start kubelet");
    // The open file keeps the network namespace and its link after the sandbox ends, so the undo must remove the link.
    let etcd = *lab_processes_named("etcd").first().unwrap();
    let network = std::fs::File::open(format!("/proc/{etcd}/ns/net")).unwrap();
    up.signal(Signal::SIGINT);
    let (said, _) = up.until_both(
        |event| event["event"] == "note" && event["text"].as_str().unwrap().starts_with("interrupted"),
        |event| event["event"] == "started" && event["step"] == "undo what was done",
    );
    assert!(said["text"].as_str().unwrap().contains("Ctrl-C again"), "{said}");
    let code = eventually("the second Ctrl-C ends the command", || {
        let ended = up.child.try_wait().unwrap();
        if ended.is_none() {
            up.signal(Signal::SIGINT);
        }
        ended.map(|status| status.code())
    });
    assert_eq!(code, Some(130));
    let error = up.until(|event| event["event"] == "error");
    let (message, hint) = (error["message"].as_str().unwrap(), error["hint"].as_str().unwrap());
    assert!(message.contains("before the undo was complete") && message.contains("link ek-ci"), "{error}");
    assert!(hint.contains("evenkeel --name ci down"), "{error}");
    drop(network);
    lab.down();
    Host::look().assert_same(&before);
}
