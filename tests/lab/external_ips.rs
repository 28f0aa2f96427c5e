//! External IPs: every Service of type LoadBalancer gets its own address from the pool.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::lab::{Kube, Lab, eventually, get, text};

const SERVICES: &str = "/api/v1/namespaces/evenkeel/services";

#[test]
fn services_get_addresses_of_their_own() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "2"]);
    let kube = lab.kube();

    let first = address_of(&kube, "server");
    kube.create(SERVICES, &service("second", "Local"));
    let second = address_of(&kube, "second");
    assert_ne!(first, second);
    for address in [first, second] {
        let answer = eventually("both answer on port 80", || get(address, 80, "/").ok());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    a_restarted_controller_keeps_them(&lab, &kube, first, second);
    local_services_show_the_client(&kube, second);
    a_freed_address_is_given_again(&kube, second);
    a_full_pool_is_an_event(&kube);
}

fn service(name: &str, policy: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name },
        "spec": {
            "type": "LoadBalancer", "externalTrafficPolicy": policy, "allocateLoadBalancerNodePorts": false,
            "selector": { "app.kubernetes.io/name": "server" },
            "ports": [{ "name": "http", "port": 80, "targetPort": 3000, "protocol": "TCP" }],
        },
    })
}

fn address(kube: &Kube, name: &str) -> Option<Ipv4Addr> {
    let service = kube.get(&format!("{SERVICES}/{name}"));
    service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.parse().ok()
}

fn address_of(kube: &Kube, name: &str) -> Ipv4Addr {
    let address = eventually(&format!("{name} has an external IP"), || address(kube, name));
    assert_eq!(address.octets()[..3], [198, 18, 1], "{address} is outside the pool");
    address
}

fn a_restarted_controller_keeps_them(lab: &Lab, kube: &Kube, first: Ipv4Addr, second: Ipv4Addr) {
    let pid = lab.component("external-ip")["pid"].as_i64().unwrap();
    let host_pid = host_pid_of(pid);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(host_pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("the controller runs again", || (lab.component("external-ip")["state"] == "running").then_some(()));
    kube.create(SERVICES, &service("third", "Cluster"));
    let third = address_of(kube, "third");
    assert!(third != first && third != second, "{third} was given twice");
    assert_eq!((address(kube, "server"), address(kube, "second")), (Some(first), Some(second)));
    kube.delete(&format!("{SERVICES}/third"));
}

/// The host's process id of the lab's process that has this id in the sandbox.
fn host_pid_of(inside: i64) -> i32 {
    let is = |pid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default().to_owned();
        let ids: Vec<i64> = ids.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        ids.len() == 2 && ids[1] == inside
    };
    crate::host::lab_processes().into_iter().map(|(pid, _)| pid).find(|&pid| is(pid)).unwrap()
}

/// With `externalTrafficPolicy: Local` nothing rewrites the client's address on its way to the pod.
fn local_services_show_the_client(kube: &Kube, address: Ipv4Addr) {
    let _held: Vec<_> = (0..8).map(|_| std::net::TcpStream::connect((address, 80)).unwrap()).collect();
    let first = first_pid();
    let pods = kube.get("/api/v1/namespaces/evenkeel/pods");
    let pod_ips: Vec<&str> =
        pods["items"].as_array().unwrap().iter().filter_map(|p| p["status"]["podIP"].as_str()).collect();
    let output = std::process::Command::new("nsenter")
        .args([&format!("--target={first}"), "--net", "--", "conntrack", "--dump", "--proto", "tcp", "--dport", "80"])
        .arg(format!("--orig-dst={address}"))
        .output()
        .unwrap();
    let flows = text(&output.stdout);
    let held: Vec<&str> = flows.lines().filter(|line| line.contains("ESTABLISHED")).collect();
    assert!(held.len() >= 8, "{flows}\n{}", text(&output.stderr));
    for flow in held {
        assert!(flow.contains("src=198.18.0.1 "), "the client's own address: {flow}");
        // The reply goes from a pod directly to the client. A masqueraded reply would go to the node.
        assert!(pod_ips.iter().any(|ip| flow.contains(&format!("src={ip} dst=198.18.0.1 "))), "{flow}");
    }
}

fn first_pid() -> i32 {
    let mut pids = crate::host::lab_processes_named("evenkeel");
    pids.sort_unstable();
    pids[0]
}

fn a_freed_address_is_given_again(kube: &Kube, freed: Ipv4Addr) {
    kube.delete(&format!("{SERVICES}/second"));
    let again = eventually("a freed address is given again", || {
        kube.create(SERVICES, &service("again", "Cluster"));
        let got = address_of(kube, "again");
        kube.delete(&format!("{SERVICES}/again"));
        (got == freed).then_some(got)
    });
    assert_eq!(again, freed);
}

/// The pool has 254 addresses. A Service that gets none has an event, and gets an address as soon as one is free.
fn a_full_pool_is_an_event(kube: &Kube) {
    for index in 0..253 {
        kube.create(SERVICES, &service(&format!("fill-{index}"), "Cluster"));
    }
    eventually("the pool is used up", || {
        let services = kube.get(SERVICES);
        let given = services["items"]
            .as_array()?
            .iter()
            .filter(|s| s["status"]["loadBalancer"]["ingress"][0]["ip"].is_string());
        (given.count() == 254).then_some(())
    });
    kube.create(SERVICES, &service("late", "Cluster"));
    eventually("an event reports the full pool", || {
        let events = kube.get("/api/v1/namespaces/evenkeel/events?fieldSelector=involvedObject.name%3Dlate");
        let found = events["items"]
            .as_array()?
            .iter()
            .any(|e| e["reason"] == "ExternalIPPoolExhausted" && e["type"] == "Warning");
        found.then_some(())
    });
    assert_eq!(address(kube, "late"), None);
    kube.delete(&format!("{SERVICES}/fill-7"));
    address_of(kube, "late");
}
