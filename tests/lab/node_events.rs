//! Events on nodes: what is done to the node is real, it is undone, and the report says when Kubernetes noticed.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::begun::{Begun, begun};
use crate::lab::{Lab, eventually, text};

#[test]
fn nodes_are_drained_killed_and_cut_off_and_back_afterwards() {
    let Some(lab) = Lab::new() else { return };
    lab.ok(&["up", "--install-tools", "--nodes", "3"]);
    lab.ok(&["deploy", "--replicas", "6"]);
    what_is_not_there_is_refused_first(&lab);
    a_drain_moves_the_pods_and_loses_nothing(&lab);
    faults_of_a_node_are_real_and_end(&lab);
    an_interrupted_fault_is_undone(&lab);
    a_killed_fault_is_undone_by_the_next_verb(&lab);
    a_dead_node_is_noticed_and_starts_again(&lab);
    a_node_is_added_and_removed(&lab);
    the_control_plane_is_paused_without_loss(&lab);
}

#[test]
fn the_only_node_is_drained_and_cordoned_and_back_afterwards() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);
    what_needs_several_nodes_is_refused_first(&lab);
    a_pod_that_would_be_lost_is_refused_first(&lab);
    the_last_node_is_drained_with_a_warning(&lab);
    an_interrupted_run_uncordons(&lab);
    a_killed_run_is_undone_by_the_next_verb(&lab);
    a_node_that_was_cordoned_before_stays_so(&lab);
    components_are_chosen_by_their_node(&lab);
}

/// The only event of a run with these arguments, in which nothing but the event may fail.
fn event_of(lab: &Lab, arguments: &[&str]) -> Value {
    let report = lab.json(&[&["test", "--warmup", "0", "-d", "5s"], arguments].concat());
    let event = report["runs"][0]["events"][0].clone();
    assert_eq!(event["trouble"], Value::Null, "{event}");
    event
}

fn a_drain_moves_the_pods_and_loses_nothing(lab: &Lab) {
    let event = event_of(lab, &["--no-keepalive", "--during", "drain:1=1s@1s"]);
    assert_eq!(event["what"], "drain ci-1, and uncordon it after 1 s");
    let node = &event["node"];
    assert_eq!((&node["node"], &event["impact"]["failures"]), (&json!("ci-1"), &json!(0)), "{event}");
    let pods = node["pods"].as_array().unwrap().len();
    assert!(pods > 0 && node["evicted_pods"].as_u64().unwrap() >= pods as u64, "{event}");
    // The Service has the policy Local, so a node without a pod gets no connections.
    let seconds = |gap: &str| node[gap]["from_seconds"].as_f64().unwrap_or_else(|| panic!("{gap}: {event}"));
    assert!(seconds("no_endpoints") <= seconds("no_route") + 0.25, "{event}");
    assert_eq!(node["not_ready"]["from_seconds"], Value::Null, "{event}");
    assert!(!is_cordoned(lab, "ci-1"));
    // The pods come back to a node only when new ones are created.
    lab.ok(&["test", "--warmup", "0", "-d", "2s", "--during", "rollout@0"]);
    assert!(pods_on(lab, "ci-1") > 0);
}

fn faults_of_a_node_are_real_and_end(lab: &Lab) {
    for (event, fault) in [
        ("lose:2:10%=3s@500ms", (&has_loss) as &dyn Fn(&Lab) -> bool),
        ("partition:2=3s@500ms", &is_cut_off),
        ("pause-node:2=3s@500ms", &is_stopped),
        ("delay:2:20ms=3s@500ms", &is_delayed),
    ] {
        assert!(!fault(lab), "{event}");
        let mut test =
            begun(lab, &["test", "--warmup", "0", "-d", "5s", "--no-keepalive", "--timeout", "1s", "--during", event]);
        eventually(event, || fault(lab).then_some(()));
        assert_eq!(test.ends(), Some(0), "{event}");
        assert!(!fault(lab), "{event}");
    }
}

fn an_interrupted_fault_is_undone(lab: &Lab) {
    for (event, fault) in
        [("partition:1=60s@0", (&is_cut_off_1) as &dyn Fn(&Lab) -> bool), ("pause-node:2=60s@0", &is_stopped)]
    {
        let mut test = begun(lab, &["test", "--warmup", "0", "--during", event]);
        eventually(event, || fault(lab).then_some(()));
        test.signal(Signal::SIGINT);
        assert_eq!(test.ends(), Some(130), "{event}");
        assert!(!fault(lab), "{event}");
    }
}

