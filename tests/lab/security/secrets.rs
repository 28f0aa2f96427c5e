//! Secrets are encrypted in etcd.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::network::Sandbox;
use crate::lab::{Lab, eventually};

/// A value that is not encrypted, in a `ConfigMap`. It shows that the search finds values.
const PLAIN: &str = "a-value-that-need-not-be-hidden";
const SECRET: &str = "a-value-that-must-never-be-seen";
/// The prefix of a value that the API server has encrypted with the key `lab`.
const MARK: &str = "k8s:enc:secretbox:v1:lab:";

pub(super) fn are_encrypted_at_rest(lab: &Lab, sandbox: Sandbox) {
    let kube = lab.kube();
    let namespace = "/api/v1/namespaces/evenkeel";
    let encoded = STANDARD.encode(SECRET);
    kube.create(&format!("{namespace}/secrets"), &json!({ "metadata": { "name": "x" }, "data": { "x": encoded } }));
    kube.create(&format!("{namespace}/configmaps"), &json!({ "metadata": { "name": "x" }, "data": { "x": PLAIN } }));
    assert_eq!(
        kube.get(&format!("{namespace}/secrets/x"))["data"]["x"],
        encoded,
        "the Secret is read as it was written"
    );

    let stored = eventually("etcd has written both", || {
        let stored = read_all(Path::new(&sandbox.path("/var/lib/etcd")));
        (contains(&stored, PLAIN) && contains(&stored, MARK)).then_some(stored)
    });
    for value in [SECRET, &encoded] {
        assert!(!contains(&stored, value), "etcd contains {value}");
    }
}

/// The content of all files below the directory.
fn read_all(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { read_all(&path) } else { fs::read(&path).unwrap_or_default() });
    }
    all
}

fn contains(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}
