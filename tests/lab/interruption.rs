//! A boot that is interrupted, at each of its steps and at random times: nothing is left.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::begun::{Begun, begun};
use crate::host::Host;
use crate::lab::{Lab, text};

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL];

/// Interrupts the boot at the beginning and at the end of every step. Each time one of the signals is sent, or all of them
/// if `EVENKEEL_TEST_EVERY_SIGNAL` is set.
#[test]
fn a_boot_can_be_interrupted_at_every_step() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let mut whole = begun(&lab, &["up"]);
    let moments: Vec<(Value, Value)> = whole.events().filter_map(|event| moment(&event)).collect();
    assert_eq!(whole.ends(), Some(0));
    lab.down();
    assert!(moments.len() >= 20, "a boot has at least 10 steps: {moments:?}");

    let all = std::env::var_os("EVENKEEL_TEST_EVERY_SIGNAL").is_some();
    for (index, at) in moments.iter().enumerate() {
        for signal in SIGNALS.iter().copied().filter(|&signal| all || signal == SIGNALS[index % SIGNALS.len()]) {
            let mut up = begun(&lab, &["up"]);
            up.until(|event| moment(event).as_ref() == Some(at));
            up.signal(signal);
            let last = index + 1 == moments.len();
            assert_interrupted(&lab, &mut up, signal, &before, last, &format!("{signal} at {at:?}"));
        }
    }
    Host::look().assert_same(&before);
}

#[test]
fn a_boot_can_be_interrupted_at_any_time() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    for (index, &signal) in (0_u8..).zip(SIGNALS.iter().chain(&SIGNALS)) {
        // Multiples of the golden ratio spread the delays evenly over the three seconds of a boot. Before 0.2 s the program
        // may not have its signal handlers yet.
        let delay = 0.2 + (f64::from(seed) / 1e9 + f64::from(index) * 0.618).fract() * 3.0;
        let mut up = begun(&lab, &["up"]);
        std::thread::sleep(Duration::from_secs_f64(delay));
        up.signal(signal);
        assert_interrupted(&lab, &mut up, signal, &before, delay > 1.0, &format!("{signal} after {delay:.3} s"));
    }
    Host::look().assert_same(&before);
}

#[test]
fn a_killed_boot_is_reported_and_the_next_up_boots_again() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let mut up = begun(&lab, &["up"]);
    up.until(|event| event["event"] == "done" && event["step"] == "start etcd");
    up.signal(Signal::SIGKILL);
    up.ends();
    for arguments in [["status"].as_slice(), &["deploy"], &["scale", "3"], &["test"]] {
        let output = lab.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        for part in ["the lab has not finished booting", "evenkeel down", "evenkeel up"] {
            assert!(said.contains(part), "{arguments:?} should say {part:?}: {said}");
        }
    }
    lab.up();
    lab.ok(&["status"]);
    lab.down();
    Host::look().assert_same(&before);
}

/// The beginning or end of a step. `None` for other events.
fn moment(event: &Value) -> Option<(Value, Value)> {
    let kind = &event["event"];
    (kind == "started" || kind == "done").then(|| (kind.clone(), event["step"].clone()))
}

/// Asserts that an `up` that received a signal ends with the right exit code and leaves nothing. If the boot may have been
/// complete at that time, it may also succeed.
fn assert_interrupted(lab: &Lab, up: &mut Begun, signal: Signal, before: &Host, may_be_complete: bool, when: &str) {
    let code = up.ends();
    match (signal, code) {
        (Signal::SIGKILL, None) => lab.down(),
        (_, Some(0)) if may_be_complete => lab.down(),
        (Signal::SIGINT | Signal::SIGTERM, Some(130)) => {}
        _ => panic!("{when}: `up` ended with {code:?}"),
    }
    assert!(!lab.state().exists(), "{when}: the state directory is still there");
    let after = Host::look();
    assert_eq!(after.processes, before.processes, "{when}");
    after.assert_same_but_files(before);
}
