//! Commands that change the lab at the same time: they wait for each other, and `down` ends the one that holds the lock.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::begun::{Begun, begun};
use crate::host::Host;
use crate::lab::{Lab, NAME, text};

#[test]
fn verbs_take_turns() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let mut first = begun(&lab, &["up"]);
    first.until(|event| event["event"] == "started");
    let mut second = begun(&lab, &["up"]);
    let waits = second.until(|event| event["event"] == "detail");
    let expected = format!("waiting for `evenkeel up` (process {}, since ", first.child.id());
    assert!(waits["text"].as_str().unwrap().starts_with(&expected), "{waits}");
    assert_eq!((first.ends(), second.ends()), (Some(0), Some(0)));
    lab.ok(&["deploy", "--replicas", "1"]);

    let mut verbs: Vec<Begun> = [["scale", "4"].as_slice(), &["deploy"], &["scale", "2"], &["up"], &["scale", "3"]]
        .into_iter()
        .map(|arguments| begun(&lab, arguments))
        .collect();
    let codes: Vec<_> = verbs.iter_mut().map(Begun::ends).collect();
    assert_eq!(codes, [Some(0); 5]);
    let pods = crate::walk::names(&lab).len();
    assert!([2, 3, 4].contains(&pods), "{pods}");

    let mut owner = begun(&lab, &["deploy"]);
    owner.until(|event| event["event"] == "started");
    owner.signal(Signal::SIGSTOP);
    let mut waiter = begun(&lab, &["scale", "1"]);
    waiter.until(|event| event["event"] == "detail");
    waiter.signal(Signal::SIGINT);
    assert_eq!(waiter.ends(), Some(130));
    // The kernel releases the lock of a process that is killed.
    owner.signal(Signal::SIGKILL);
    lab.ok(&["scale", "2"]);
    owner.ends();

    let mut verbs = [begun(&lab, &["down"]), begun(&lab, &["down"])];
    assert_eq!(verbs.each_mut().map(Begun::ends), [Some(0), Some(0)]);
    Host::look().assert_same(&before);
    assert!(!Path::new("/run").join(format!("evenkeel-{NAME}.lock")).exists());
}

#[test]
fn down_ends_an_up_that_is_under_way() {
    let Some((lab, before)) = Lab::and_host() else { return };
    for stopped in [false, true] {
        let mut up = begun(&lab, &["up"]);
        up.until(|event| event["event"] == "started" && event["step"] == "start etcd");
        if stopped {
            // As with Ctrl-Z.
            up.signal(Signal::SIGSTOP);
        }
        let down = lab.run(&["down"]);
        let said = text(&down.stderr);
        assert_eq!(down.status.code(), Some(0), "{said}");
        assert!(said.contains(&format!("`evenkeel up` (process {}", up.child.id())), "{said}");
        assert_eq!(up.ends(), Some(130));
        Host::look().assert_same(&before);
        assert!(!lab.state().exists());
    }
}

#[test]
fn down_leaves_a_stranger_alone_whose_id_the_lock_names() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let mut stranger = Command::new("sleep").arg("300").spawn().unwrap();
    let lock = Path::new("/run").join(format!("evenkeel-{NAME}.lock"));
    let owner = serde_json::json!({ "verb": "up", "pid": stranger.id(), "started": 1, "since": 1 });
    std::fs::write(&lock, owner.to_string()).unwrap();
    lab.down();
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    Host::look().assert_same(&before);
    assert!(!lock.exists());

    // The same while another process holds the lock.
    std::fs::write(&lock, owner.to_string()).unwrap();
    let file = std::fs::File::open(&lock).unwrap();
    let held = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let mut down = begun(&lab, &["down"]);
    std::thread::sleep(Duration::from_millis(500));
    assert!(down.child.try_wait().unwrap().is_none(), "`down` waits for the lock");
    drop(held);
    assert_eq!(down.ends(), Some(0));
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}
