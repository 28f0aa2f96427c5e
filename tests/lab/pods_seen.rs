//! Counting connections when responses do not name the pod, and client-side balancing while pods are added and removed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::lab::Lab;

#[test]
fn pods_are_known_by_the_node_if_responses_name_none() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "5"]);
    let pods = lab.kube().get("/api/v1/namespaces/evenkeel/pods");
    let names =
        pods["items"].as_array().unwrap().iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned());
    let names: BTreeSet<String> = names.collect();
    // Each run must not count the connections of the one before, which stay in the table for a while.
    for load in [&["-c", "30"][..], &["-c", "30", "--workers", "2"], &["-c", "30", "--http2"]] {
        requests_are_counted_by_connection(&lab, load, &names);
    }
    // A new connection for each request is counted by the node alone.
    let said = lab.json(&["test", "--path", "/healthz", "--no-keepalive", "--requests", "300", "--warmup", "0"]);
    let spread = &said["runs"][0]["spread"];
    let counted = ["connections", "uncounted"].map(|what| spread[what].as_u64().unwrap());
    assert_eq!((&spread["counted_by"], counted.iter().sum()), (&"conntrack".into(), 300_u64), "{spread:#}");
    assert!(counted[0] > 0, "{spread:#}");
    let said = lab.ok(&["test", "--path", "/healthz", "-d", "1s", "--warmup", "0"]);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("as the node's connection tracking says"), "the report says how they are known: {said}");
    the_client_follows_the_pods(&lab);
}

/// The pods of the connections are those of the lab, and they served all requests that were answered, also over time.
fn requests_are_counted_by_connection(lab: &Lab, load: &[&str], names: &BTreeSet<String>) {
    let said = lab.json(&[&["test", "--path", "/healthz", "-d", "1s", "--warmup", "0"], load].concat());
    let run = &said["runs"][0];
    let spread = &run["spread"];
    assert_eq!((&spread["counted_by"], &spread["uncounted"]), (&"connections".into(), &0.into()), "{spread:#}");
    assert_eq!((&spread["connections"], &spread["unnamed"]), (&30.into(), &0.into()), "{spread:#}");
    let pods = spread["pods"].as_array().unwrap();
    let sum = |what: &str| pods.iter().map(|pod| pod[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("connections"), sum("requests")), (30, run["requests"]["answered"].as_u64().unwrap()), "{run:#}");
    assert!(pods.iter().all(|pod| names.contains(pod["name"].as_str().unwrap())), "{names:?} {spread:#}");
    let over_time = run["over_time"]["pods"].as_array().unwrap().iter();
    let over_time: u64 = over_time.flat_map(|pod| pod["requests"].as_array().unwrap()).filter_map(Value::as_u64).sum();
    assert_eq!(over_time, sum("requests"), "{run:#}");
}

fn the_client_follows_the_pods(lab: &Lab) {
    let during = ["--balance", "client", "--during", "scale:5..8..3", "--assert", "failed==0"];
    let said = lab.json(&[&["test"], &during[..]].concat());
    let run = &said["runs"][0];
    let pods: &Vec<Value> = run["spread"]["pods"].as_array().unwrap();
    assert_eq!(pods.len(), 8, "added pods got requests, too: {run:#}");
    assert!(pods.iter().all(|pod| pod["requests"].as_u64() > Some(0)), "{run:#}");
}
