//! A complete session: up, deploy, requests, scale, logs, status, a killed component, down.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::host::Host;
use crate::lab::{Lab, NAME, eventually, get};

#[test]
fn from_nothing_to_a_scaled_service_and_back() {
    let Some((lab, before)) = Lab::and_host() else { return };

    lab.up();
    let again = lab.run(&["up"]);
    assert!(again.status.success());
    let said = format!("{}{}", crate::lab::text(&again.stdout), crate::lab::text(&again.stderr));
    assert!(said.contains("already up"), "a second `up` says that the lab is up: {said}");
    assert_private(&lab);

    let deployed = lab.ok(&["deploy", "--replicas", "2"]);
    let address = external_ip(&lab);
    assert!(deployed.contains(&address.to_string()), "deploy prints the EXTERNAL-IP: {deployed}");
    assert!(deployed.contains("LoadBalancer") && deployed.contains("Running"), "{deployed}");
    both_pods_answer(&lab, address);

    lab.ok(&["scale", "10"]);
    assert_eq!(answering(address, 200).len(), 10, "every pod is programmed when scale returns");
    lab.ok(&["scale", "3"]);
    let three = names(&lab);
    assert_eq!(three.len(), 3);
    assert!(answering(address, 60).is_subset(&three), "a pod that was scaled away still answers");

    logs(&lab);
    Host::look().assert_undisturbed(&before);
    a_killed_component_comes_back(&lab, address);
    a_short_test_counts_every_pod(&lab);

    lab.down();
    lab.down();
    Host::look().assert_same(&before);
    assert!(!lab.state().exists(), "the state directory is still there");
    let status = lab.run(&["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(crate::lab::text(&status.stderr).contains("no lab is up"));
}

#[test]
fn down_needs_no_state() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    let before_down = crate::host::lab_processes();
    assert!(!before_down.is_empty());
    // Components write into the directory while it is being removed.
    eventually("the state directory is gone", || std::fs::remove_dir_all(lab.state()).ok());
    lab.down();
    assert_eq!(crate::host::lab_processes(), []);
    assert!(!crate::host::links().contains(&format!("ek-{NAME}")));
}

/// Asserts that only the owner can read the kubeconfig and the administrator's key.
fn assert_private(lab: &Lab) {
    use std::os::unix::fs::PermissionsExt;
    for secret in ["kubeconfig", "pki/admin.key"] {
        let mode = lab.state().join(secret).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
}

pub(crate) fn external_ip(lab: &Lab) -> Ipv4Addr {
    let service = lab.kube().get("/api/v1/namespaces/evenkeel/services/server");
    let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap_or_default();
    address.parse().unwrap_or_else(|_| panic!("no external IP: {service:#}"))
}

/// 50 requests on 50 connections: the probability that one of two pods gets none is 2^-49.
fn both_pods_answer(lab: &Lab, address: Ipv4Addr) {
    assert_eq!(answering(address, 50), names(lab));
    let body = get(address, 80, "/").unwrap();
    assert!(body.starts_with("HTTP/1.1 200"), "{body}");
    assert!(body.contains(&format!("{NAME}-0")), "the answer names the node: {body}");
}

/// The pods that answer `count` requests, each on a new connection.
pub(crate) fn answering(address: Ipv4Addr, count: usize) -> BTreeSet<String> {
    (0..count).map(|_| pod_of(&get(address, 80, "/").unwrap())).collect()
}

fn pod_of(answer: &str) -> String {
    let header = answer.lines().find_map(|line| line.strip_prefix("x-evenkeel-pod: "));
    header.unwrap_or_else(|| panic!("no pod in {answer}")).trim().to_owned()
}

/// The names of the pods that are not being deleted.
pub(crate) fn names(lab: &Lab) -> BTreeSet<String> {
    let pods = lab.kube().get("/api/v1/namespaces/evenkeel/pods");
    let staying = pods["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    staying.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn logs(lab: &Lab) {
    let all = lab.ok(&["logs"]);
    for pod in names(lab) {
        let one = lab.ok(&["logs", "--pod", &pod]);
        assert!(all.contains(&pod), "logs name {pod}: {all}");
        assert!(!one.trim().is_empty() && one.lines().all(|line| line.contains(&pod)), "{one}");
    }
    assert!(!lab.ok(&["logs", "--component", "kubelet"]).is_empty());
}

fn a_killed_component_comes_back(lab: &Lab, address: Ipv4Addr) {
    let restarts = |lab: &Lab| lab.component("kube-proxy")["restarts"].as_u64().unwrap();
    let before = restarts(lab);
    let processes = crate::host::lab_processes_named("kube-proxy");
    assert_eq!(processes.len(), 1, "{processes:?}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(processes[0]), nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("kube-proxy runs again", || {
        let component = lab.component("kube-proxy");
        (component["state"] == "running" && component["restarts"] == before + 1).then_some(())
    });
    assert_eq!(lab.component("kube-proxy")["last_exit"], "signal 9");
    // The restarted kube-proxy programs new changes.
    lab.ok(&["scale", "5"]);
    assert_eq!(answering(address, 100).len(), 5);
}

fn a_short_test_counts_every_pod(lab: &Lab) {
    let said = lab.ok(&["test", "-d", "2s", "-c", "30", "--replicas", "2,3"]);
    for row in ["Latency", "Req/Sec", "Bytes/Sec", "97.5%", "requests in"] {
        assert!(said.contains(row), "autocannon's {row} is missing: {said}");
    }
    for pod in names(lab) {
        assert!(said.contains(&pod), "requests of {pod}: {said}");
    }
}
