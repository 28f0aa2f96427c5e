//! Events on nodes: what is done to the node is real, it is undone, and the report says when Kubernetes noticed.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::begun::{Begun, begun};
use crate::lab::{Lab, eventually, text};

#[test]
fn nodes_are_drained_and_cordoned_and_back_afterwards() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);

    what_is_not_there_is_refused_first(&lab);
    a_pod_that_would_be_lost_is_refused_first(&lab);
    the_last_node_is_drained_with_a_warning(&lab);
    an_interrupted_run_uncordons(&lab);
    a_killed_run_is_undone_by_the_next_verb(&lab);
    a_node_that_was_cordoned_before_stays_so(&lab);
    components_are_chosen_by_their_node(&lab);
}

fn what_is_not_there_is_refused_first(lab: &Lab) {
    for (event, words) in [
        ("drain:7", ["no node \"7\"", "the nodes are: ci-0"]),
        ("cordon:ci-00", ["no node \"ci-00\"", "ci-0"]),
        ("kill:kubelet@elsewhere", ["no node \"elsewhere\"", "ci-0"]),
        ("kill:kubelett@0@1s", ["kubelett", "kube-proxy"]),
    ] {
        let output = lab.run(&["test", "--during", event]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{event}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{event}: {said}");
        assert!(output.stdout.is_empty(), "no run was made: {}", text(&output.stdout));
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
    assert!(!is_cordoned(lab));
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
    assert!(!is_cordoned(lab), "it is uncordoned after the time");
    lab.ok(&["scale", "2"]);
}

fn an_interrupted_run_uncordons(lab: &Lab) {
    for event in ["cordon:0@0", "cordon:0=60s@0"] {
        let mut test = cordoning(lab, event);
        test.signal(Signal::SIGINT);
        assert_eq!(test.ends(), Some(130));
        assert!(!is_cordoned(lab), "{event}");
    }
}

fn a_killed_run_is_undone_by_the_next_verb(lab: &Lab) {
    let mut test = cordoning(lab, "cordon:0=60s@0");
    test.signal(Signal::SIGKILL);
    test.ends();
    assert!(is_cordoned(lab));
    let output = lab.run(&["scale", "2"]);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("ci-0 had been left cordoned"), "{said}");
    assert!(!is_cordoned(lab));
}

fn a_node_that_was_cordoned_before_stays_so(lab: &Lab) {
    lab.kubectl(&["cordon", "ci-0"]);
    lab.ok(&["test", "--warmup", "0", "--during", "cordon:0=500ms@0", "-d", "1s"]);
    assert!(is_cordoned(lab));
    lab.ok(&["test", "--warmup", "0", "--during", "uncordon:ci-0@0", "-d", "500ms"]);
    assert!(!is_cordoned(lab));
    // As with kubectl, it stays cordoned after the run.
    lab.ok(&["test", "--warmup", "0", "--during", "cordon:0@0", "-d", "500ms"]);
    lab.ok(&["scale", "2"]);
    assert!(is_cordoned(lab));
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
    assert!(!is_cordoned(lab));
    let test = begun(lab, &["test", "--warmup", "0", "-d", "60s", "--during", event]);
    eventually("the node is cordoned", || is_cordoned(lab).then_some(()));
    test
}

fn is_cordoned(lab: &Lab) -> bool {
    lab.kube().get("/api/v1/nodes/ci-0")["spec"]["unschedulable"] == true
}