fn a_killed_fault_is_undone_by_the_next_verb(lab: &Lab) {
    let mut test = begun(lab, &["test", "--warmup", "0", "--during", "pause-node:2=60s@0,lose:2:5%=60s@0"]);
    eventually("the faults", || (is_stopped(lab) && has_loss(lab)).then_some(()));
    test.signal(Signal::SIGKILL);
    test.ends();
    assert!(is_stopped(lab) && has_loss(lab));
    let output = lab.run(&["scale", "6"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("ci-2 had been left faulty"), "{said}");
    assert!(!is_stopped(lab) && !has_loss(lab));
}

fn a_dead_node_is_noticed_and_starts_again(lab: &Lab) {
    // Each connection to the node has a request on its way.
    let event = event_of(lab, &["-c", "60", "--during", "kill-node:2=20s@1s", "--assert", "failed>0"]);
    let (node, failed) = (&event["node"], &event["impact"]["failures"]);
    assert!(failed.as_u64() <= Some(120) && node["failures"] == *failed, "only its own connections fail: {event}");
    for gap in ["not_ready", "no_endpoints", "no_route"] {
        let seconds = |end: &str| node[gap][end].as_f64().unwrap_or_else(|| panic!("{gap} {end}: {event}"));
        assert!(seconds("from_seconds") < 20.0 && seconds("to_seconds") > 20.0, "{gap}: {event}");
    }
    assert!(pods_on(lab, "ci-2") > 0);
    assert_eq!(lab.json(&["status"])["components"].as_array().unwrap().len(), 4, "three nodes and the router");
}

fn a_node_is_added_and_removed(lab: &Lab) {
    let events = "add-node@1s,rollout,remove-node:3";
    let report = lab.json(&["test", "--warmup", "0", "--no-keepalive", "--during", events, "--assert", "failed==0"]);
    let events = report["runs"][0]["events"].as_array().unwrap();
    assert!(events.iter().all(|event| event["trouble"].is_null()), "{events:?}");
    assert_eq!((&events[2]["what"], &events[2]["node"]["node"]), (&json!("remove 3"), &json!("ci-3")));
    let gone = &events[2]["node"];
    assert!(!gone["pods"].as_array().unwrap().is_empty() && gone["no_route"]["from_seconds"].is_f64(), "{gone}");
    assert!(!lab.kube().exists("/api/v1/nodes/ci-3"));
}

/// For longer than nodes may be silent: no node may count as dead when the control plane runs again.
fn the_control_plane_is_paused_without_loss(lab: &Lab) {
    for event in ["pause-control-plane=12s@1s", "pause:kube-apiserver=12s@1s"] {
        let event = event_of(lab, &["--no-keepalive", "--during", event]);
        assert_eq!(event["impact"]["failures"], 0, "{event}");
        assert_eq!(event["node"]["not_ready"]["from_seconds"], Value::Null, "{event}");
    }
    let event = event_of(lab, &["--during", "kill-control-plane@1s"]);
    assert_eq!(event["impact"]["failures"], 0, "{event}");
}

fn sandbox(lab: &Lab, name: &str) -> String {
    let plan = lab.state().join(name).join("plan.json");
    let found = Command::new("pgrep").args(["--full", &format!("sandbox init {}", plan.display())]).output().unwrap();
    text(&found.stdout).lines().next().unwrap_or_else(|| panic!("no sandbox {name}")).to_owned()
}

/// What a program prints in the network namespace of a sandbox.
fn inside(lab: &Lab, name: &str, program: &[&str]) -> String {
    let pid = sandbox(lab, name);
    let output = Command::new("nsenter").args(["--target", &pid, "--net", "--"]).args(program).output().unwrap();
    text(&output.stdout)
}

fn has_loss(lab: &Lab) -> bool {
    inside(lab, "ci-2", &["nft", "list", "tables"]).contains("evenkeel_loss")
}

fn is_cut_off(lab: &Lab) -> bool {
    !inside(lab, "ci-router", &["ip", "link", "show", "node2"]).contains(",UP")
}

fn is_cut_off_1(lab: &Lab) -> bool {
    !inside(lab, "ci-router", &["ip", "link", "show", "node1"]).contains(",UP")
}

fn is_delayed(lab: &Lab) -> bool {
    inside(lab, "ci-2", &["iptables", "-t", "mangle", "-S", "POSTROUTING"]).contains("NFQUEUE")
}

fn is_stopped(lab: &Lab) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", sandbox(lab, "ci-2"))).unwrap();
    status.lines().any(|line| line.starts_with("State:\tT"))
}

fn pods_on(lab: &Lab, node: &str) -> usize {
    let pods = lab.kube().get("/api/v1/namespaces/evenkeel/pods");
    let pods = pods["items"].as_array().unwrap();
    pods.iter().filter(|pod| pod["spec"]["nodeName"] == node && pod["metadata"]["deletionTimestamp"].is_null()).count()
}

fn what_needs_several_nodes_is_refused_first(lab: &Lab) {
    for (event, words) in [
        ("partition:0=1s", ["needs a lab of several nodes", "--nodes 3"]),
        ("kill-node:0", ["has the control plane", "pause-control-plane"]),
        ("restart-node:ci-0", ["has the control plane", "kill-control-plane"]),
    ] {
        refuses(lab, event, words);
    }
}

