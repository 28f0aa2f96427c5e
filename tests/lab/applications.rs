//! Applications that somebody else wrote: their parts find each other by name, and keep their data.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use evenkeel::cluster::component_process;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::dns::{self, ResponseCode, addresses};
use crate::host::{lab_processes, lab_processes_named};
use crate::lab::{Kube, Lab, NAME, eventually, get};
use crate::podinfo::{PORT, podinfo};
use crate::security::network::in_network_of;
use crate::supervision::cluster_of;

/// Posted to the front tier, which posts it to the backend by its name, and returns the response.
const MESSAGE: &str = "is anybody there";
const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";

#[test]
fn an_application_finds_its_parts_by_name_and_keeps_its_data() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    the_metrics_api_is_described_as_the_api_server_wants_it(&lab);
    deploy(&lab, "examples/two-tier.yaml");
    let pod = lab_processes_named("podinfo")[0];
    the_front_tier_reaches_the_backend(&lab, pod);
    other_names_fail_at_once(pod);

    deploy(&lab, "examples/stateful-set.yaml");
    data_outlives_its_pod(&lab.kube(), pod);
    what_a_directory_cannot_give_is_refused(&lab.kube());
    lab.ok(&["undeploy"]);
    a_volume_is_removed_after_its_claim(&lab);

    lab.down();
    assert!(!lab.state().exists(), "the state directory is still there");
    assert_eq!(lab_processes(), []);
}

fn deploy(lab: &Lab, example: &str) {
    lab.ok(&["deploy", "-f", example, "--load", podinfo().archive.to_str().unwrap()]);
}

/// To build metrics-server takes minutes, so that it does not run here.
fn the_metrics_api_is_described_as_the_api_server_wants_it(lab: &Lab) {
    let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", "examples/metrics-server.yaml"];
    assert_eq!(lab.kubectl(&apply).matches("(server dry run)").count(), 8);
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
    // From the node, as the API server calls webhooks and aggregated APIs.
    let node = component_process(&cluster_of(lab), "kube-apiserver").unwrap().pid;
    let response = in_network_of(node, move || get(backend, 80, "/readyz"));
    assert!(response.as_ref().is_ok_and(|response| response.starts_with("HTTP/1.1 200")), "{response:?}");
}

fn other_names_fail_at_once(pod: i32) {
    for unknown in ["example.com", "nobody.shop.svc.cluster.local"] {
        let response = dns::ask(pod, unknown).unwrap_or_else(|error| panic!("{unknown}: {error}"));
        assert_eq!((response.code, response.addresses), (ResponseCode::NxDomain, vec![]), "{unknown}");
    }
}

fn data_outlives_its_pod(kube: &Kube, client: i32) {
    for name in ["data-store-0", "data-store-1"] {
        assert_eq!(kube.get(&format!("{CLAIMS}/{name}"))["status"]["phase"], "Bound", "{name}");
    }
    let first = ready_pod(kube, "store-0").unwrap();
    let before = address(&first["status"]["podIP"]);
    assert_eq!(addresses(client, "store-0.store.default.svc.cluster.local"), [before]);
    let store = || in_network_of(client, move || post(before, PORT, "/store", MESSAGE)).ok();
    let stored = eventually("the data is stored", store);
    let hash = stored.rsplit('"').nth(1).unwrap_or_else(|| panic!("no hash in {stored}")).to_owned();

    kube.delete("/api/v1/namespaces/default/pods/store-0");
    let second = eventually("the pod is replaced", || {
        ready_pod(kube, "store-0").filter(|pod| pod["metadata"]["uid"] != first["metadata"]["uid"])
    });
    let after = address(&second["status"]["podIP"]);
    eventually("its name has the new address", || {
        let response = dns::ask(client, "store-0.store.default.svc.cluster.local").ok()?;
        (response.addresses == [after]).then_some(())
    });
    let path = format!("/store/{hash}");
    let read = || {
        let path = path.clone();
        in_network_of(client, move || get(after, PORT, &path)).ok()
    };
    let kept = eventually("the new pod answers", read);
    assert!(kept.ends_with(MESSAGE), "{kept}");
}

/// The pod of this name in the namespace `default`, if it is ready.
fn ready_pod(kube: &Kube, name: &str) -> Option<Value> {
    let pods = kube.get("/api/v1/namespaces/default/pods");
    let pod = pods["items"].as_array()?.iter().find(|pod| pod["metadata"]["name"] == name)?;
    let mut conditions = pod["status"]["conditions"].as_array()?.iter();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True").then(|| pod.clone())
}

fn what_a_directory_cannot_give_is_refused(kube: &Kube) {
    let spec = json!({ "accessModes": ["ReadWriteMany"], "resources": { "requests": { "storage": "1Mi" } } });
    kube.create(CLAIMS, &json!({ "metadata": { "name": "shared" }, "spec": spec }));
    let pod = json!({
        "metadata": { "name": "sharing" },
        "spec": {
            "containers": [{ "name": "pause", "image": "evenkeel.local/absent:1" }],
            "volumes": [{ "name": "shared", "persistentVolumeClaim": { "claimName": "shared" } }],
        },
    });
    kube.create("/api/v1/namespaces/default/pods", &pod);
    eventually("an event of the claim", || {
        let events = kube.get("/api/v1/namespaces/default/events");
        let mut events = events["items"].as_array()?.iter();
        events.find(|event| {
            event["reason"] == "ProvisioningFailed" && event["message"].to_string().contains("ReadWriteMany")
        })?;
        Some(())
    });
}

/// Also after a claim that is deleted while nothing removes volumes.
fn a_volume_is_removed_after_its_claim(lab: &Lab) {
    let (kube, directory) = (lab.kube(), lab.state().join(format!("{NAME}-0")).join("volumes"));
    let directories = || std::fs::read_dir(&directory).unwrap().count();
    let phases = || -> Vec<Value> {
        let volumes = kube.get("/api/v1/persistentvolumes");
        volumes["items"].as_array().unwrap().iter().map(|volume| volume["status"]["phase"].clone()).collect()
    };
    assert_eq!(directories(), 2, "the claims of a StatefulSet outlive it");
    let provisioner = component_process(&cluster_of(lab), "volume-provisioner").unwrap();
    provisioner.signal(Signal::SIGSTOP).unwrap();
    for name in ["data-store-0", "data-store-1"] {
        kube.delete(&format!("{CLAIMS}/{name}"));
    }
    eventually("the volumes are released", || (phases() == ["Released", "Released"]).then_some(()));
    provisioner.signal(Signal::SIGKILL).unwrap();
    eventually("the directories are removed", || (directories() == 0).then_some(()));
    eventually("the volumes are removed", || phases().is_empty().then_some(()));
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
