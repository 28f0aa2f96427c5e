//! Pods that are made slow during a run: the quota and the pause are real, they are undone, and the report shows how much of
//! the load met the slow pod.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::begun::{Begun, begun};
use crate::lab::{Lab, NAME, eventually, text};

const PODS: u64 = 4;

#[test]
fn slow_pods_are_slow_for_a_while_and_the_report_shows_who_met_them() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", &PODS.to_string()]);
    let before = Slowness::now();
    assert!(before.records.is_empty() && before.stopped == 0, "{before:?}");

    the_share_follows_the_way_of_balancing(&lab, &before);
    kubernetes_notices_a_pause(&lab, &before);
    a_delayed_pod_answers_late(&lab, &before);
    a_delay_that_is_impossible_is_refused_first(&lab);
    an_interrupted_event_is_undone(&lab, &before);
    a_killed_test_is_undone_by_the_next_verb(&lab, &before);
    // Nothing must be undone before `down`.
    let mut killed = paused(&lab);
    killed.signal(Signal::SIGKILL);
    killed.ends();
    lab.down();
    assert_eq!(Slowness::now(), Slowness::default());
}

/// A new connection for each request finds the slow pod as often as any other. A client that counts its requests in flight
/// avoids it.
fn the_share_follows_the_way_of_balancing(lab: &Lab, before: &Slowness) {
    let file = lab.state().join("slow.json");
    let file = file.to_str().unwrap();
    let mut test = begun(
        lab,
        &[
            &["test", "--compare", "no-keepalive,client", "--repeat", "1", "--warmup", "200ms", "-d", "5s"],
            &["--during", "throttle-pod:2%=3s@1500ms", "--json-file", file][..],
        ]
        .concat(),
    );
    for _ in 0..2 {
        let during = eventually("a pod has a quota", || Some(Slowness::now()).filter(|now| now != before));
        let changed: Vec<_> = during.quotas.iter().filter(|(group, quota)| before.quotas[*group] != **quota).collect();
        assert_eq!(changed.len(), 1, "one container of one pod is slow: {changed:?}");
        assert_eq!(changed[0].1, &2_000, "2% of 100 ms");
        assert_eq!(during.records.len(), 1, "{during:?}");
        eventually("the quota is gone", || (Slowness::now() == *before).then_some(()));
    }
    assert_eq!(test.ends(), Some(0));
    let report: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let slow: Vec<&Value> =
        report["runs"].as_array().unwrap().iter().map(|run| &run["events"][0]["slow_pod"]).collect();
    let share = |slow: &Value| slow["load"]["share"].as_f64().unwrap();
    for slow in &slow {
        assert_eq!(slow["even_share"], 0.25, "{slow}");
        assert_eq!((&slow["ended_early"], slow["seconds"].as_f64().unwrap() >= 3.0), (&false.into(), true), "{slow}");
        let load = &slow["load"];
        let requests = |of: &str| load[of]["requests"].as_u64().unwrap();
        assert_eq!(requests("of_pod") + requests("of_others"), requests("of_all"), "{load}");
        let p99 = |of: &str| load[of]["p99_us"].as_u64().unwrap();
        assert!(p99("of_pod") > p99("of_others"), "{load}");
        assert!((load["share_before"].as_f64().unwrap() - 0.25).abs() < 0.1, "{load}");
    }
    let (by_service, by_client) = (share(slow[0]), share(slow[1]));
    assert!(by_service > 0.15 && by_client < 0.15, "{by_service} with new connections, {by_client} by the client");
}

/// The probes of a paused pod fail, so it gets no new connections, and it comes back by itself.
fn kubernetes_notices_a_pause(lab: &Lab, before: &Slowness) {
    let report = lab.json(&["test", "--no-keepalive", "--warmup", "0", "--during", "pause-pod=5s@1s"]);
    let run = &report["runs"][0];
    let slow = &run["events"][0]["slow_pod"];
    let seconds = |field: &str| slow[field].as_f64().unwrap_or_else(|| panic!("{field} is unknown: {slow}"));
    let (from, to) = (seconds("not_ready_seconds"), seconds("ready_again_seconds"));
    assert!((0.5..5.0).contains(&from) && to >= 5.0, "not ready from {from} s to {to} s: {slow}");
    // Within milliseconds, each of the 30 connections waits for the paused pod.
    let p99 = slow["load"]["of_pod"]["p99_us"].as_u64().unwrap();
    assert!(p99 > 1_000_000, "requests to the pod waited for its end: {slow}");
    assert_eq!(run["spread"]["pods"].as_array().unwrap().len() as u64, PODS);
    assert_eq!(Slowness::now(), *before);
}

/// Without netem, and without a change of the server.
fn a_delayed_pod_answers_late(lab: &Lab, before: &Slowness) {
    let report =
        lab.json(&["test", "--balance", "client", "--warmup", "0", "--during", "delay-pod:50ms=2s@1s", "-d", "4s"]);
    let run = &report["runs"][0];
    let slow = &run["events"][0]["slow_pod"];
    let p50 = |of: &str| slow["load"][of]["p50_us"].as_u64().unwrap();
    assert!((50_000..100_000).contains(&p50("of_pod")) && p50("of_others") < 25_000, "{slow}");
    assert!(slow["load"]["share"].as_f64().unwrap() < 0.15, "{slow}");
    assert_eq!((&run["errors"], &run["requests"]["non_2xx"]), (&0.into(), &0.into()), "{run}");
    assert_eq!(Slowness::now(), *before);
    let rules = pod_rules();
    assert!(rules.len() as u64 >= PODS && rules.iter().all(|rules| !rules.contains("NFQUEUE")), "{rules:?}");
}