fn refuses(lab: &Lab, event: &str, words: [&str; 2]) {
    let output = lab.run(&["test", "--during", event]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{event}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{event}: {said}");
    assert!(output.stdout.is_empty(), "no run was made: {}", text(&output.stdout));
}

fn what_is_not_there_is_refused_first(lab: &Lab) {
    for (event, words) in [
        ("drain:7", ["no node \"7\"", "the nodes are: ci-0, ci-1, ci-2"]),
        ("cordon:ci-00", ["no node \"ci-00\"", "ci-0"]),
        ("kill:kubelet@elsewhere", ["no node \"elsewhere\"", "ci-0"]),
        ("kill:kubelett@0@1s", ["kubelett", "kube-proxy"]),
        ("kill:etcd@ci-1", ["the node ci-1 has no component etcd", "kube-proxy"]),
    ] {
        refuses(lab, event, words);
    }
}

fn a_pod_that_would_be_lost_is_refused_first(lab: &Lab) {
    let kube = lab.kube();
    let pods = "/api/v1/namespaces/default/pods";
    let container = json!({"name": "x", "image": "evenkeel.invalid/none:1", "imagePullPolicy": "Never"});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}});
    kube.create(pods, &pod);
    eventually("the pod is on the node", || {
        (kube.get(&format!("{pods}/alone"))["spec"]["nodeName"] == "ci-0").then_some(())
    });
    let output = lab.run(&["test", "--during", "drain:0"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("default/alone") && said.contains("no controller"), "{said}");
    assert!(!is_cordoned(lab, "ci-0"));
    kube.delete(&format!("{pods}/alone"));
    eventually("the pod is gone", || (!kube.exists(&format!("{pods}/alone"))).then_some(()));
}

/// The budget allows one pod of two. Nowhere can it become ready again, so the other eviction is refused.
fn the_last_node_is_drained_with_a_warning(lab: &Lab) {
    let output = lab.run(&["--json", "test", "--warmup", "0", "--during", "drain:0=1s@500ms", "-d", "20s"]);
    let said = text(&output.stderr);
    assert!(said.contains("no other node than ci-0 can run pods"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the eviction of 1 pod of ci-0"), "{said}");
    assert!(!is_cordoned(lab, "ci-0"), "it is uncordoned after the time");
    lab.ok(&["scale", "2"]);
}

fn an_interrupted_run_uncordons(lab: &Lab) {
    for event in ["cordon:0@0", "cordon:0=60s@0"] {
        let mut test = cordoning(lab, event);
        test.signal(Signal::SIGINT);
        assert_eq!(test.ends(), Some(130));
        assert!(!is_cordoned(lab, "ci-0"), "{event}");
    }
}

fn a_killed_run_is_undone_by_the_next_verb(lab: &Lab) {
    let mut test = cordoning(lab, "cordon:0=60s@0");
    test.signal(Signal::SIGKILL);
    test.ends();
    assert!(is_cordoned(lab, "ci-0"));
    let output = lab.run(&["scale", "2"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("ci-0 had been left cordoned"), "{said}");
    assert!(!is_cordoned(lab, "ci-0"));
}

fn a_node_that_was_cordoned_before_stays_so(lab: &Lab) {
    lab.kubectl(&["cordon", "ci-0"]);
    lab.ok(&["test", "--warmup", "0", "--during", "cordon:0=500ms@0", "-d", "1s"]);
    assert!(is_cordoned(lab, "ci-0"));
    lab.ok(&["test", "--warmup", "0", "--during", "uncordon:ci-0@0", "-d", "500ms"]);
    assert!(!is_cordoned(lab, "ci-0"));
    // As with kubectl, it stays cordoned after the run.
    lab.ok(&["test", "--warmup", "0", "--during", "cordon:0@0", "-d", "500ms"]);
    lab.ok(&["scale", "2"]);
    assert!(is_cordoned(lab, "ci-0"));
    lab.kubectl(&["uncordon", "ci-0"]);
}

fn components_are_chosen_by_their_node(lab: &Lab) {
    let before = lab.component("kube-proxy")["restarts"].as_u64().unwrap();
    let report = lab.json(&["test", "--warmup", "0", "--during", "kill:kube-proxy@0@500ms", "-d", "3s"]);
    let event = &report["runs"][0]["events"][0];
    assert_eq!(event["what"], "kill kube-proxy on ci-0");
    assert_eq!(event["node"]["node"], "ci-0");
    assert_eq!(event["node"]["not_ready"]["from_seconds"], Value::Null);
    assert_eq!(lab.component("kube-proxy")["restarts"].as_u64().unwrap(), before + 1);
}

/// A test during which the node is cordoned now.
fn cordoning(lab: &Lab, event: &str) -> Begun {
    assert!(!is_cordoned(lab, "ci-0"));
    let test = begun(lab, &["test", "--warmup", "0", "-d", "60s", "--during", event]);
    eventually("the node is cordoned", || is_cordoned(lab, "ci-0").then_some(()));
    test
}

fn is_cordoned(lab: &Lab, node: &str) -> bool {
    lab.kube().get(&format!("/api/v1/nodes/{node}"))["spec"]["unschedulable"] == true
}
