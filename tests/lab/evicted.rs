//! A pod that was evicted and replaced, which stays in the list of pods: whatever judges, counts or picks pods ignores it.

use serde_json::{Value, json};

use crate::lab::Lab;
use crate::walk::names;

const PODS: &str = "/api/v1/namespaces/evenkeel/pods";

#[test]
fn a_pod_that_was_evicted_and_replaced_is_ignored() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "2"]);
    let evicted = names(&lab).into_iter().next().unwrap();
    let kube = lab.kube();
    let failed = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}});
    kube.patch(&format!("{PODS}/{evicted}/status"), &failed);

    lab.ok(&["scale", "3"]);
    assert_eq!(running(&kube.get(PODS)), 3, "beside the one that was evicted");
    lab.ok(&["deploy"]);
    let said = lab.json(&["test", "--during", "delete-pod,kill-pod,rollout"]);
    for event in said["runs"][0]["events"].as_array().unwrap() {
        assert_eq!(event["trouble"], Value::Null, "{event:#}");
    }
    let used = said["runs"][0]["pod_use"].as_array().unwrap();
    assert!(used.iter().all(|pod| pod["name"] != *evicted), "{used:#?}");
    lab.ok(&["logs"]);
    let phase = kube.get(&format!("{PODS}/{evicted}"))["status"]["phase"].clone();
    assert_eq!(phase, "Failed", "it was there all the while");
}

fn running(pods: &Value) -> usize {
    pods["items"].as_array().unwrap().iter().filter(|pod| pod["status"]["phase"] == "Running").count()
}
