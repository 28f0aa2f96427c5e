//! Deploying other manifests, and what the cluster refuses.

use std::path::Path;

use serde_json::json;

use crate::lab::{Lab, eventually, get, text};

#[test]
fn ones_own_manifests_are_deployed_and_pods_stay_restricted() {
    let Some(lab) = Lab::new() else { return };
    let own = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")).unwrap() {
        let path = entry.unwrap().path();
        // Change the port in the pod and the number of pods.
        let changed =
            std::fs::read_to_string(&path).unwrap().replace("3000", "8080").replace("replicas: 2", "replicas: 3");
        std::fs::write(own.path().join(path.file_name().unwrap()), changed).unwrap();
    }
    let directory = own.path().to_str().unwrap();

    lab.up();
    lab.ok(&["deploy", "--manifests", directory]);
    let kube = lab.kube();
    let deployment = kube.get("/apis/apps/v1/namespaces/evenkeel/deployments/server");
    assert_eq!(deployment["spec"]["replicas"], 3);
    let address = kube.get("/api/v1/namespaces/evenkeel/services/server")["status"]["loadBalancer"]["ingress"][0]["ip"]
        .as_str()
        .and_then(|address| address.parse().ok())
        .unwrap();
    assert!(eventually("an answer", || get(address, 80, "/").ok()).starts_with("HTTP/1.1 200"));

    let container =
        json!({ "name": "root", "image": "evenkeel.local/server:1", "securityContext": { "privileged": true } });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "root" },
        "spec": { "containers": [container] },
    });
    let refusal = kube.try_create("/api/v1/namespaces/evenkeel/pods", &pod).unwrap_err();
    assert!(refusal.contains("violates PodSecurity \"restricted:v1.36\""), "{refusal}");

    let deployment_file = own.path().join("deployment.yaml");
    let good = std::fs::read_to_string(&deployment_file).unwrap();
    std::fs::write(&deployment_file, good.replace("periodSeconds: 10", "periodsSeconds: 10")).unwrap();
    let output = lab.run(&["deploy", "--manifests", directory, "--replicas", "5"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("deployment.yaml, document 1") && said.contains("periodsSeconds"), "{said}");
    let deployment = kube.get("/apis/apps/v1/namespaces/evenkeel/deployments/server");
    assert_eq!(deployment["spec"]["replicas"], 3, "nothing is changed when a manifest is refused");

    std::fs::write(&deployment_file, good).unwrap();
    std::fs::remove_file(own.path().join("service.yaml")).unwrap();
    let output = lab.run(&["deploy", "--manifests", directory]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no Service among the manifests"), "{}", text(&output.stderr));
}
