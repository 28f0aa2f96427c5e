//! A rolling update under load replaces every pod and loses no request.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::lab::{Lab, eventually, text};
use crate::walk::names;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/evenkeel/deployments/server";

#[test]
fn a_rolling_update_loses_nothing() {
    loses_nothing(&[]);
}

#[test]
fn a_rolling_update_loses_nothing_over_http_2() {
    loses_nothing(&["--http2", "-c", "10", "--streams", "20"]);
}

#[test]
fn a_rolling_update_loses_no_stream_of_messages_over_grpc() {
    const MESSAGE: &str = r#"{"text":"a","count":10,"interval_ms":20}"#;
    let method = "evenkeel.v1.Echo/EchoStream";
    let run = loses_nothing(&["--grpc", method, "--message", MESSAGE, "-c", "10", "--streams", "5"]);
    let Some(run) = run else { return };
    // Each stream that ended had all of its messages, also on a pod that was stopped meanwhile.
    let answered = run["requests"]["answered"].as_u64().unwrap();
    assert!(answered > 100 && run["messages"]["received"].as_u64().unwrap() >= 10 * answered, "{run:#}");
}

/// Updates under load with these flags. Returns the run, unless there can be no lab here.
fn loses_nothing(load: &[&str]) -> Option<Value> {
    let lab = Lab::new()?;
    lab.up();
    lab.ok(&["deploy", "--replicas", "2"]);
    let before = names(&lab);

    let mut command = lab.command(&[&["--json", "test", "-d", "12s", "--warmup", "0"], load].concat());
    let test = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let kube = lab.kube();
    let answered = |pod: &str| {
        let metrics = kube.text(&format!("/api/v1/namespaces/evenkeel/pods/{pod}:3000/proxy/metrics"));
        !metrics.contains("evenkeel_requests_total 0\n")
    };
    eventually("the load has begun", || before.iter().any(|pod| answered(pod)).then_some(()));
    kube.patch(
        DEPLOYMENT,
        &json!({ "spec": { "template": { "metadata": { "annotations": { "restarted": "yes" } } } } }),
    );
    eventually("all pods are new ones", || {
        let now = names(&lab);
        (now.len() == 2 && now.is_disjoint(&before)).then_some(())
    });

    let output = test.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = report["runs"][0].take();
    assert_eq!((&run["errors"], &run["requests"]["non_2xx"]), (&0.into(), &0.into()), "{run:#}");
    let served = run["spread"]["pods"].as_array().unwrap();
    let by = |old: bool| served.iter().any(|pod| before.contains(pod["name"].as_str().unwrap()) == old);
    assert!(by(true) && by(false), "old and new pods served requests: {served:#?}");
    Some(run)
}
