//! No panic can be reached by arguments, environment or files: each of them may hold any bytes.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::Stdio;

use assert_cmd::Command;
use evenkeel::report::{Format, Look};
use serde_json::{Value, json};

use super::World;
use super::server::Server;

/// Each verb with arguments by which it comes as far as it can without a lab.
const VERBS: [&[&str]; 17] = [
    &["up"],
    &["deploy"],
    &["scale", "3"],
    &["test"],
    &["test", "--target", "http://127.0.0.1:9/", "-d", "10ms", "--warmup", "0"],
    &["report", "garbage"],
    &["logs"],
    &["logs", "--component", "kubelet"],
    &["status"],
    &["status", "--context", "prod"],
    &["build"],
    &["toolbox", "export", "toolbox.tar.gz"],
    &["toolbox", "import", "garbage"],
    &["doctor"],
    &["demo"],
    &["soak"],
    &["down"],
];

/// Every option that takes a value, with a verb that has it.
const OPTIONS: [&[&str]; 47] = [
    &["status", "--name"],
    &["status", "--state-dir"],
    &["status", "--cache-dir"],
    &["status", "--kubeconfig"],
    &["status", "--context"],
    &["rbac"],
    &["rbac", "--namespace"],
    &["up", "--proxy-mode"],
    &["deploy", "--image"],
    &["deploy", "--replicas"],
    &["deploy", "--manifests"],
    &["demo", "--html"],
    &["scale"],
    &["logs", "--since"],
    &["logs", "--tail"],
    &["logs", "--pod"],
    &["logs", "--component"],
    &["soak", "--rounds"],
    &["soak", "--connections"],
    &["soak", "--only"],
    &["completions"],
    &["toolbox", "export"],
    &["toolbox", "import"],
    &["report"],
    &["report", "garbage", "--run"],
    &["report", "garbage", "--output"],
    &["test", "--connections"],
    &["test", "--duration"],
    &["test", "--requests"],
    &["test", "--rate"],
    &["test", "--stages"],
    &["test", "--timeout"],
    &["test", "--warmup"],
    &["test", "--workers"],
    &["test", "--reconnect-every"],
    &["test", "--method"],
    &["test", "--header"],
    &["test", "--body"],
    &["test", "--path"],
    &["test", "--replicas"],
    &["test", "--repeat"],
    &["test", "--compare"],
    &["test", "--during"],
    &["test", "--assert"],
    &["test", "--baseline"],
    &["test", "--target"],
    &["test", "--html"],
];

/// Variables that the program, or a crate that it uses, reads.
const VARIABLES: [&str; 34] = [
    "EVENKEEL_NAME",
    "EVENKEEL_STATE_DIR",
    "EVENKEEL_CACHE_DIR",
    "EVENKEEL_SUDO",
    "EVENKEEL_MANIFESTS",
    "EVENKEEL_SERVER_IMAGE",
    "EVENKEEL_PAUSE_IMAGE",
    "EVENKEEL_SOURCE",
    "HOME",
    "PATH",
    "CNI_PATH",
    "CARGO",
    "CARGO_HOME",
    "TMPDIR",
    "TERM",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "FORCE_COLOR",
    "LANG",
    "TZ",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "KUBECONFIG",
    "SUDO_UID",
    "SUDO_GID",
    "SUDO_USER",
    "USER",
];

/// Values that are no path, no number, no UTF-8, or too large.
const VALUES: [&[u8]; 11] = [
    b"\xff.html",
    b"",
    b"-",
    b"@\xff",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"1e400",
    "\u{e9}\u{1f600}\u{301}".as_bytes(),
    b"a:\xff",
    b"..",
    b"%s%n\n\x1b[31m",
];

struct Outcome {
    code: Option<i32>,
    stderr: String,
}

