//! A pod that failed and was replaced stays in the list of pods. Everything that evaluates, counts or selects pods ignores
//! it.

use serde_json::{Value, json};

use crate::lab::{Lab, eventually};
use crate::walk::names;

const PODS: &str = "/api/v1/namespaces/evenkeel/pods";

#[test]
fn a_pod_that_failed_and_was_replaced_is_ignored() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "2"]);
    let failed = names(&lab).into_iter().next().unwrap();
    let kube = lab.kube();
    // The kubelet would overwrite a phase that the test sets, so the kubelet itself must fail the pod.
    kube.patch(&format!("{PODS}/{failed}"), &json!({"spec": {"activeDeadlineSeconds": 1}}));
    eventually("the kubelet has failed the pod", || {
        (kube.get(&format!("{PODS}/{failed}"))["status"]["phase"] == "Failed").then_some(())
    });

    lab.ok(&["scale", "3"]);
    assert_eq!(running(&kube.get(PODS)), 3, "3 running pods beside the one that failed");
    lab.ok(&["deploy"]);
    let said = lab.json(&["test", "--during", "delete-pod,kill-pod"]);
    for event in said["runs"][0]["events"].as_array().unwrap() {
        assert_eq!(event["trouble"], Value::Null, "{event:#}");
    }
    let used = said["runs"][0]["pod_use"].as_array().unwrap();
    assert!(used.iter().all(|pod| pod["name"] != *failed), "{used:#?}");
    lab.ok(&["logs"]);
    let phase = kube.get(&format!("{PODS}/{failed}"))["status"]["phase"].clone();
    assert_eq!(phase, "Failed", "the failed pod was in the list all the time");
    lab.ok(&["test", "--during", "rollout"]);
}

fn running(pods: &Value) -> usize {
    pods["items"].as_array().unwrap().iter().filter(|pod| pod["status"]["phase"] == "Running").count()
}
