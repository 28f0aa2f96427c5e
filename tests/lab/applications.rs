//! Applications that somebody else wrote: their parts find each other by name.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::dns::{self, ResponseCode, addresses};
use crate::host::{lab_processes, lab_processes_named};
use crate::lab::{Lab, eventually};
use crate::podinfo::podinfo;

/// Posted to the front tier, which posts it to the backend by its name, and returns the response.
const MESSAGE: &str = "is anybody there";

#[test]
fn an_application_finds_its_parts_by_name() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    deploy(&lab, include_str!("applications/two-tier.yaml"));
    let pod = lab_processes_named("podinfo")[0];
    the_front_tier_reaches_the_backend(&lab, pod);
    other_names_fail_at_once(pod);

    lab.down();
    assert!(!lab.state().exists(), "the state directory is still there");
    assert_eq!(lab_processes(), []);
}

fn deploy(lab: &Lab, manifests: &str) {
    let (podinfo, file) = (podinfo(), lab.state().with_extension("yaml"));
    std::fs::write(&file, manifests.replace("PODINFO", &podinfo.reference)).unwrap();
    lab.ok(&["deploy", "-f", file.to_str().unwrap(), "--load", podinfo.archive.to_str().unwrap()]);
}

fn the_front_tier_reaches_the_backend(lab: &Lab, pod: i32) {
    let kube = lab.kube();
    let front = kube.get("/api/v1/namespaces/shop/services/front");
    let front = address(&front["status"]["loadBalancer"]["ingress"][0]["ip"]);
    let response = eventually("a response of the backend", || post(front, 80, "/echo", MESSAGE).ok());
    assert!(response.starts_with("HTTP/1.1 2") && response.ends_with(&format!("[\n  \"{MESSAGE}\"\n]")), "{response}");

    let resolv_conf = std::fs::read_to_string(format!("/proc/{pod}/root/etc/resolv.conf")).unwrap();
    for line in ["nameserver 10.96.0.10", "search shop.svc.cluster.local svc.cluster.local cluster.local", "ndots:5"] {
        assert!(resolv_conf.contains(line), "{line}: {resolv_conf}");
    }
    let backend = address(&kube.get("/api/v1/namespaces/shop/services/backend")["spec"]["clusterIP"]);
    assert_eq!(addresses(pod, "backend.shop.svc.cluster.local"), [backend]);
    assert_eq!(addresses(pod, "kube-dns.kube-system.svc.cluster.local"), [dns::SERVER]);
}

fn other_names_fail_at_once(pod: i32) {
    for unknown in ["example.com", "nobody.shop.svc.cluster.local"] {
        let response = dns::ask(pod, unknown).unwrap_or_else(|error| panic!("{unknown}: {error}"));
        assert_eq!((response.code, response.addresses), (ResponseCode::NxDomain, vec![]), "{unknown}");
    }
}

fn address(value: &Value) -> Ipv4Addr {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no address"))
}

/// Sends a POST request on a new connection. Returns the status line, the headers and the body.
fn post(address: Ipv4Addr, port: u16, path: &str, body: &str) -> std::io::Result<String> {
    let timeout = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&(address, port).into(), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let length = body.len();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}
