//! Images in archives as other tools make them: their short names are completed, and no archive harms another image.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::lab::{Lab, text};

const SERVER: &str = "/apis/apps/v1/namespaces/evenkeel/deployments/server";

/// The archives contain the server's own image, because containerd gets all names of one content at once.
#[test]
fn an_archive_with_a_short_name_runs_and_harms_no_other_image() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "1"]);
    let built = lab.json(&["build"]);
    let server = Path::new(built["server"]["archive"].as_str().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (short, packed, latest) = (path("short.tar"), path("packed.tar.gz"), path("latest.tar"));
    std::fs::write(&short, renamed(server, "myapp:1")).unwrap();
    let mut gzip = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
    gzip.write_all(&renamed(server, "user/app:1")).unwrap();
    gzip.finish().unwrap();
    std::fs::write(&latest, renamed(server, "library/app")).unwrap();

    let image = || lab.kube().get(SERVER)["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    for (file, name) in [(&short, "docker.io/library/myapp:1"), (&packed, "docker.io/user/app:1")] {
        lab.ok(&["deploy", "--image", file]);
        assert_eq!(image(), name);
    }
    lab.ok(&["deploy", "--image", &latest, "--as", "other:2"]);
    assert_eq!(image(), "docker.io/library/other:2");
    from_a_pipe(&lab, &latest);
    lab.ok(&["deploy"]);
    assert_eq!(image(), built["server"]["reference"]);
    lab.ok(&["scale", "2"]);
}

/// The kubelet would ask a registry for an image with the tag `latest`.
fn from_a_pipe(lab: &Lab, archive: &str) {
    let mut manifests = tempfile::NamedTempFile::new().unwrap();
    let container = json!({ "name": "web", "image": "app", "args": [] });
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "latest" },
        "spec": {
            "selector": { "matchLabels": { "app": "latest" } },
            "template": { "metadata": { "labels": { "app": "latest" } }, "spec": { "containers": [container] } },
        },
    });
    write!(manifests, "{object}").unwrap();
    let file = manifests.path().to_str().unwrap();
    let mut command = lab.command(&["deploy", "--filename", file, "--load", "/dev/stdin"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::copy(&mut File::open(archive).unwrap(), &mut stdin).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    lab.kube().delete("/apis/apps/v1/namespaces/default/deployments/latest");
}

/// An OCI archive of one image, by the name that `skopeo copy … oci-archive:FILE:NAME` gives it.
fn renamed(archive: &Path, name: &str) -> Vec<u8> {
    let mut renamed = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(File::open(archive).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if path == Path::new("index.json") {
            let mut index: Value = serde_json::from_slice(&content).unwrap();
            index["manifests"][0]["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
            content = index.to_string().into();
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        renamed.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    renamed.into_inner().unwrap()
}
