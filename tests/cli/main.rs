//! The command line with input that cannot be used (one helpful sentence, exit code 2, nothing changed), and without a
//! lab.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that cannot continue fails its test")]

mod any_bytes;
mod doctor;
mod examples;
mod inotify;
mod named_files;
mod pages;
mod root;
mod server;
mod signals;
mod toolbox;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// The program, in a directory of its own that must stay empty.
struct World {
    directory: TempDir,
}

/// The output and exit code of a command.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.run_in(&self.directory.path().join("state"), arguments)
    }

    fn run_in(&self, state: &Path, arguments: &[&str]) -> Said {
        let mut command = Command::cargo_bin("evenkeel").unwrap();
        command.args(arguments).current_dir(self.directory.path());
        // No lab on this machine has this name.
        command.env("EVENKEEL_NAME", "cli-test").env("EVENKEEL_STATE_DIR", state);
        command.env("EVENKEEL_CACHE_DIR", self.directory.path().join("cache")).env("EVENKEEL_SUDO", "never");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Said { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Checks that the command exits with 2, prints nothing to stdout and `words` to stderr without escapes, and creates
    /// nothing.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let before = self.files();
        let said = self.run(arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout, "", "{arguments:?}");
        for word in words {
            assert!(said.stderr.contains(word), "{arguments:?} should say {word:?}: {}", said.stderr);
        }
        assert!(!said.stderr.contains('\u{1b}'), "colours in a pipe: {:?}", said.stderr);
        assert_eq!(self.files(), before, "{arguments:?} changed something");
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.directory.path().join(name), bytes).unwrap();
    }
}

#[test]
fn scale_needs_a_whole_number_in_range() {
    let world = World::new();
    for given in ["-1", "0.5", "1e9", "abc", "", "481", "99999999999999999999"] {
        world.refuses(&["scale", given], &["<N>", given, "expected a whole number from 0 to 480"]);
    }
    world.refuses(&["scale"], &["required", "<N>"]);
    world.refuses(&["scale", "2", "3"], &["unexpected argument '3'"]);
}

#[test]
fn test_refuses_bad_connections_durations_and_numbers_of_pods() {
    let world = World::new();
    world.refuses(&["test", "-c", "0"], &["'0'", "--connections", "above 0"]);
    world.refuses(&["test", "-c", "-3"], &["'-3'", "--connections"]);
    world.refuses(&["test", "-d", "0"], &["0", "expected a number above 0 with ms, s, m or h"]);
    world.refuses(&["test", "-d", "1w"], &["1w", "expected a number above 0 with ms, s, m or h"]);
    world.refuses(&["test", "-d", "-5s"], &["-5s", "expected a number above 0 with ms, s, m or h"]);
    world.refuses(&["test", "--replicas", ""], &["--replicas", "expected a whole number from 1 to 480"]);
    world.refuses(&["test", "--replicas", "2,x"], &["'x'", "expected a whole number from 1 to 480"]);
    world.refuses(&["test", "--replicas", "2,0"], &["'0'", "expected a whole number from 1 to 480"]);
    world.refuses(&["test", "--replicas", "2,9999"], &["'9999'", "from 1 to 480"]);
}

#[test]
fn a_value_that_cannot_be_used_is_named_once_with_its_flag_and_what_is_expected() {
    let world = World::new();
    for (flag, given, expected) in [
        ("--rate", "fast", "a number of requests per second"),
        ("--stages", "10s", "times and rates, such as 10s:100,30s:100..500"),
        ("--think-time", "2s..1s", "a time, such as 50ms, or the shortest and the longest, such as 20ms..80ms"),
        ("--requests-file", "/dev/null", "one JSON object with a request on each line, but it has no requests"),
        ("--seed", "x", "a whole number from 0 to"),
        ("--requests", "0", "a whole number above 0"),
        ("--reconnect-every", "-1", "a whole number above 0"),
        ("--timeout", "0", "a number above 0 with ms, s, m or h"),
        ("--warmup", "-1s", "a number above 0 with ms, s, m or h"),
        ("--workers", "x", "a whole number above 0"),
        ("--method", "CONNECT", "a method other than CONNECT"),
        ("--path", "x", "a path that begins with /"),
        ("--header", "X", "NAME: VALUE"),
        ("--expect", "fine", "classes, codes or ranges separated by commas"),
        ("--body", "@missing", "a file that can be read (No such file or directory"),
        ("--target", "ftp://127.0.0.1/", "an http:// or https:// URL"),
        ("--target", "http://127.0.0.1:0/", "a port from 1 to 65535"),
        ("--assert", "p99<5", "an assertion such as p99<5ms"),
    ] {
        let value = format!("'{given}'");
        world.refuses(&["test", flag, given], &[&value, flag, &format!("expected {expected}")]);
        let said = world.run(&["test", "--json", flag, given]);
        let error: serde_json::Value = serde_json::from_str(&said.stderr).unwrap();
        let message = error["message"].as_str().unwrap();
        assert_eq!((said.code, message.matches(&value).count()), (2, 1), "{message}");
    }
    world.refuses(&["report", "--run", "0", "-"], &["'0'", "--run", "expected a whole number above 0"]);
    world.refuses(&["test", "--assert", "p99@7<5ms", "--replicas", "2"], &["--assert", "no run at 7 pods, only at 2"]);
}

