//! Both values of `externalTrafficPolicy` are compared on a Service, and its own value is put back.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::begun::begun;
use crate::lab::{Lab, text};

const SERVICES: &str = "/api/v1/namespaces/evenkeel/services";

#[test]
fn traffic_policies_are_compared_and_put_back() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "3"]);
    create(&lab, "balanced", "LoadBalancer", Some("Cluster"));
    create(&lab, "node", "NodePort", Some("Local"));
    create(&lab, "inner", "ClusterIP", None);
    both_are_compared(&lab);
    the_table_tells_who_was_seen(&lab);
    other_ways_have_the_original_policy(&lab);
    each_service_gets_its_own_back(&lab);
    an_interrupted_test_puts_it_back(&lab);
    a_deploy_puts_back_what_a_killed_test_left(&lab);
    what_has_no_policy_is_refused(&lab);
}

#[test]
fn traffic_policies_are_compared_in_iptables_mode() {
    let Some(lab) = Lab::new() else { return };
    lab.ok(&["up", "--install-tools", "--proxy-mode", "iptables"]);
    lab.ok(&["deploy", "--replicas", "2"]);
    both_are_compared(&lab);
}

fn create(lab: &Lab, name: &str, kind: &str, policy: Option<&str>) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "type": kind, "externalTrafficPolicy": policy, "selector": {"app.kubernetes.io/name": "server"},
            "ports": [{"name": "http", "port": 80, "targetPort": 3000}],
        },
    });
    lab.kube().create(SERVICES, &service);
}

/// The fields of a Service that setting its policy changes.
fn policy(lab: &Lab, service: &str) -> (Value, Value) {
    let spec = lab.kube().get(&format!("{SERVICES}/{service}"))["spec"].clone();
    (spec["externalTrafficPolicy"].clone(), spec["healthCheckNodePort"].clone())
}

/// Short runs in which no request may fail.
fn compared(lab: &Lab, ways: &str, services: &[&str]) -> Vec<Value> {
    let load = ["test", "--compare", ways, "-d", "500ms", "--warmup", "0", "--repeat", "1", "--assert", "failed==0"];
    let services: Vec<&str> = services.iter().flat_map(|service| ["--service", service]).collect();
    lab.json(&[&load[..], &services].concat())["runs"].as_array().unwrap().clone()
}

/// The policy that was set, the one that acted, and the address that the pods saw.
fn seen(run: &Value) -> (&str, &str, &str) {
    let [set, acted, seen] = [&run["traffic_policy"], &run["spread"]["policies"][0], &run["client_address"]];
    (set.as_str().unwrap_or_default(), acted.as_str().unwrap_or_default(), seen.as_str().unwrap_or_default())
}

const LOCAL: (&str, &str, &str) = ("local", "externalTrafficPolicy: Local", "kept");
const CLUSTER: (&str, &str, &str) = ("cluster", "externalTrafficPolicy: Cluster", "replaced");

/// Evenkeel's own Service has the policy Local, and therefore a port for health checks.
fn both_are_compared(lab: &Lab) {
    let before = policy(lab, "server");
    assert!(before.0 == "Local" && before.1.as_u64() > Some(0), "{before:?}");
    let runs = compared(lab, "local,cluster", &[]);
    assert_eq!(runs.iter().map(seen).collect::<Vec<_>>(), [LOCAL, CLUSTER]);
    assert!(runs.iter().all(|run| run["requests"]["answered"].as_u64() > Some(0)));
    assert_eq!(policy(lab, "server"), before);
}

fn the_table_tells_who_was_seen(lab: &Lab) {
    let said = lab.ok(&["test", "--compare", "local,cluster", "-d", "300ms", "--warmup", "0", "--repeat", "2"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "the client's address was kept with local; replaced by the node's with cluster.",
        "µs of the pods' processor time with local, ",
    ] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
}

fn other_ways_have_the_original_policy(lab: &Lab) {
    let runs = compared(lab, "cluster,keepalive,no-keepalive-cluster,client", &[]);
    let own = ("", "externalTrafficPolicy: Local", "kept");
    // A client that chooses the pods has no policy.
    assert_eq!(runs.iter().map(seen).collect::<Vec<_>>(), [CLUSTER, own, CLUSTER, ("", "", "")]);
}

fn each_service_gets_its_own_back(lab: &Lab) {
    let services = ["evenkeel/balanced", "evenkeel/node"];
    let before = ["balanced", "node"].map(|service| policy(lab, service));
    let runs = compared(lab, "cluster,local", &services);
    assert_eq!(runs.iter().map(seen).collect::<Vec<_>>(), [CLUSTER, LOCAL, CLUSTER, LOCAL]);
    assert_eq!(["balanced", "node"].map(|service| policy(lab, service)), before);
}

fn an_interrupted_test_puts_it_back(lab: &Lab) {
    let before = policy(lab, "server");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut test = begun(lab, &["test", "--compare", "cluster,local", "-d", "1m"]);
        test.until(|event| event["event"] == "started" && event["step"].as_str().unwrap().starts_with("test cluster"));
        assert_eq!(policy(lab, "server").0, "Cluster");
        test.signal(signal);
        assert_eq!(test.ends(), Some(130), "{signal}");
        assert_eq!(policy(lab, "server"), before, "{signal}");
        // The rules of the node follow it, too.
        assert_eq!(seen(&compared(lab, "keepalive,cluster", &[])[0]).2, "kept", "{signal}");
    }
}

fn a_deploy_puts_back_what_a_killed_test_left(lab: &Lab) {
    let mut test = begun(lab, &["test", "--compare", "cluster,local", "-d", "1m"]);
    test.until(|event| event["event"] == "started" && event["step"].as_str().unwrap().starts_with("test cluster"));
    test.signal(Signal::SIGKILL);
    test.ends();
    assert_eq!(policy(lab, "server").0, "Cluster");
    lab.ok(&["deploy"]);
    assert_eq!(policy(lab, "server").0, "Local");
}

fn what_has_no_policy_is_refused(lab: &Lab) {
    let before = policy(lab, "server");
    for (services, words) in [
        (["inner", "server"], "evenkeel/inner cannot be used: it is of type ClusterIP"),
        (["server", "inner"], "externalTrafficPolicy only acts on Services of type LoadBalancer and NodePort"),
    ] {
        let [first, second] = services;
        let output = lab.run(&["test", "--compare", "local,cluster", "--service", first, "--service", second]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(policy(lab, "server"), before);
}
