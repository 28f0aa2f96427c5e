//! Invalid input to a lab that is up: it is refused in one sentence, and the lab does not change.

use std::path::Path;

use crate::lab::{Lab, text};

#[test]
fn a_lab_that_is_up_refuses_invalid_input() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "2"]);
    let before = spec(&lab);

    let files = tempfile::tempdir().unwrap();
    let (missing, plain, other) = (path(&files, "missing.tar"), path(&files, "plain.tar"), path(&files, "other.tar"));
    std::fs::write(&plain, "this is no archive").unwrap();
    untagged(Path::new(&other));
    for image in [&missing, &plain, &other] {
        refused(&lab, &["deploy", "--image", image], 2, &[image]);
    }
    refused(&lab, &["deploy", "--image", "127.0.0.1:9/none:1"], 2, &["127.0.0.1:9/none:1", "refused"]);
    for count in ["-1", "0.5", "1e9", "abc", "481"] {
        refused(&lab, &["scale", count], 2, &[count, "whole number"]);
    }
    refused(&lab, &["test", "-c", "0"], 2, &["connections"]);
    refused(&lab, &["test", "--replicas", "2,x"], 2, &["'x'"]);
    refused(&lab, &["test", "--target", "http://192.0.2.1/"], 2, &["192.0.2.1"]);
    more_pods_than_fit_are_refused(&lab);
    assert_eq!(spec(&lab), before, "refused commands changed the Deployment");

    a_pod_that_cannot_start_is_named(&lab);
    a_broken_kubeconfig_is_a_sentence(&lab);
}

/// With the limits of a smaller machine, in files that hide those of the kernel.
fn more_pods_than_fit_are_refused(lab: &Lab) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let limits = [
        (
            "meminfo",
            "MemTotal: 2000000 kB\nMemAvailable: 900000 kB\nSwapFree: 0 kB\n",
            "921 MB of memory are available",
        ),
        ("sys/net/ipv4/neigh/default/gc_thresh3", "128\n", "net.ipv4.neigh.default.gc_thresh3 is 128"),
        (
            "sys/fs/inotify/max_user_watches",
            "1800\n",
            "400 pods do not fit, but 100 do: fs.inotify.max_user_watches is 1800",
        ),
    ];
    for (limit, value, words) in limits {
        std::fs::write(file.path(), value).unwrap();
        for verb in ["scale 400", "deploy --replicas 400"] {
            let small = format!("mount --bind {} /proc/{limit} && exec $EVENKEEL {verb}", file.path().display());
            let output = lab.script(&["--mount"], &small);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{verb} with {limit}: {said}");
            assert!(said.contains(words) && said.contains("nothing was changed"), "{verb} with {limit}: {said}");
        }
    }
}

fn refused(lab: &Lab, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = lab.run(arguments);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?} does not name {part}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn spec(lab: &Lab) -> serde_json::Value {
    lab.kube().get("/apis/apps/v1/namespaces/evenkeel/deployments/server")["spec"].clone()
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}

/// Writes an archive in the format of `docker save` whose image has no tag.
fn untagged(path: &Path) {
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.as_slice();
    let manifest = br#"[{"Config":"config.json","RepoTags":null,"Layers":[]}]"#.as_slice();
    for (name, content) in [("config.json", config), ("manifest.json", manifest)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, content).unwrap();
    }
    archive.finish().unwrap();
}

fn a_pod_that_cannot_start_is_named(lab: &Lab) {
    refused(lab, &["deploy", "--image", "evenkeel.local/nothing:1"], 1, &["ErrImageNeverPull"]);
    lab.ok(&["deploy", "--replicas", "2"]);
}

fn a_broken_kubeconfig_is_a_sentence(lab: &Lab) {
    let kubeconfig = lab.state().join("kubeconfig");
    std::fs::write(&kubeconfig, "clusters: [").unwrap();
    for arguments in [["scale", "3"].as_slice(), &["logs"], &["test"], &["deploy"]] {
        refused(lab, arguments, 1, &["kubeconfig"]);
    }
}
