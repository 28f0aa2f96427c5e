//! A machine whose inotify instances are used up: told in advance, with the setting that helps.

use std::process::Command;

use super::World;

/// In a user namespace with a limit of its own, so that nothing of this machine is used up.
#[test]
fn inotify_instances_that_are_used_up_are_named_with_the_setting() {
    let world = World::new();
    let doctor = |limit: u32| {
        let script =
            format!("echo {limit} > /proc/sys/user/max_inotify_instances || exit 97; exec \"$EVENKEEL\" doctor");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", &script]);
        command.env("EVENKEEL", env!("CARGO_BIN_EXE_evenkeel")).env("EVENKEEL_NAME", "cli-test");
        let output = command.env("EVENKEEL_CACHE_DIR", world.directory.path().join("cache")).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text.lines().find(|line| line.contains("inotify")).unwrap_or(&text).to_owned())
    };
    let (code, line) = doctor(5);
    if code == Some(97) || line.contains("unshare failed") {
        // A machine without user namespaces cannot be given a limit that is only this test's.
        return;
    }
    assert_eq!(code, Some(1), "{line}");
    assert!(
        line.contains("FAILS") && line.contains("only 5 more") && line.contains("user.max_inotify_instances is 5"),
        "{line}"
    );
    let (_, line) = doctor(100_000);
    assert!(line.contains("ok "), "{line}");
}
