//! A running lab, and commands with another state directory or in another PID namespace.

use std::collections::BTreeSet;

use crate::host::{Host, lab_processes};
use crate::lab::{Lab, NAME, eventually, text};

/// The processes of four components, which run as long as the lab does.
fn components() -> BTreeSet<(i32, String)> {
    let names = ["etcd", "kube-apiserver", "kubelet", "containerd"];
    lab_processes().into_iter().filter(|(_, name)| names.contains(&name.as_str())).collect()
}

#[test]
fn a_running_lab_with_its_state_elsewhere_is_named_and_left_alone() {
    let Some((lab, before)) = Lab::and_host() else { return };
    lab.up();
    let running = components();
    assert_eq!(running.len(), 4, "{running:?}");
    let (state, root) = (lab.state(), lab.state().parent().unwrap().to_owned());
    let other = tempfile::Builder::new().prefix("evenkeel-other-").tempdir_in("/var/lib").unwrap();
    let other_root = other.path().display().to_string();
    for verb in ["up", "demo", "status", "deploy"] {
        // Once with the flag, and once with the default, as when sudo does not pass the variable on.
        let by_flag = lab.run(&["--state-dir", &other_root, verb]);
        let by_default = lab.command(&[verb]).env_remove("EVENKEEL_STATE_DIR").output().unwrap();
        for output in [by_flag, by_default] {
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{verb}: {said}");
            let in_state = format!("the lab \"{NAME}\" runs with its state in {}", state.display());
            let hint = format!("--state-dir {} ", root.display());
            for part in [in_state, hint, format!("evenkeel --name {NAME} down")] {
                assert!(said.contains(&part), "{verb}: {part:?} is missing: {said}");
            }
        }
    }
    assert_eq!(components(), running, "the lab was not left alone");
    // Another path to the same directory is accepted.
    let link = other.path().join("link");
    std::os::unix::fs::symlink(&root, &link).unwrap();
    lab.ok(&["--state-dir", link.to_str().unwrap(), "status"]);

    let gone = lab.ok(&["--state-dir", &other_root, "down"]);
    assert!(gone.contains(&state.display().to_string()), "{gone}");
    assert!(!state.exists(), "the state is still there");
    Host::look().assert_same(&before);
}

/// In another PID namespace, the kernel shows the ids of the lab's processes as 0.
#[test]
fn a_lab_in_another_pid_namespace_is_left_alone_by_up_and_ended_by_down() {
    let Some((lab, before)) = Lab::and_host() else { return };
    lab.up();
    let running = components();
    let namespace = ["--pid", "--fork", "--mount-proc"];
    for verb in ["up", "status"] {
        let output = lab.script(&namespace, &format!("\"$EVENKEEL\" {verb}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{verb}: {said}");
        assert!(said.contains("cannot be seen from this PID namespace"), "{verb}: {said}");
    }
    assert_eq!(components(), running, "the lab was not left alone");
    let output = lab.script(&namespace, "\"$EVENKEEL\" down");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    eventually("every process is gone", || lab_processes().is_empty().then_some(()));
    Host::look().assert_same(&before);
}
