//! A user who is not root: the program runs itself again with sudo, exactly as it was called, when it must and only then.
//! sudo is a script that writes down what it gets.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A user without rights.
const NOBODY: u32 = 65534;

/// Writes its arguments down, each ended by a zero byte, and runs the command, still as the same user.
const RUNS: &str = "printf '%s\\0' \"$@\" >>\"$0.arguments\"
while [ \"$1\" != -- ]; do [ \"$1\" != -l ] || exit 0; shift; done
shift; exec \"$@\"";
/// Refuses, as the real one does without a terminal and without a rule.
const REFUSES: &str = "printf '%s\\0' \"$@\" >>\"$0.arguments\"; echo 'sudo: a password is required' >&2; exit 1";

/// The program where every user can run it, and directories in which this user can write.
struct User {
    directory: TempDir,
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl User {
    fn new() -> Self {
        let user = Self { directory: tempfile::tempdir().unwrap() };
        let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        open(user.directory.path());
        for directory in ["bin", "work"] {
            fs::create_dir(user.path(directory)).unwrap();
            open(&user.path(directory));
        }
        fs::copy(env!("CARGO_BIN_EXE_evenkeel"), user.program()).unwrap();
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self) -> PathBuf {
        self.path("bin/evenkeel")
    }

    fn with_sudo(self, script: &str) -> Self {
        fs::write(self.path("bin/sudo"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(self.path("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// The program with these arguments, as a user who is not root, in a session of its own without a terminal.
    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(self.program());
        command.args(arguments).current_dir(self.path("work"));
        command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("EVENKEEL_NAME", "cli-test").env("EVENKEEL_STATE_DIR", self.path("work/state"));
        command.env("EVENKEEL_CACHE_DIR", self.path("work/cache")).env("HOME", "/nonexistent").stdin(Stdio::null());
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        // SAFETY: setsid is async-signal-safe and touches only the child itself.
        #[allow(unsafe_code, reason = "a session can only be made between fork and exec")]
        unsafe {
            command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(std::io::Error::from));
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).output().unwrap())
    }

    /// The arguments of every call of sudo, in a row.
    fn asked(&self) -> Vec<Vec<u8>> {
        let recorded = fs::read(self.path("bin/sudo.arguments")).unwrap_or_default();
        let mut arguments: Vec<Vec<u8>> = recorded.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        arguments.pop();
        arguments
    }
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[test]
fn the_command_runs_once_more_behind_sudo_as_it_was_called() {
    let user = User::new().with_sudo(RUNS);
    let html = OsStr::from_bytes(b"a b\xff=$(x).html");
    let mut command = user.command([OsStr::new("demo"), OsStr::new("--html"), html]);
    command.env("CNI_PATH", "/a=b c").env("SECRET", "s3cret").env("NO_COLOR", "1");
    command.env("HTTPS_PROXY", "http://ann:s3cret@proxy:3128").env("http_proxy", "http://proxy:3128");
    let said = said(&command.output().unwrap());

    // The stand-in does not change the user, so the program behind it must not ask again.
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert_eq!(said.stderr.matches("This needs root: running it with sudo.\n").count(), 1, "{}", said.stderr);
    assert!(
        said.stderr.contains("sudo ran it as another user than root\nhint: run it as root: su -c "),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("HTTPS_PROXY contains a password and is not passed on"), "{}", said.stderr);
    assert_eq!(said.stdout, "");

    let asked = user.asked();
    assert!(!asked.concat().windows(6).any(|window| window == b"s3cret"), "{asked:?}");
    // Without a terminal it first asks whether sudo would ask.
    let calls: Vec<&[Vec<u8>]> = asked.split(|word| word == b"--").collect();
    assert_eq!((calls.len(), calls[0].concat()), (3, b"-n-l".to_vec()), "{asked:?}");
    let words = calls[2];
    assert_eq!(words[0], b"/usr/bin/env");
    let program = user.program();
    let at = words.iter().position(|word| word == program.as_os_str().as_bytes()).unwrap();
    assert_eq!(words[at + 1..], [&b"demo"[..], b"--html", html.as_bytes()]);
    let assignments: Vec<_> = words[1..at].iter().map(|word| String::from_utf8_lossy(word)).collect();
    for expected in ["EVENKEEL_NAME=cli-test", "CNI_PATH=/a=b c", "NO_COLOR=1", "http_proxy=http://proxy:3128"] {
        assert!(assignments.iter().any(|assignment| assignment == expected), "{expected}: {assignments:?}");
    }
    assert!(assignments.iter().any(|assignment| assignment.starts_with("PATH=")), "{assignments:?}");
}

#[test]
fn what_needs_no_root_or_is_impossible_does_not_ask_for_it() {
    let user = User::new().with_sudo(RUNS);
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["completions", "bash"], 0),
        (&["report", "missing.json"], 2),
        (&["status"], 1),
        (&["logs"], 1),
        (&["test"], 1),
        (&["test", "--compare", "keepalive,no-keepalive"], 1),
        (&["doctor"], 1),
        // Values that cannot be used, and a lab that is not there, come before root.
        (&["scale", "-1"], 2),
        (&["up", "--proxy-mode", "ipvs"], 2),
        (&["demo", "--html", "/missing/report.html"], 2),
        (&["deploy", "--image", "missing.tar"], 2),
        (&["test", "--compare", "client,client"], 2),
        (&["scale", "3"], 1),
        (&["test", "--replicas", "2,5"], 1),
        (&["test", "--balance", "client"], 1),
        (&["test", "--during", "rollout"], 1),
    ] {
        let said = user.run(arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {}{}", said.stdout, said.stderr);
        assert!(user.asked().is_empty(), "{arguments:?} ran sudo");
    }
    for verb in ["up", "demo", "down"] {
        user.run(&[verb]);
        assert!(!user.asked().is_empty(), "{verb} did not run sudo");
        fs::remove_file(user.path("bin/sudo.arguments")).unwrap();
    }
}

#[test]
fn an_answer_of_sudo_is_an_error_like_others() {
    let user = User::new().with_sudo(REFUSES);
    let refused = user.run(&["--json", "up"]);
    let lines: Vec<serde_json::Value> =
        refused.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((refused.code, lines.len(), &lines[0]["event"]), (Some(1), 1, &"error".into()), "{lines:?}");
    let message = lines[0]["message"].as_str().unwrap();
    assert!(message.ends_with("sudo did not run it: a password is required"), "{message}");
    assert_eq!(refused.stdout, "");

    let user = user.with_sudo(RUNS);
    let ran = user.run(&["up", "--json"]);
    let lines: Vec<serde_json::Value> = ran.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["event"], ran.stdout.as_str()), (2, &"note".into(), ""), "{lines:?}");
}

#[test]
fn the_hint_is_a_command_that_works_when_sudo_is_not_wanted() {
    let user = User::new().with_sudo(RUNS);
    let state = user.path("work/state");
    let mut command = user.command(["up", "--install-tools"]);
    command.env("EVENKEEL_SUDO", "never").env_remove("EVENKEEL_CACHE_DIR");
    let never = said(&command.output().unwrap());
    assert_eq!(never.code, Some(1), "{}", never.stderr);
    let hint = format!(
        "hint: run it as root: sudo EVENKEEL_NAME=cli-test EVENKEEL_STATE_DIR={} {} up --install-tools\n",
        state.display(),
        user.program().display()
    );
    assert!(never.stderr.ends_with(&hint), "{}", never.stderr);
    assert!(user.asked().is_empty());

    let unknown = said(&user.command(["up"]).env("EVENKEEL_SUDO", "no").output().unwrap());
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("\"no\" cannot be used for EVENKEEL_SUDO"), "{}", unknown.stderr);
}

/// sudo closes it, and of a pipe the program may have read everything already.
#[test]
fn a_file_that_only_the_shell_opened_is_not_lost() {
    let user = User::new().with_sudo(RUNS);
    let out = user.path("work/out");
    fs::write(&out, "").unwrap();
    let mut command = user.command(["demo", "--json-file", "/dev/stdin"]);
    fs::set_permissions(&out, fs::Permissions::from_mode(0o666)).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(&out).unwrap();
    let said = said(&command.stdin(file).output().unwrap());
    assert!(said.stderr.contains("sudo cannot pass the open file /dev/stdin on to it"), "{}", said.stderr);
    assert!(user.asked().is_empty());
}
