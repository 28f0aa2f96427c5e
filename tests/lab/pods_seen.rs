//! Counting connections when responses do not name the pod, and client-side balancing while pods are added and removed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::lab::Lab;

#[test]
fn connections_are_counted_by_the_node_if_responses_name_no_pod() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "5"]);
    let pods = lab.kube().get("/api/v1/namespaces/evenkeel/pods");
    let names =
        pods["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
    let names: BTreeSet<String> = names.collect();
    // The second run must not count the connections of the first one, which stay in the table for a while.
    for _ in 0..2 {
        let said = lab.json(&["test", "--path", "/healthz", "-d", "1s", "--warmup", "0"]);
        let spread = &said["runs"][0]["spread"];
        assert_eq!((&spread["counted_by"], &spread["uncounted"]), (&"conntrack".into(), &0.into()), "{spread:#}");
        assert_eq!(spread["connections"], 30, "{spread:#}");
        let counted = spread["pods"].as_array().unwrap();
        assert_eq!(counted.iter().map(|pod| pod["connections"].as_u64().unwrap()).sum::<u64>(), 30, "{spread:#}");
        assert!(counted.iter().all(|pod| names.contains(pod["name"].as_str().unwrap())), "{names:?} {spread:#}");
    }
    let said = lab.ok(&["test", "--path", "/healthz", "-d", "1s", "--warmup", "0"]);
    assert!(said.contains("connection tracking"), "the report says how connections were counted: {said}");
    the_client_follows_the_pods(&lab);
}

fn the_client_follows_the_pods(lab: &Lab) {
    let during = ["--balance", "client", "--during", "scale:5..8..3", "--assert", "failed==0"];
    let said = lab.json(&[&["test"], &during[..]].concat());
    let run = &said["runs"][0];
    let pods: &Vec<Value> = run["spread"]["pods"].as_array().unwrap();
    assert_eq!(pods.len(), 8, "added pods got requests, too: {run:#}");
    assert!(pods.iter().all(|pod| pod["requests"].as_u64() > Some(0)), "{run:#}");
}
