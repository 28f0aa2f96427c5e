//! `doctor` where it may do little: as a user who is not root, and in a sandbox like that of a package build.

use std::process::Command;

use serde_json::{Value, json};

/// The exit code and the JSON of `doctor`, run as in a package build: another user than root, without network, home
/// directory and environment, on a file system that is read-only. `None` on a machine without user namespaces.
fn in_a_build_sandbox(flags: &[&str]) -> Option<(i32, Value)> {
    let script = "mount -o remount,bind,ro / 2>/dev/null; exec unshare --user --map-user=1000 -- \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--net", "--", "sh", "-c", script, "sh"]);
    command.args([env!("CARGO_BIN_EXE_evenkeel"), "doctor", "--json", "--cache-dir", "/does/not/exist"]).args(flags);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("unshare: ") {
        return None;
    }
    let result = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    Some((output.status.code().unwrap(), result))
}

/// Whether every required program was found.
fn has_programs(result: &Value) -> bool {
    let programs = result["programs"].as_array().unwrap();
    programs.iter().all(|program| program["optional"] == true || program["path"].is_string())
}

#[test]
fn programs_can_be_checked_in_a_build_sandbox_whatever_the_kernel_is() {
    let Some((code, result)) = in_a_build_sandbox(&["--programs"]) else { return };
    assert_eq!(result["kernel"], Value::Null);
    assert_eq!((&result["well"], &result["complete"]), (&has_programs(&result).into(), &false.into()));
    assert_eq!(code == 0, has_programs(&result), "{result}");
    let mount = result["programs"].as_array().unwrap().iter().find(|program| program["program"] == "mount");
    assert!(mount.unwrap()["path"].is_string(), "programs are run there: {result}");
}

#[test]
fn without_root_the_kernel_checks_have_a_state_of_their_own() {
    let Some((code, result)) = in_a_build_sandbox(&[]) else { return };
    let checks = result["kernel"].as_array().unwrap();
    let unknown = checks.iter().filter(|check| check["outcome"] == "needs-root").count();
    let wrong = checks.iter().filter(|check| check["outcome"] == "fails").count();
    assert!(unknown >= 6 && unknown + wrong == checks.len(), "{result}");
    assert_eq!(code == 0, has_programs(&result) && wrong == 0, "what was not checked is not wrong: {result}");
    assert_eq!(result["complete"], false);
}

/// Every program of this machine's toolbox is asked.
#[test]
fn the_installed_programs_know_every_flag_that_a_lab_passes() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    let output = command.args(["doctor", "--programs", "--json"]).output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    for program in result["programs"].as_array().unwrap() {
        let expected = if has_programs(&result) { json!([]) } else { Value::Null };
        assert_eq!(program["refused_flags"], expected, "{program}");
    }
}
