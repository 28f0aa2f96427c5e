//! The state of a lab that ended with a reboot: its files name process ids that other processes now have.

use std::path::Path;
use std::process::{Child, Command};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::{Host, lab_processes};
use crate::lab::{Lab, NAME, text};

#[test]
fn state_from_before_a_reboot_is_not_a_lab_and_no_other_process_is_killed() {
    let Some((lab, before)) = Lab::and_host() else { return };
    lab.up();
    let kept = tempfile::tempdir().unwrap();
    copy(&lab.state(), kept.path());
    lab.down();

    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    for last in ["down", "up"] {
        copy(&kept.path().join(NAME), lab.state().parent().unwrap());
        let file = lab.state().join(format!("{NAME}-0")).join("components.json");
        let mut components: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for component in components.as_array_mut().unwrap() {
            component["pid"] = stranger.id().into();
        }
        std::fs::write(&file, components.to_string()).unwrap();
        let owner = serde_json::json!({ "verb": "deploy", "pid": stranger.id(), "started": 1, "since": 1 });
        std::fs::write(Path::new("/run").join(format!("evenkeel-{NAME}.lock")), owner.to_string()).unwrap();

        for arguments in [["status"].as_slice(), &["test"], &["scale", "3"], &["deploy"], &["logs"]] {
            let output = lab.run(arguments);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
            assert!(said.contains("no lab is up"), "{arguments:?}: {said}");
        }
        lab.ok(&[last]);
        still_there(&mut stranger);
    }
    lab.ok(&["status"]);
    lab.down();
    still_there(&mut stranger);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    Host::look().assert_same(&before);
}

#[test]
fn after_its_sandbox_was_killed_a_lab_is_not_up() {
    let Some((lab, before)) = Lab::and_host() else { return };
    lab.up();
    let first = lab_processes().into_iter().map(|(pid, _)| pid).find(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
    });
    kill(Pid::from_raw(first.unwrap()), Signal::SIGKILL).unwrap();
    crate::lab::eventually("every process is gone", || lab_processes().is_empty().then_some(()));
    let status = lab.run(&["status"]);
    assert!(text(&status.stderr).contains("no lab is up"), "{}", text(&status.stderr));
    lab.up();
    lab.ok(&["status"]);
    lab.down();
    Host::look().assert_same(&before);
}

/// Copies a directory into another directory.
fn copy(directory: &Path, into: &Path) {
    assert!(Command::new("cp").arg("-a").args([directory, into]).status().unwrap().success());
}

fn still_there(stranger: &mut Child) {
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
}
