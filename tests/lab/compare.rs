//! Load at several numbers of pods, and with client-side balancing. The counts are compared with those of the pods.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::lab::{Kube, Lab, eventually, text};

const PODS: &str = "/api/v1/namespaces/evenkeel/pods";

#[test]
fn every_request_is_counted_where_it_was_served() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy", "--replicas", "2"]);
    let page = lab.state().join("report.html");

    let exactly = ["test", "--warmup", "0", "--requests", "20000"];
    let files = ["--replicas", "2,10", "--html", page.to_str().unwrap()];
    let report = lab.json(&[&exactly[..], &files].concat());
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["replicas"].as_u64()).collect::<Vec<_>>(), [Some(2), Some(10)]);
    for run in runs {
        let served: u64 = requests(run).values().sum();
        assert_eq!((served, &run["requests"]["answered"]), (20_000, &20_000.into()));
        spread_is_reported(run);
    }
    the_pods_counted_the_same(&lab.kube(), runs);
    the_environment_is_reported(&report);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(requests(&runs[1]).keys().all(|pod| page.contains(pod.as_str())), "the HTML page names every pod");

    the_client_balances_evenly(&lab);
    an_interrupted_run_removes_its_route(&lab);
    let said = lab.ok(&["test", "--compare", "keepalive,no-keepalive,client", "-d", "500ms", "--warmup", "0"]);
    for row in ["│keepalive", "│no-keepalive", "│client", "The busiest pod served "] {
        assert!(said.replace("│ ", "│").contains(row), "{row} is missing: {said}");
    }
    assert_eq!(pod_routes(), "");
}

/// Requests by pod.
fn requests(run: &Value) -> BTreeMap<String, u64> {
    let pods = run["spread"]["pods"].as_array().unwrap().iter();
    pods.map(|pod| (pod["name"].as_str().unwrap().to_owned(), pod["requests"].as_u64().unwrap())).collect()
}

fn spread_is_reported(run: &Value) {
    let (spread, replicas) = (&run["spread"], run["replicas"].as_u64().unwrap());
    assert_eq!(
        (&spread["balancer"], &spread["connections"], &run["mode"]),
        (&"kube-proxy".into(), &30.into(), &"keepalive".into())
    );
    assert_eq!(spread["uniformity"]["degrees_of_freedom"], replicas - 1);
    assert_eq!(spread["uniformity"]["tests"], 2, "the significance level is corrected for two runs");
    assert!(spread["evenness_of_requests"]["jain_index"].is_f64() && spread["chance"]["busiest"].is_f64(), "{spread}");
    assert!(spread["pods"].as_array().unwrap().iter().all(|pod| pod["restarts"] == 0), "{spread}");
    let took = run["pod_use"].as_array().unwrap();
    assert_eq!(took.len() as u64, replicas);
    for pod in took {
        let memory = pod["memory_bytes"].as_u64().unwrap();
        assert!((100_000..64 << 20).contains(&memory), "{pod}");
        assert_eq!((&pod["restarts"], &pod["throttled_periods"]), (&0.into(), &0.into()));
    }
    assert!(took.iter().map(|pod| pod["cpu_seconds"].as_f64().unwrap()).sum::<f64>() > 0.0, "{run}");
}

/// Probes and requests to `/metrics` are not counted.
fn the_pods_counted_the_same(kube: &Kube, runs: &[Value]) {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for pod in kube.get(PODS)["items"].as_array().unwrap() {
        expected.insert(pod["metadata"]["name"].as_str().unwrap().to_owned(), 0);
    }
    for (pod, served) in runs.iter().flat_map(requests) {
        *expected.get_mut(&pod).unwrap() += served;
    }
    let counted = |pod: &String| {
        let metrics = kube.text(&format!("{PODS}/{pod}:3000/proxy/metrics"));
        let line = metrics.lines().find_map(|line| line.strip_prefix("evenkeel_requests_total "));
        line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    };
    let counted: BTreeMap<String, u64> = expected.keys().map(|pod| (pod.clone(), counted(pod))).collect();
    assert_eq!(counted, expected);
}

fn the_environment_is_reported(report: &Value) {
    let environment = &report["environment"];
    for (name, part) in [
        ("kernel", "."),
        ("CPU", " × "),
        ("Kubernetes", "v1.36"),
        ("container runtime", "containerd 2"),
        ("runc", "1."),
        ("kube-proxy mode", "tables"),
        ("image", "evenkeel.local/server:"),
        ("image digest", "sha256:"),
        ("command", "test --warmup 0 --requests 20000"),
    ] {
        assert!(environment[name].as_str().is_some_and(|value| value.contains(part)), "{name}: {environment:#}");
    }
}

fn the_client_balances_evenly(lab: &Lab) {
    let report = lab.json(&["test", "--balance", "client", "--warmup", "0", "--requests", "100000"]);
    let run = &report["runs"][0];
    assert_eq!(
        (&run["mode"], &run["spread"]["balancer"], &run["errors"]),
        (&"client".into(), &"client".into(), &0.into())
    );
    let requests = requests(run);
    assert_eq!((requests.len(), requests.values().sum::<u64>()), (10, 100_000));
    let busiest = requests.values().max().unwrap();
    assert!(*busiest <= 10_500, "at most 1.05 times the mean: {requests:?}");
    assert_eq!(pod_routes(), "", "the route to the pods exists only during the run");
}

fn an_interrupted_run_removes_its_route(lab: &Lab) {
    let mut command = lab.command(&["test", "--balance", "client", "-d", "1m"]);
    let mut test = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("there is a route to the pods", || (!pod_routes().is_empty()).then_some(()));
    kill(Pid::from_raw(test.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(test.wait().unwrap().code(), Some(130));
    assert_eq!(pod_routes(), "");
}

/// The host's routes to pods.
fn pod_routes() -> String {
    let output = Command::new("ip").args(["-4", "route", "show", "table", "all", "root", "10.244.0.0/16"]).output();
    text(&output.unwrap().stdout)
}
