//! The examples with servers that somebody else wrote and packed: nginx, `HAProxy` and Redis from the distribution's packages.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::debian::{has_packages, package_image};
use crate::lab::{Kube, Lab, eventually, text};
use crate::podinfo::podinfo;

#[test]
fn servers_of_the_distribution_run_as_the_examples_say() {
    let Some(lab) = Lab::new() else { return };
    if !has_packages() {
        eprintln!("skipped, because this machine cannot download Debian's packages");
        return;
    }
    let nginx = package_image("nginx", "docker.io/library/nginx:1.29", json!({ "StopSignal": "SIGQUIT" }));
    let haproxy = package_image("haproxy", "docker.io/library/haproxy:3.2", json!({ "StopSignal": "SIGUSR1" }));
    let redis = package_image("redis-server", "docker.io/library/redis:8", json!({}));
    lab.up();
    every_command_acts_on(&lab, "examples/nginx.yaml", &[&nginx], "web-", "start worker process");
    let images = [&haproxy, &podinfo().archive].map(PathBuf::as_path);
    every_command_acts_on(&lab, "examples/haproxy.yaml", &images, "proxy-", "podinfo");
    deploy(&lab, "examples/redis.yaml", &[&redis]);
    redis_keeps_its_data(&lab);
    lab.ok(&["undeploy"]);
}

fn deploy(lab: &Lab, example: &str, archives: &[&Path]) {
    let load = archives.iter().flat_map(|archive| ["--load", archive.to_str().unwrap()]);
    let arguments: Vec<&str> = ["deploy", "-f", example].into_iter().chain(load).collect();
    lab.ok(&arguments);
}

/// The pods have names with this prefix, and write this to their logs.
fn every_command_acts_on(lab: &Lab, example: &str, archives: &[&Path], prefix: &str, written: &str) {
    deploy(lab, example, archives);
    let report = lab.json(&["test", "--during", "kill-pod,rollout"]);
    let run = &report["runs"][0];
    for event in run["events"].as_array().unwrap() {
        assert_eq!(event["trouble"], Value::Null, "{event:#}");
    }
    // They name themselves in each response.
    let pods = run["spread"]["pods"].as_array().unwrap();
    let served = |pod: &&Value| pod["requests"].as_u64() > Some(0) && pod["name"].as_str().unwrap().starts_with(prefix);
    assert!(pods.iter().filter(served).count() >= 3, "{pods:#?}");
    assert_eq!(lab.json(&["scale", "3"])["from"], 2);
    let logs = lab.ok(&["logs"]);
    assert!(logs.contains(written), "{logs}");
}

fn redis_keeps_its_data(lab: &Lab) {
    let kube = lab.kube();
    let service = kube.get("/api/v1/namespaces/redis/services/redis");
    let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap().parse().unwrap();
    assert_eq!(command(address, "SET greeting hello").unwrap(), "+OK");

    // Redis speaks no HTTP.
    let output = lab.run(&["test", "-d", "1s", "--warmup", "0"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(":6379/ answered no request"), "{said}");

    let first = uid(&kube).unwrap();
    kube.delete("/api/v1/namespaces/redis/pods/redis-0");
    eventually("the pod is replaced", || uid(&kube).filter(|second| *second != first));
    assert_eq!(lab.json(&["scale", "2"])["from"], 1);
    assert_eq!(lab.json(&["scale", "1"])["from"], 2);
    let kept = eventually("the new pod answers", || command(address, "GET greeting").ok());
    assert_eq!(kept, "$5 hello");
    assert!(lab.ok(&["logs"]).contains("Ready to accept connections"));
}

fn uid(kube: &Kube) -> Option<Value> {
    let pods = kube.get("/api/v1/namespaces/redis/pods");
    let mut pods = pods["items"].as_array()?.iter();
    pods.find(|pod| pod["metadata"]["name"] == "redis-0").map(|pod| pod["metadata"]["uid"].clone())
}

/// Sends a command to Redis. Returns the lines of the response.
fn command(address: Ipv4Addr, command: &str) -> std::io::Result<String> {
    let timeout = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&(address, 6379).into(), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    write!(stream, "{command}\r\nQUIT\r\n")?;
    let lines: Vec<String> = BufReader::new(stream).lines().collect::<Result<_, _>>()?;
    // The last line is the response to QUIT.
    Ok(lines[..lines.len().saturating_sub(1)].join(" "))
}
