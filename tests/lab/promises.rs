//! The promises of `evenkeel soak`, with a few rounds each. Promises about time are not tested here, since they need a
//! quiet machine.

use serde_json::Value;

use crate::lab::{Lab, text};

/// The rows of a soak. Its exit code is ignored, since a busy machine breaks promises about time.
fn soak(lab: &Lab, arguments: &[&str]) -> Vec<Value> {
    let arguments = [&["--json", "soak"], arguments].concat();
    let output = lab.run(&arguments);
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", text(&output.stderr)));
    said["rows"].as_array().cloned().unwrap()
}

fn of<'a>(rows: &'a [Value], event: &str, load: &str) -> &'a Value {
    let mut found = rows.iter().filter(|row| row["event"] == event && row["load"] == load);
    found.next().unwrap_or_else(|| panic!("no row {event:?} under {load:?}: {rows:#?}"))
}

#[test]
fn only_a_kill_loses_requests() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);

    let rows = soak(&lab, &["--rounds", "3", "--only", "pods,control"]);
    for load in ["keepalive", "no-keepalive"] {
        for event in ["scale 2 → 10 → 2", "rolling restart", "new image", "pod delete"] {
            let row = of(&rows, event, load);
            assert_eq!(
                (&row["rounds"], &row["failed"], &row["broken"]),
                (&3.into(), &0.into(), &Value::Null),
                "{row:#}"
            );
            assert!(row["requests"].as_u64() > Some(0), "{row:#}");
        }
    }
    let control = of(&rows, "restart without a drain", "keepalive");
    assert!(control["failed"].as_u64() > Some(0), "without the drain requests must fail: {control:#}");
    assert_eq!(rows.len(), 9, "{rows:#?}");

    let rows = soak(&lab, &["--rounds", "1", "--only", "kill-pod,components"]);
    let killed = of(&rows, "SIGKILL of a container", "keepalive");
    assert_eq!(killed["rounds"], 1, "{killed:#}");
    // The killed pod may have no connection, and then no request fails.
    assert!(!killed["broken"].as_str().unwrap_or_default().contains("failed"), "{killed:#}");
    let components: Vec<&Value> = rows.iter().filter(|row| row["event"] != killed["event"]).collect();
    assert_eq!(components.len(), 7, "{rows:#?}");
    for row in components {
        assert_eq!((&row["rounds"], &row["failed"]), (&1.into(), &0.into()), "{row:#}");
        let broken = row["broken"].as_str().unwrap_or_default();
        assert!(broken.is_empty() || broken.starts_with("the component was ready after"), "{row:#}");
    }
}

/// kube-proxy is paused for longer than the drain time, so its rules still lead to the pod when the drain time is over and
/// the pod drains longer.
fn rules_that_change_late_lose_nothing(lab: &Lab) {
    let late = "pause:kube-proxy=4500ms@2s,delete-pod@2300ms";
    let said = lab.json(&["test", "--no-keepalive", "--during", late, "--assert", "failed==0"]);
    let events = said["runs"][0]["events"].as_array().unwrap();
    let deleted = events.iter().find(|event| event["what"] == "delete a pod").unwrap();
    let took = deleted["over_second"].as_f64().unwrap() - deleted["second"].as_f64().unwrap();
    assert!(took > 3.5, "the rules changed after {took} s, within the drain time of 3 s: {events:#?}");
}

#[test]
fn events_of_a_run_are_in_its_report() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);
    let said = lab.json(&["test", "--during", "scale:2..3,pause:kube-scheduler=1s", "--assert", "failed==0"]);
    let run = &said["runs"][0];
    let events: Vec<&str> =
        run["events"].as_array().unwrap().iter().map(|event| event["what"].as_str().unwrap()).collect();
    assert_eq!(events, ["scale to 2 pods", "scale to 3 pods", "pause kube-scheduler for 1 s"]);
    for event in run["events"].as_array().unwrap() {
        assert!(event["over_second"].as_f64() >= event["second"].as_f64(), "{event:#}");
        assert_eq!((&event["trouble"], &event["impact"]["failures"]), (&Value::Null, &0.into()), "{event:#}");
    }
    let paused = run["events"][2]["over_second"].as_f64().unwrap() - run["events"][2]["second"].as_f64().unwrap();
    assert!(paused >= 1.0, "kube-scheduler was paused for {paused} s");
    assert_eq!(run["spread"]["uniformity"], Value::Null, "no test of uniformity when the number of pods changes");
    rules_that_change_late_lose_nothing(&lab);

    let refused = lab.run(&["test", "--during", "kill:etcdd"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(said.contains("\"etcdd\"") && said.contains("etcd, "), "{said}");
    let missed = lab.run(&["test", "--during", "kill-pod", "--assert", "failed==0"]);
    assert_eq!(missed.status.code(), Some(1), "{}", text(&missed.stderr));
}