#[test]
fn test_refuses_unknown_events() {
    let world = World::new();
    world.refuses(&["test", "--during", "reboot"], &["--during", "'reboot'", "kill:COMPONENT"]);
    world.refuses(&["test", "--during", "scale:2..0"], &["expected at least 1 pod"]);
    world.refuses(&["test", "--during", "scale:2..9999"], &["9999", "from 0 to 480"]);
    world.refuses(&["test", "--during", "pause:etcd"], &["pause:kube-apiserver=5s"]);
    world.refuses(&["test", "--during", "kill-pod,rollout@soon"], &["'rollout@soon'"]);
    world.refuses(&["test", "--during", "rollout", "--target", "http://127.0.0.1/"], &["--during", "--target"]);
}

#[test]
fn soak_refuses_bad_parts_and_rounds() {
    let world = World::new();
    world.refuses(&["soak", "--rounds", "0"], &["--rounds", "above 0"]);
    world.refuses(&["soak", "--pods", "2"], &["--pods", "from 3 to"]);
    world.refuses(&["soak", "--only", "everything"], &["'everything'", "kill-pod", "components"]);
}

#[test]
fn demo_refuses_what_test_refuses() {
    let world = World::new();
    world.refuses(&["demo", "-d", "1w"], &["'1w'", "expected a number above 0"]);
    world.refuses(&["demo", "-c", "0"], &["'0'", "--connections"]);
    world.refuses(&["demo", "--replicas", "2,x"], &["'x'", "expected a whole number from 1 to 480"]);
}

#[test]
fn up_refuses_a_mode_that_kube_proxy_does_not_have() {
    let world = World::new();
    for verb in ["up", "demo"] {
        world.refuses(&[verb, "--proxy-mode", "ipvs"], &["'ipvs'", "nftables", "iptables"]);
    }
}

#[test]
fn a_similar_name_is_suggested() {
    let world = World::new();
    world.refuses(&["scael", "3"], &["'scael'", "'scale'"]);
    world.refuses(&["stat"], &["'stat'", "'status'"]);
    world.refuses(&["frobnicate"], &["'frobnicate'"]);
    world.refuses(&["logs", "--componnet", "kubelet"], &["--componnet", "--component"]);
}

#[test]
fn a_push_needs_a_repository_of_a_registry_and_archives_that_exist() {
    let world = World::new();
    for (given, said) in [
        ("evenkeel", "expected REGISTRY/REPOSITORY, such as ghcr.io/me/evenkeel"),
        ("me/evenkeel", "\"me\" is not the name of a registry"),
        ("ghcr.io/me/evenkeel:1", "without a tag or a digest"),
        ("https://ghcr.io/me/evenkeel", "without http:// or https://"),
        ("ghcr.io/Me/evenkeel", "small letters"),
    ] {
        world.refuses(&["build", "--push", given], &[given, "--push", said]);
    }
    world.refuses(&["build", "--push"], &["a value is required", "REGISTRY/REPOSITORY"]);
    world.refuses(&["build", "--archive", "a.tar"], &["required", "--push <REGISTRY/REPOSITORY>"]);
    // The registry is not asked: nothing listens there.
    let push = ["build", "--push", "127.0.0.1:1/lab", "--archive"];
    world.refuses(&[&push[..], &["missing.tar"]].concat(), &["missing.tar", "there is no such file"]);
    world.write("notes.tar", b"text");
    world.refuses(&[&push[..], &["notes.tar"]].concat(), &["notes.tar", "it is not a tar archive"]);
}

