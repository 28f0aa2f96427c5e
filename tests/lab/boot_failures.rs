//! A component that ends while the lab boots: the boot fails with the cause and leaves nothing, or the component is started
//! again.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::host::Host;
use crate::lab::{Lab, text};

#[test]
fn a_component_that_dies_fails_the_boot_with_the_end_of_its_log() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let (_scheduler, path) = with_scheduler(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo Kubernetes v1.36.3 && exit\necho the dog ate my lease >&2\nexit 7\n",
    );

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

#[test]
fn a_component_that_ends_after_a_while_is_started_again() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let programs = lab.json(&["doctor", "--programs"]);
    let scheduler = programs["programs"].as_array().unwrap().iter().find(|each| each["program"] == "kube-scheduler");
    let scheduler = scheduler.unwrap()["path"].as_str().unwrap();
    // As it does when the API server answers too late.
    let (_scheduler, path) = with_scheduler(&format!(
        "#!/bin/sh\nif [ \"$1\" != --version ] && mkdir /run/first; then sleep 9; exit 1; fi\nexec {scheduler} \"$@\"\n"
    ));

    let output = lab.command(&["up"]).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let scheduler = lab.component("kube-scheduler");
    assert_eq!(
        (scheduler["state"].as_str(), scheduler["restarts"].as_u64()),
        (Some("running"), Some(1)),
        "{scheduler}"
    );
    lab.down();
    Host::look().assert_same(&before);
}

/// A directory with a script in place of kube-scheduler, and PATH with this directory as the first one.
fn with_scheduler(script: &str) -> (TempDir, String) {
    let bin = tempfile::tempdir().unwrap();
    let scheduler = bin.path().join("kube-scheduler");
    std::fs::write(&scheduler, script).unwrap();
    std::fs::set_permissions(&scheduler, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    (bin, path)
}
