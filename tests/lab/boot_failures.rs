//! A boot that fails: the error names the cause, and nothing is left.

use std::os::unix::fs::PermissionsExt;

use crate::host::Host;
use crate::lab::{Lab, text};

#[test]
fn a_component_that_dies_fails_the_boot_with_the_end_of_its_log() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let bin = tempfile::tempdir().unwrap();
    let scheduler = bin.path().join("kube-scheduler");
    let script =
        "#!/bin/sh\n[ \"$1\" = --version ] && echo Kubernetes v1.36.3 && exit\necho the dog ate my lease >&2\nexit 7\n";
    std::fs::write(&scheduler, script).unwrap();
    std::fs::set_permissions(&scheduler, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());

    let output = lab.command(&["up"]).env("PATH", path).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["kube-scheduler", "exit 7", "the dog ate my lease", "kube-scheduler.log"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    let log = lab.state().join("logs").join("ci-0").join("kube-scheduler.log");
    assert!(
        std::fs::read_to_string(log).unwrap().contains("the dog ate my lease"),
        "the log is at the path that the error names"
    );
    assert_eq!(crate::host::lab_processes(), []);
    lab.down();
    Host::look().assert_same(&before);
}
