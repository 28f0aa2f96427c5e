//! Keys are only in files that root alone can read: not in logs, command lines or output.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::host::lab_processes;
use crate::lab::{Lab, NAME, text};

pub(super) fn stay_in_private_files(lab: &Lab) {
    let state = lab.state();
    let secrets = secrets(&state.join("pki"));
    let leaks = |text: &str| secrets.iter().find(|secret| text.contains(secret.as_str())).cloned();
    let kubeconfig = fs::read_to_string(state.join("kubeconfig")).unwrap();
    assert!(leaks(&kubeconfig).is_some(), "the search must find the key in the kubeconfig");

    for directory in [state.join("pki"), state.join(format!("{NAME}-0")).join("conf")] {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
    }
    let mut logs = 0;
    for file in files(&state) {
        let content = text(&fs::read(&file).unwrap());
        let private = mode(&file) == 0o600;
        assert!(private || leaks(&content).is_none(), "{} holds {:?}", file.display(), leaks(&content));
        if file.starts_with(state.join("logs")) {
            logs += 1;
            assert_eq!(leaks(&content), None, "{}", file.display());
        }
    }
    assert!(logs > 20, "expected a log and a command for each of ten components, found {logs}");
    for (pid, name) in lab_processes() {
        let told = ["cmdline", "environ"].map(|file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default());
        assert_eq!(leaks(&text(&told.concat())), None, "{name}");
    }
    for verb in [
        &["up"][..],
        &["deploy", "--replicas", "2"],
        &["scale", "2"],
        &["test", "-d", "200ms", "--warmup", "0"],
        &["status"],
        &["logs"],
        &["logs", "--component", "kube-apiserver"],
        &["doctor"],
        &["build"],
    ] {
        for json in [&[][..], &["--json"]] {
            let output = lab.run(&[json, verb].concat());
            assert!(output.status.success(), "{verb:?}");
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(leaks(&said), None, "{verb:?}");
        }
    }
}

/// The strings that must not be found: the beginning of a PEM key and a line of each key, plain and in base64.
fn secrets(pki: &Path) -> Vec<String> {
    let mut secrets = vec!["PRIVATE KEY-----".to_owned(), STANDARD.encode("-----BEGIN PRIVATE KEY-----")];
    for file in files(pki).into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "key")) {
        let pem = fs::read_to_string(&file).unwrap();
        secrets.push(STANDARD.encode(&pem));
        secrets.push(pem.lines().nth(1).unwrap().to_owned());
    }
    assert!(secrets.len() > 20, "every component has a key");
    let encryption: Value = serde_json::from_slice(&fs::read(pki.join("encryption.json")).unwrap()).unwrap();
    let key = &encryption["resources"][0]["providers"][0]["secretbox"]["keys"][0]["secret"];
    secrets.push(key.as_str().unwrap().to_owned());
    secrets
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Every file below the directory, except the links to programs.
fn files(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let own = paths.filter(|path| !path.is_symlink() && !path.ends_with("bin"));
    own.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
