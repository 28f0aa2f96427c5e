//! Images that other tools make: the short names in archives are completed, no archive harms another image, and images of a
//! registry are pulled.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use evenkeel::image::ImageName;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::lab::{Lab, text};
use crate::registry::Registry;

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
    let registry = Registry::start(false);
    let pulled = registry.name("shop/web");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(push(&registry, &pulled, server));
    lab.ok(&["deploy", "--image", &pulled.to_string()]);
    assert_eq!(image(), pulled.to_string());
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

/// Pushes the image of an OCI archive.
pub(crate) async fn push(registry: &Registry, name: &ImageName, archive: &Path) {
    let image = registry.log_in(name).await;
    let files = files(archive);
    let content = |path: &str| &files.iter().find(|(found, _)| found == Path::new(path)).unwrap().1;
    let index: Value = serde_json::from_slice(content("index.json")).unwrap();
    let manifest = format!("blobs/{}", index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/"));
    for (_, blob) in files.iter().filter(|(path, _)| path.starts_with("blobs") && path != Path::new(&manifest)) {
        registry.push_blob(&image, blob).await;
    }
    let manifest = serde_json::from_slice(content(&manifest)).unwrap();
    registry.push_manifest(&image, &manifest, "application/vnd.oci.image.manifest.v1+json").await;
}

fn files(archive: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut archive = tar::Archive::new(File::open(archive).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, File>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().into_owned(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

/// An OCI archive of one image, by the name that `skopeo copy … oci-archive:FILE:NAME` gives it.
pub(crate) fn renamed(archive: &Path, name: &str) -> Vec<u8> {
    let mut renamed = tar::Builder::new(Vec::new());
    for (path, mut content) in files(archive) {
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