/// Runs the program in the world, in an environment in which no lab and no cluster program is found, with `variables`
/// on top.
fn run(world: &World, arguments: &[OsString], variables: &[(&str, &OsStr)]) -> Outcome {
    let mut command = Command::cargo_bin("evenkeel").unwrap();
    command.args(arguments).current_dir(world.directory.path());
    command.env_clear().env("PATH", world.directory.path()).env("EVENKEEL_NAME", "cli-test");
    command.env("EVENKEEL_SUDO", "never");
    for (name, directory) in
        [("EVENKEEL_STATE_DIR", "state"), ("EVENKEEL_CACHE_DIR", "cache"), ("EVENKEEL_SOURCE", "none")]
    {
        command.env(name, world.directory.path().join(directory));
    }
    let output = command.envs(variables.iter().copied()).timeout(std::time::Duration::from_secs(120)).output().unwrap();
    Outcome { code: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
}

/// No panic, no signal, and one of the exit codes that are promised.
#[track_caller]
fn assert_sensible(outcome: &Outcome, what: &dyn std::fmt::Debug) {
    assert!(!outcome.stderr.contains("panicked"), "{what:?}: {}", outcome.stderr);
    assert!(matches!(outcome.code, Some(0..=2)), "{what:?}: {:?}: {}", outcome.code, outcome.stderr);
    assert!(outcome.code == Some(0) || outcome.stderr.contains("error"), "{what:?}: {}", outcome.stderr);
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn all(arguments: &[&str]) -> Vec<OsString> {
    arguments.iter().map(OsString::from).collect()
}

#[test]
fn arguments_of_any_bytes_do_not_panic() {
    let world = World::new();
    world.write("garbage", b"\xff\xfe\x00garbage");
    for option in OPTIONS {
        for value in VALUES {
            // A name that could be one would be looked up in the network.
            if option == ["test", "--target"] && value.is_ascii() && !value.starts_with(b"-") && !value.contains(&b':')
            {
                continue;
            }
            let arguments = [all(option), vec![os(value)]].concat();
            assert_sensible(&run(&world, &arguments, &[]), &arguments);
        }
    }
}

#[test]
fn a_path_of_any_bytes_is_used_as_it_is() {
    let world = World::new();
    let server = Server::new();
    let path = world.directory.path().join(OsStr::from_bytes(b"\xff.html"));
    let mut arguments =
        all(&["test", "--target", &server.url(), "-c", "1", "-d", "1s", "--warmup", "0", "--rate", "20"]);
    arguments.extend([OsString::from("--html"), path.clone().into_os_string()]);
    let outcome = run(&world, &arguments, &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    // The page tells the command that made it, in a form that can be pasted.
    assert!(fs::read_to_string(&path).unwrap().contains(r"\xff.html"));
}

#[test]
fn an_environment_of_any_bytes_does_not_panic() {
    let world = World::new();
    world.write("garbage", b"\xff\xfe\x00garbage");
    for name in VARIABLES {
        for value in [&b"\xff"[..], b"", b"-1", b"99999999999999999999", b"http://[::1", b"\xff:/\xff"] {
            // Of all verbs, this one comes furthest in the shortest time.
            assert_sensible(&run(&world, &all(&["status"]), &[(name, &os(value))]), &(name, os(value)));
        }
    }
    // The first four may end a verb before it begins, so the rest go with valid ones.
    for value in [&b"\xff"[..], b"", b"99999999999999999999"] {
        let value = os(value);
        let variables: Vec<(&str, &OsStr)> = VARIABLES[4..].iter().map(|name| (*name, value.as_os_str())).collect();
        for verb in VERBS {
            assert_sensible(&run(&world, &all(verb), &variables), &(verb, &value));
        }
    }
}

#[test]
fn directories_that_cannot_be_named_in_configuration_are_refused() {
    let world = World::new();
    for (flag, variable) in [("--state-dir", "EVENKEEL_STATE_DIR"), ("--cache-dir", "EVENKEEL_CACHE_DIR")] {
        for verb in ["up", "status", "down", "build"] {
            let outcome = run(&world, &all(&[verb]), &[(variable, OsStr::from_bytes(b"/\xff"))]);
            assert_eq!(outcome.code, Some(2), "{verb}: {}", outcome.stderr);
            assert!(outcome.stderr.contains(flag) && outcome.stderr.contains("UTF-8"), "{verb}: {}", outcome.stderr);
        }
    }
}

#[test]
fn files_of_any_bytes_do_not_panic() {
    let world = World::new();
    let deep = "[".repeat(100_000);
    let mut aliases = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (inner, outer) in ('a'..='i').zip('b'..='j') {
        let ninefold = format!("*{inner},").repeat(9);
        writeln!(aliases, "{outer}: &{outer} [{ninefold}]").unwrap();
    }
    let contents: [&[u8]; 12] = [
        b"",
        b"\xff\xfe\x00",
        b"{}",
        b"[]",
        b"null",
        b"\0\0\0\0",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\x00\x00",
        deep.as_bytes(),
        aliases.as_bytes(),
        &[b'9'; 4096],
        br#"{"schema_version": 1, "runs": [{}]}"#,
    ];
    for content in contents {
        world.write("file.tar", content);
        let file = world.directory.path().join("file.tar");
        let short = &content[..content.len().min(20)];
        let formats = ["--table", "--html", "--md", "--csv", "--pods-csv", "--hgrm", "--hlog", "--json"];
        for format in formats {
            assert_sensible(&run(&world, &all(&["report", "file.tar", format]), &[]), &(format, short));
        }
        for arguments in [
            &["deploy", "--image", "file.tar"][..],
            &["test", "--baseline", "file.tar"],
            &["test", "--body", "@file.tar"],
            &["status", "--state-dir", "file.tar"],
            &["toolbox", "import", "file.tar"],
            &["build", "--cache-dir", "file.tar"],
            &["doctor", "--cache-dir", "file.tar"],
        ] {
            assert_sensible(&run(&world, &all(arguments), &[]), &(arguments, short));
        }
        for variable in ["EVENKEEL_SERVER_IMAGE", "EVENKEEL_PAUSE_IMAGE"] {
            assert_sensible(&run(&world, &all(&["build"]), &[(variable, file.as_os_str())]), &(variable, short));
        }
        for name in manifests() {
            let directory = manifests_with(&world, &name, content);
            let outcome = run(&world, &all(&["deploy"]), &[("EVENKEEL_MANIFESTS", directory.as_os_str())]);
            assert_sensible(&outcome, &(name, short));
        }
    }
}

/// Each number of a report in turn, as far as a report with it can be read.
#[test]
fn a_report_with_any_number_does_not_panic() {
    let world = World::new();
    let server = Server::new();
    let run =
        ["test", "--target", &server.url(), "-c", "2", "-d", "1s", "--warmup", "0", "--rate", "50", "--repeat", "2"];
    let outcome = run_with(&world, &run, "--json-file", "report.json");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let report: Value = serde_json::from_slice(&fs::read(world.directory.path().join("report.json")).unwrap()).unwrap();
    let mut places = Vec::new();
    numbers(&report, String::new(), &mut places);
    assert!(places.len() > 40, "{places:?}");
    let (mut panicked, mut exports) = (Vec::new(), 0);
    for place in &places {
        for value in [json!(0), json!(1), json!(u64::MAX), json!(i64::MIN), json!(1e308), json!(-0.5)] {
            let mut changed = report.clone();
            *changed.pointer_mut(place).unwrap() = value.clone();
            let Ok(changed) = evenkeel::report::read(&changed.to_string(), "report.json") else { continue };
            for format in
                [Format::Table, Format::Html, Format::Markdown, Format::Csv, Format::Hgrm, Format::Hlog, Format::Json]
            {
                let exported = std::panic::catch_unwind(|| format.export(&changed, Look::default()).is_ok());
                exports += 1;
                if exported.is_err() {
                    panicked.push(format!("{format:?} with {value} at {place}"));
                }
            }
        }
    }
    assert!(panicked.is_empty(), "{}", panicked.join("\n"));
    assert!(exports > 500, "only {exports} reports could be read");
}

/// The places of all numbers in a value; of a list only in its first two elements.
fn numbers(value: &Value, place: String, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(place),
        Value::Array(list) => {
            list.iter().take(2).enumerate().for_each(|(at, inner)| numbers(inner, format!("{place}/{at}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| numbers(inner, format!("{place}/{name}"), found));
        }
        _ => {}
    }
}

fn run_with(world: &World, arguments: &[&str], flag: &str, file: &str) -> Outcome {
    run(world, &all(&[arguments, &[flag, file]].concat()), &[])
}

#[test]
fn what_is_no_file_does_not_panic_and_is_not_waited_for() {
    let world = World::new();
    nix::unistd::mkfifo(&world.directory.path().join("pipe.tar"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(world.directory.path().join("directory.tar")).unwrap();
    for file in ["pipe.tar", "directory.tar", "/dev/null"] {
        let outcome = run(&world, &all(&["deploy", "--image", file]), &[]);
        // A pipe can be read only once, so that another user than root is told first that root is needed.
        let needs_root = file == "pipe.tar" && !nix::unistd::geteuid().is_root();
        assert_eq!(outcome.code, Some(if needs_root { 1 } else { 2 }), "{file}: {}", outcome.stderr);
    }
    for file in ["directory.tar", "/dev/null"] {
        assert_sensible(&run(&world, &all(&["report", file]), &[]), &file);
    }
    for file in ["pipe.tar", "directory.tar", "/dev/null"] {
        let outcome = run(&world, &all(&["toolbox", "import", file]), &[]);
        assert_eq!(outcome.code, Some(2), "{file}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("it is not a regular file"), "{file}: {}", outcome.stderr);
    }
    for file in ["directory.tar", "/dev/null"] {
        assert_sensible(&run(&world, &all(&["test", "--body", &format!("@{file}")]), &[]), &file);
    }
}

#[test]
fn a_closed_pipe_does_not_panic() {
    for arguments in [&["--help"][..], &["completions", "bash"], &["status", "--help"], &["frobnicate"]] {
        let script = format!("set -o pipefail; \"$EVENKEEL\" {} 2>&1 | true; [ $? -ne 101 ]", arguments.join(" "));
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script]).env("EVENKEEL", env!("CARGO_BIN_EXE_evenkeel")).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
}

/// The names of the manifests that this program carries.
fn manifests() -> Vec<OsString> {
    let entries = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests")).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

/// A copy of them with another content for one.
fn manifests_with(world: &World, name: &OsStr, content: &[u8]) -> PathBuf {
    let directory = world.directory.path().join("manifests");
    fs::create_dir_all(&directory).unwrap();
    for other in manifests() {
        let from = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests")).join(&other);
        fs::copy(from, directory.join(&other)).unwrap();
    }
    fs::write(directory.join(name), content).unwrap();
    directory
}