#[test]
fn deploy_refuses_what_is_not_an_image() {
    let world = World::new();
    world.write("text.tar", b"this is no archive, and it is longer than nothing");
    world.write("empty.tar", b"");
    world.refuses(&["deploy", "--image", "missing.tar"], &["missing.tar", "evenkeel build"]);
    world.refuses(&["deploy", "--image", "./missing"], &["./missing"]);
    world.refuses(&["deploy", "--image", "text.tar"], &["text.tar is not an image"]);
    world.refuses(&["deploy", "--image", "empty.tar"], &["empty.tar is not an image"]);
    world.refuses(&["deploy", "--image", "."], &["is not an image"]);
    world
        .refuses(&["deploy", "--image", "SERVER"], &["'SERVER'", "--image", "expected a file or the name of an image"]);
    world.refuses(&["deploy", "--as", "app:1"], &["--image"]);
    world.refuses(&["deploy", "--image", ""], &["''", "--image", "expected a file"]);
    world.refuses(&["deploy", "--replicas", "-1"], &["'-1'", "from 0 to 480"]);
}

#[test]
fn logs_refuse_bad_times_and_counts() {
    let world = World::new();
    world.refuses(&["logs", "--since", "yesterday"], &["'yesterday'", "expected a number above 0"]);
    world.refuses(&["logs", "--tail", "-1"], &["--tail"]);
    world.refuses(&["logs", "--component", "kubelet", "--pod", "p"], &["--component", "--pod"]);
}

#[test]
fn a_name_of_a_lab_must_fit_an_interface_name() {
    let world = World::new();
    for given in ["", "Lab", "a-name-far-too-long", "../x"] {
        world.refuses(&["--name", given, "status"], &["--name", given, "expected 1 to 12 lower-case letters"]);
    }
}

#[test]
fn a_file_in_place_of_the_state_directory_is_not_changed() {
    let world = World::new();
    world.write("file", b"precious");
    for verb in ["up", "down", "status", "deploy", "demo", "logs"] {
        for state in ["file", "file/deeper"] {
            let said = world.run_in(&world.directory.path().join(state), &[verb]);
            assert_eq!(said.code, 2, "{verb}: {}", said.stderr);
            assert!(said.stderr.contains("file is a file"), "{verb}: {}", said.stderr);
        }
    }
    assert_eq!(fs::read(world.directory.path().join("file")).unwrap(), b"precious");
}

#[test]
fn verbs_that_need_a_lab_say_how_to_start_one() {
    let world = World::new();
    let verbs: [&[&str]; 6] =
        [&["deploy"], &["scale", "3"], &["logs"], &["logs", "--component", "kubelet"], &["test"], &["status"]];
    for arguments in verbs {
        let said = world.run(arguments);
        assert_eq!(said.code, 1, "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stderr, "error: no lab is up\nhint: start one: evenkeel up\n", "{arguments:?}");
        assert_eq!(said.stdout, "", "{arguments:?}");
    }
    assert!(world.files().is_empty());
}

#[test]
fn with_json_an_error_is_json() {
    let said = World::new().run(&["scale", "-1", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&said.stderr).unwrap();
    assert_eq!((said.code, &error["event"], &error["exit_code"]), (2, &"error".into(), &2.into()));
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("invalid value '-1' for '<N>': expected a whole number from 0 to 480")
    );
    assert_eq!(said.stdout, "");
}

#[tokio::test]
async fn a_broken_kubeconfig_is_named() {
    let world = World::new();
    let path = world.directory.path().join("kubeconfig");
    for content in ["", "not: [yaml", "{}", "apiVersion: v1\nkind: Config\ncurrent-context: gone\n"] {
        fs::write(&path, content).unwrap();
        let error = evenkeel::cluster::client_by(&path).await.err().unwrap();
        assert!(matches!(error, evenkeel::cluster::ClusterError::Kubeconfig { .. }), "{content:?}: {error}");
        assert!(error.to_string().contains("kubeconfig"));
    }
}

#[test]
fn completions_print_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let said = World::new().run(&["completions", shell]);
        assert_eq!(said.code, 0);
        assert!(said.stdout.contains("evenkeel") && said.stdout.contains("scale"), "{shell}");
    }
}

#[test]
fn help_shows_every_verb() {
    let help = World::new().run(&["--help"]);
    let verbs = ["up", "deploy", "scale", "logs", "test", "report", "status", "demo", "down", "doctor", "build"];
    for verb in verbs.into_iter().chain(["completions"]) {
        assert!(help.stdout.contains(&format!("\n  {verb} ")), "{verb} is missing: {}", help.stdout);
    }
    assert!(!help.stdout.contains("sandbox"), "the sandbox must be hidden");
    assert_eq!(World::new().run(&["--version"]).stdout, format!("evenkeel {}\n", env!("CARGO_PKG_VERSION")));
}