/// With an iptables that has no target NFQUEUE.
fn a_delay_that_is_impossible_is_refused_first(lab: &Lab) {
    let programs = tempfile::tempdir().unwrap();
    let iptables = programs.path().join("iptables");
    let script =
        "#!/bin/sh\n[ \"$1\" = -A ] || exec /usr/sbin/iptables \"$@\"\necho 'No target by that name.' >&2\nexit 1\n";
    fs::write(&iptables, script).unwrap();
    fs::set_permissions(&iptables, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    let output = lab.command(&["test", "--during", "delay-pod:50ms=2s"]).env("PATH", path).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["this machine cannot delay packets: ", "No target by that name.", "modprobe -a nfnetlink_queue"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    assert!(output.stdout.is_empty(), "no run was made: {}", text(&output.stdout));
}

/// The packet filter's rules in the network namespace of each container.
fn pod_rules() -> Vec<String> {
    let groups = Slowness::now().quotas.into_keys();
    let process =
        |group: PathBuf| Some(fs::read_to_string(group.join("cgroup.procs")).ok()?.lines().next()?.to_owned());
    let rules = |process: String| {
        let listed = Command::new("nsenter").args(["--target", &process, "--net", "--", "iptables", "-S"]).output();
        text(&listed.unwrap().stdout)
    };
    groups.filter_map(process).map(rules).collect()
}

fn an_interrupted_event_is_undone(lab: &Lab, before: &Slowness) {
    for begin in [throttled, paused, delayed] {
        let mut test = begin(lab);
        test.signal(Signal::SIGINT);
        assert_eq!(test.ends(), Some(130));
        assert_eq!(Slowness::now(), *before);
        assert!(pod_rules().iter().all(|rules| !rules.contains("NFQUEUE")));
    }
}

fn a_killed_test_is_undone_by_the_next_verb(lab: &Lab, before: &Slowness) {
    for begin in [throttled, paused] {
        let mut test = begin(lab);
        test.signal(Signal::SIGKILL);
        test.ends();
        assert_eq!(Slowness::now().records.len(), 1);
        lab.ok(&["scale", &PODS.to_string()]);
        assert_eq!(Slowness::now(), *before);
    }
}

/// A test that has one throttled pod now.
fn throttled(lab: &Lab) -> Begun {
    let before = Slowness::now().quotas;
    let test = begun(lab, &["test", "--during", "throttle-pod:10%=60s@0"]);
    eventually("a pod has a quota", || (Slowness::now().quotas != before).then_some(()));
    test
}

/// A test that has one paused pod now.
fn paused(lab: &Lab) -> Begun {
    let test = begun(lab, &["test", "--during", "pause-pod=60s@0"]);
    eventually("a pod is paused", || (Slowness::now().stopped > 0).then_some(()));
    test
}

/// A test that has one delayed pod now.
fn delayed(lab: &Lab) -> Begun {
    let test = begun(lab, &["test", "--during", "delay-pod:100ms=60s@0"]);
    eventually("a pod is delayed", || pod_rules().iter().any(|rules| rules.contains("NFQUEUE")).then_some(()));
    test
}

/// What the kernel says about the containers of the lab.
#[derive(Debug, Default, PartialEq)]
struct Slowness {
    /// The quota of each container's group in microseconds; -1: none.
    quotas: BTreeMap<PathBuf, i64>,
    /// How many of their processes are stopped.
    stopped: usize,
    /// The groups that record what must be undone.
    records: Vec<PathBuf>,
}

impl Slowness {
    fn now() -> Self {
        let mut slowness = Self::default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let cgroups = mounts.lines().filter(|line| line.contains(" - cgroup"));
        for root in cgroups.filter_map(|line| line.split(' ').nth(4)) {
            slowness.add(&Path::new(root).join(format!("evenkeel-{NAME}")));
        }
        slowness
    }

    fn add(&mut self, group: &Path) {
        let name = group.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("throttled.") || name.starts_with("paused.") {
            self.records.push(group.to_owned());
        }
        // Groups of containers are named by 64 hexadecimal digits.
        if name.len() == 64 {
            let read = |file: &str| fs::read_to_string(group.join(file)).ok();
            let max = read("cpu.max").map(|text| text.replace("max ", "-1 "));
            let quota = max.or_else(|| read("cpu.cfs_quota_us"));
            let quota = quota.and_then(|text| text.split_whitespace().next()?.parse().ok());
            self.quotas.extend(quota.map(|quota| (group.to_owned(), quota)));
            let processes = read("cgroup.procs").unwrap_or_default();
            self.stopped += processes.lines().filter(|process| is_stopped(process)).count();
        }
        for entry in fs::read_dir(group).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.add(&entry.path());
            }
        }
    }
}

fn is_stopped(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
}
