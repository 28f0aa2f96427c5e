//! kube-proxy in iptables mode: the same guarantees, with other rules.

use std::process::{Command, Output};

use serde_json::json;

use crate::lab::{Lab, text};
use crate::walk::{answering, external_ip, names};

#[test]
fn iptables_balances_between_exactly_the_pods() {
    let Some(lab) = Lab::new() else { return };
    lab.ok(&["up", "--install-tools", "--proxy-mode", "iptables"]);
    assert_eq!(lab.json(&["status"])["proxy_mode"], "iptables");
    assert_eq!(lab.json(&["up"])["proxy_mode"], "iptables", "a lab that is up keeps its mode");
    let other = lab.run(&["up", "--proxy-mode", "nftables"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other.stderr).contains("proxy mode iptables"), "{}", text(&other.stderr));

    lab.ok(&["deploy", "--replicas", "2"]);
    let address = external_ip(&lab);
    assert_eq!(answering(address, 50), names(&lab));
    assert!(
        !inside("nft", &["list", "table", "ip", "kube-proxy"]).status.success(),
        "kube-proxy wrote rules for nftables"
    );
    let rules = inside("iptables-save", &["-t", "nat"]);
    assert!(text(&rules.stdout).contains(&format!("-A KUBE-SERVICES -d {address}/32")), "{}", text(&rules.stdout));

    lab.ok(&["scale", "10"]);
    assert_eq!(answering(address, 200), names(&lab), "every pod is programmed when scale returns");
    a_node_port_and_a_cluster_ip_balance_too(&lab);
    lab.ok(&["scale", "2"]);
    let two = names(&lab);
    assert_eq!(two.len(), 2);
    assert_eq!(answering(address, 50), two, "a pod that was scaled away still answers");
}

fn a_node_port_and_a_cluster_ip_balance_too(lab: &Lab) {
    for (name, kind, policy) in
        [("node", "NodePort", "externalTrafficPolicy"), ("inner", "ClusterIP", "internalTrafficPolicy")]
    {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {
                "type": kind, policy: "Local", "selector": {"app.kubernetes.io/name": "server"},
                "ports": [{"port": 80, "targetPort": 3000}],
            },
        });
        lab.kube().create("/api/v1/namespaces/evenkeel/services", &service);
        lab.ok(&["scale", "3", "--service", name]);
        let run =
            lab.json(&["test", "--service", name, "--warmup", "0", "--requests", "3000", "--assert", "failed==0"]);
        let spread = &run["runs"][0]["spread"];
        assert_eq!((&spread["expected"], &spread["policies"]), (&json!(3), &json!([format!("{policy}: Local")])));
    }
}

/// Runs a program in the network namespace of the lab's node.
pub(crate) fn inside(program: &str, arguments: &[&str]) -> Output {
    let target = format!("--target={}", crate::host::lab_processes_named("kube-proxy")[0]);
    Command::new("nsenter").args([&target, "--net", "--", program]).args(arguments).output().unwrap()
}
