//! Signals: what is ignored when the program starts stays ignored, and a second Ctrl-C does not wait for the undo.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::World;
use super::server::Server;

/// Long enough for the slowest machine; a test that fails ends here.
const DEADLINE: Duration = Duration::from_secs(60);

/// `evenkeel` with these arguments, started by a shell that ignores the signals called `ignored`.
fn started(world: &World, ignored: &str, arguments: &[&str]) -> Child {
    // The tests may have inherited ignored signals themselves.
    let mut command = Command::new("env");
    command.args([
        "--default-signal=HUP,INT,TERM",
        "sh",
        "-c",
        &format!("trap '' {ignored}; exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_evenkeel"),
    ]);
    command.args(arguments).current_dir(world.directory.path()).env("EVENKEEL_NAME", "cli-test");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

/// The exit code, once it has ended; `meanwhile` is called until then.
fn ended(child: &mut Child, mut meanwhile: impl FnMut(&Child)) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if began.elapsed() > DEADLINE {
            child.kill().unwrap();
        }
        meanwhile(child);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let world = World::new();
    for (name, signal) in [("HUP", Signal::SIGHUP), ("INT", Signal::SIGINT), ("TERM", Signal::SIGTERM)] {
        for (ignored, code) in [(name, 0), ("HUP INT TERM", 0), ("USR1", 130)] {
            let server = Server::new();
            let url = server.url();
            let run = ["test", "--target", &url, "-c", "1", "-d", "2s", "--warmup", "0", "--rate", "20"];
            let mut child = started(&world, ignored, &run);
            server.wait_for_a_request();
            send(&child, signal);
            assert_eq!(ended(&mut child, |_| {}), Some(code), "{signal}, with {ignored} ignored");
        }
    }
}

#[test]
fn a_second_interrupt_ends_what_hangs_and_says_what_may_be_left() {
    let world = World::new();
    // The report is written in the end, and nobody ever opens the other end of the pipe.
    let pipe = world.directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let server = Server::new();
    let url = server.url();
    let run = ["test", "--target", &url, "-c", "1", "-d", "60s", "--warmup", "0", "--rate", "20", "--html", "pipe"];
    let mut child = started(&world, "USR1", &run);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    server.wait_for_a_request();
    send(&child, Signal::SIGINT);
    let first = lines.find(|line| line.starts_with("interrupted")).unwrap();
    assert!(first.contains("Ctrl-C again"), "{first}");
    let code = ended(&mut child, |child| send(child, Signal::SIGINT));
    let rest: Vec<String> = lines.collect();
    assert_eq!(code, Some(130), "{rest:?}");
    let error = rest.iter().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.contains("before the undo was complete"), "{rest:?}");
    assert!(
        rest.iter().any(|line| line.starts_with("hint: ") && line.contains("evenkeel --name cli-test down")),
        "{rest:?}"
    );
}
