//! Pods of `kubectl`: the node pulls their images, and the pods themselves have no way out.

use std::path::Path;

use serde_json::{Value, json};

use crate::archive::{archive, elsewhere};
use crate::archives::{push, renamed};
use crate::host::lab_processes_named;
use crate::lab::{Kube, Lab, eventually};
use crate::registry::Registry;
use crate::security::network::{MACHINE, connect, in_network_of};

const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVER: &str = "/apis/apps/v1/namespaces/evenkeel/deployments/server";

#[test]
fn the_node_pulls_what_kubectl_names_and_pods_reach_no_registry() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    let built = lab.json(&["build"]);
    let server = Path::new(built["server"]["archive"].as_str().unwrap());
    let registry = Registry::start(false);
    let name = registry.name("shop/web:latest");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(push(&registry, &name, server));
    let kube = lab.kube();

    create(&kube, "pulled", &name.to_string());
    runs(&kube, "pulled");
    let pod = lab_processes_named("evenkeel-server")[0];
    let port = name.registry().rsplit_once(':').unwrap().1.parse().unwrap();
    for address in [MACHINE, "127.0.0.1".parse().unwrap()] {
        for port in [port, 10270] {
            assert!(in_network_of(pod, move || connect(address, port)).is_err(), "a pod reaches {address}:{port}");
        }
    }

    let missing = registry.name("shop/none:1").to_string();
    create(&kube, "missing", &missing);
    let message = eventually("the reason why the image is missing", || failure(&kube, "missing"));
    assert!(message.contains(&missing) && message.contains("has no image"), "{message}");

    // An image that was loaded is in no registry.
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("loaded.tar");
    std::fs::write(&archive, renamed(server, "registry.invalid/loaded:latest")).unwrap();
    lab.ok(&["deploy", "--image", archive.to_str().unwrap(), "--replicas", "1"]);
    create(&kube, "loaded", "registry.invalid/loaded");
    runs(&kube, "loaded");
}

#[test]
fn what_build_pushes_runs_by_its_digest() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    let registry = Registry::start(false);
    let name = registry.name("lab/images");
    let repository = format!("{}/{}", name.registry(), name.repository());
    let push = ["build", "--push", &repository];
    let alone = lab.json(&push)["pushed"].clone();
    assert_eq!(alone[0]["name"], "server");
    let reference = alone[0]["reference"].as_str().unwrap();
    let kube = lab.kube();
    // The node pulls what pods of kubectl name.
    create(&kube, "pulled", reference);
    runs(&kube, "pulled");
    lab.ok(&["deploy", "--image", reference, "--replicas", "2"]);
    let container = || kube.get(SERVER)["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!(container(), reference);

    // An index for nodes of two architectures, of which this node takes its own.
    let directory = tempfile::tempdir().unwrap();
    let other = directory.path().join("other.tar");
    std::fs::write(&other, archive("evenkeel.local/server:1", elsewhere(), b"other")).unwrap();
    let both = lab.json(&[&push[..], &["--archive", other.to_str().unwrap()]].concat())["pushed"].clone();
    assert_eq!(
        (&both[0]["platforms"], &both[1]["already_there"]),
        (&json!(["linux/amd64", "linux/arm64"]), &json!(true))
    );
    let reference = both[0]["reference"].as_str().unwrap();
    create(&kube, "index", reference);
    runs(&kube, "index");
    lab.ok(&["deploy", "--image", reference]);
    assert_eq!(container(), reference);
    let pods = kube.get("/api/v1/namespaces/evenkeel/pods");
    let running = pods["items"].as_array().unwrap().iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let images: Vec<_> = running.map(|pod| &pod["spec"]["containers"][0]["image"]).collect();
    assert_eq!(images, [reference; 2]);
}

/// The policy of these images is `Always`, but for those with a tag other than `latest`.
fn create(kube: &Kube, name: &str, image: &str) {
    let container = json!({ "name": "web", "image": image });
    kube.create(PODS, &json!({ "metadata": { "name": name }, "spec": { "containers": [container] } }));
}

fn runs(kube: &Kube, name: &str) {
    eventually(&format!("the pod {name} runs"), || {
        let pod = kube.get(&format!("{PODS}/{name}"));
        let running = pod["status"]["phase"] == "Running";
        assert!(running || failure(kube, name).is_none(), "{:?}", failure(kube, name));
        running.then_some(())
    });
}

/// The kubelet's event about an image that it could not pull.
fn failure(kube: &Kube, pod: &str) -> Option<String> {
    let selector = format!("involvedObject.name={pod},reason=Failed");
    let events = kube.get(&format!("/api/v1/namespaces/default/events?fieldSelector={selector}"));
    let messages = events["items"].as_array()?.iter().filter_map(|event: &Value| event["message"].as_str());
    messages.map(str::to_owned).find(|message| message.contains("Failed to pull"))
}
