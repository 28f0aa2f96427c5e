//! Load from pods of the lab: nothing is lost or counted twice, and an agent that fails is named.

use std::env::consts::ARCH;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::debian::{has_packages, package_files};
use crate::host::lab_processes_named;
use crate::lab::{Lab, eventually, text};

const JOBS: &str = "/apis/batch/v1/namespaces/evenkeel/jobs";
const PODS: &str = "/api/v1/namespaces/evenkeel/pods";
const OF_SERVER: &str = "labelSelector=app.kubernetes.io/name=server";
const OF_AGENTS: &str = "labelSelector=app.kubernetes.io/component=agent";
/// A load that leaves processors to the control plane, so that what a test does to an agent happens before the run ends.
const GENTLE: &str = "--rate=600";

/// The names of the pods that a selector selects.
fn pods(lab: &Lab, selector: &str) -> Vec<String> {
    let listed = lab.kube().get(&format!("{PODS}?{selector}"));
    let items = listed["items"].as_array().unwrap().iter();
    items.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// The requests that the pods of the server have counted.
fn served(lab: &Lab) -> u64 {
    let kube = lab.kube();
    let of_pod = |pod: String| -> u64 {
        let metrics = kube.text(&format!("{PODS}/{pod}:3000/proxy/metrics"));
        let line = metrics.lines().find_map(|line| line.strip_prefix("evenkeel_requests_total "));
        line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    };
    pods(lab, OF_SERVER).into_iter().map(of_pod).sum()
}

fn jobs(lab: &Lab) -> usize {
    lab.kube().get(JOBS)["items"].as_array().unwrap().len()
}

#[test]
fn agents_send_the_load_and_leave_nothing() {
    let Some(lab) = Lab::new() else { return };
    lab.up();
    lab.ok(&["deploy"]);
    all_requests_arrive_once(&lab);
    clocks_that_differ_by_hours_do_not_matter(&lab);
    an_agent_that_is_killed_is_named(&lab);
    an_agent_that_stands_still_is_named(&lab);
    ctrl_c_ends_all(&lab);
    what_a_killed_test_leaves_is_removed(&lab);
    a_namespace_that_forbids_pods_says_so(&lab);
}

#[test]
fn agents_on_several_nodes_are_named_when_their_node_goes() {
    let Some(lab) = Lab::new() else { return };
    lab.ok(&["up", "--install-tools", "--nodes", "3"]);
    lab.ok(&["deploy", "--replicas", "3"]);
    all_requests_arrive_once(&lab);
    each_node_has_an_agent(&lab);
    the_end_of_the_api_server_is_reported(&lab);
    the_agent_of_a_drained_node_is_named(&lab);
    // Agents avoid the nodes of the server's pods, so each node needs one again.
    lab.ok(&["test", "--warmup", "0", "-d", "2s", "--during", "rollout@0"]);
    the_agent_of_a_dead_node_is_named(&lab);
}

/// The agents of a run with these events, with its exit code and stderr.
fn agents_during(lab: &Lab, events: &str) -> (Vec<Value>, Option<i32>, String) {
    until_none_is_left(lab);
    let arguments = ["--json", "test", "--agents", "3", GENTLE, "--warmup", "0", "-d", "8s", "--during", events];
    let output = lab.run(&arguments);
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap_or_default();
    let agents = report["runs"][0]["agents"].as_array().cloned().unwrap_or_default();
    (agents, output.status.code(), text(&output.stderr))
}

/// The agent of this node, which is the only one in trouble.
fn only_trouble(agents: &[Value], node: &str) -> String {
    let (troubled, well): (Vec<_>, Vec<_>) = agents.iter().partition(|agent| !agent["trouble"].is_null());
    assert!(troubled.len() == 1 && troubled[0]["node"] == json!(node), "{agents:#?}");
    assert!(well.iter().all(|agent| agent["requests"].as_u64() > Some(0)), "{agents:#?}");
    troubled[0]["trouble"].as_str().unwrap().to_owned()
}

fn each_node_has_an_agent(lab: &Lab) {
    let (agents, code, said) = agents_during(lab, "rollout@1s");
    assert_eq!(code, Some(0), "{said}");
    let mut nodes: Vec<_> = agents.iter().map(|agent| agent["node"].as_str().unwrap()).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["ci-0", "ci-1", "ci-2"]);
}

fn the_agent_of_a_drained_node_is_named(lab: &Lab) {
    let (agents, code, said) = agents_during(lab, "drain:1@2s,uncordon:1@6s");
    assert!(code == Some(1) && said.contains("the result is partial"), "{said}");
    assert_eq!(only_trouble(&agents, "ci-1"), "it was told to end before the run was over");
    assert!(agents.iter().all(|agent| agent["errors"] == 0 && agent["requests"].as_u64() > Some(0)), "{agents:#?}");
}

fn the_end_of_the_api_server_is_reported(lab: &Lab) {
    let (agents, code, said) = agents_during(lab, "kill:kube-apiserver@2s");
    assert_eq!((agents.len(), code), (0, Some(1)), "{said}");
    assert!(said.contains("the connection to it was lost") && said.contains("API server"), "{said}");
    eventually("the end of the Job", || (jobs(lab) == 0).then_some(()));
}

fn the_agent_of_a_dead_node_is_named(lab: &Lab) {
    let (agents, code, said) = agents_during(lab, "kill-node:2@2s");
    assert!(code == Some(1) && said.contains("the result is partial"), "{said}");
    only_trouble(&agents, "ci-2");
}

fn all_requests_arrive_once(lab: &Lab) {
    let before = served(lab);
    let report = lab.json(&["test", "--agents", "2", "--requests", "1001", "--warmup", "0"]);
    let run = &report["runs"][0];
    assert_eq!(run["requests"]["answered"], 1001, "{run:#}");
    assert_eq!(served(lab) - before, 1001, "as the pods counted them");
    let by_pod = run["spread"]["pods"].as_array().unwrap().iter().map(|pod| pod["requests"].as_u64().unwrap());
    assert_eq!(by_pod.sum::<u64>(), 1001);
    let agents = run["agents"].as_array().unwrap();
    let requests: Vec<_> = agents.iter().map(|agent| agent["requests"].as_u64().unwrap()).collect();
    assert_eq!(requests, [501, 500], "{agents:#?}");
    assert!(agents.iter().all(|agent| agent["trouble"].is_null() && agent["clock_error_us"].is_u64()), "{agents:#?}");
    assert!(report["target"].as_str().unwrap().starts_with("http://server.evenkeel.svc"), "{}", report["target"]);
    assert_eq!(jobs(lab), 0);
}

/// To the agents, the clocks of the command line are ahead: the time of day by an hour, and the clock that runs are timed with by
/// a day.
fn clocks_that_differ_by_hours_do_not_matter(lab: &Lab) {
    if !has_packages() {
        return eprintln!("not tested: clocks that differ need libfaketime, which is downloaded with apt-get");
    }
    let library = format!("usr/lib/{ARCH}-linux-gnu/faketime/libfaketimeMT.so.1");
    let library = package_files("libfaketime").join(library);
    let script = r#"exec env LD_PRELOAD="$LIBRARY" FAKETIME=+1h DONT_FAKE_MONOTONIC=1 "$EVENKEEL" --json test --agents 2 \
        --rate 600 --warmup 500ms -d 4s"#;
    let mut command = lab.script_command(&["--time", "--monotonic=86400", "--boottime=86400", "--fork"], script);
    let before = Instant::now();
    let output = command.env("LIBRARY", library).output().unwrap();
    let (took, said) = (before.elapsed(), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let run = &report["runs"][0];
    for agent in run["agents"].as_array().unwrap() {
        assert!(agent["trouble"].is_null(), "{agent:#}");
        let (offset, error) = (agent["clock_offset_us"].as_i64().unwrap(), agent["clock_error_us"].as_i64().unwrap());
        // Half of a round trip is the error; two clocks are not read at the same moment.
        let off = (offset + 3_600_000_000).abs();
        assert!(off <= error + 1_000, "an agent is {offset} µs ahead, and should be an hour behind, within {error} µs");
    }
    let answered = run["requests"]["answered"].as_u64().unwrap();
    assert!((2_200..=2_400).contains(&answered), "{run:#}");
    assert!(took < Duration::from_secs(60), "the run of 4.5 s took {took:?}");
}

/// Waits until the pods of an earlier test, which are removed with their Job, are gone.
fn until_none_is_left(lab: &Lab) {
    eventually("the end of earlier agents", || pods(lab, OF_AGENTS).is_empty().then_some(()));
}

/// Starts a test of this duration, and waits until its agents run.
fn started(lab: &Lab, duration: &str) -> std::process::Child {
    until_none_is_left(lab);
    let mut command = lab.command(&["--json", "test", "--agents", "2", GENTLE, "--warmup", "0", "-d", duration]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("two agents", || {
        let listed = lab.kube().get(&format!("{PODS}?{OF_AGENTS}"));
        let running = |pod: &&Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        (listed["items"].as_array().unwrap().iter().filter(running).count() == 2).then_some(())
    });
    // The load has begun when the server's pods count it.
    let before = served(lab);
    eventually("load", || (served(lab) > before + 100).then_some(()));
    child
}

fn an_agent_that_is_killed_is_named(lab: &Lab) {
    let child = started(lab, "9s");
    let agents = pods(lab, OF_AGENTS);
    lab.kubectl(&["delete", "pod", &agents[0], "--namespace", "evenkeel", "--force", "--grace-period=0"]);
    let output = child.wait_with_output().unwrap();
    let (said, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the result is partial") && stderr.contains(&agents[0]), "{stderr}");
    let report: Value = serde_json::from_str(&said).unwrap();
    let named = report["runs"][0]["agents"].as_array().unwrap().clone();
    let troubled: Vec<_> = named.iter().filter(|agent| !agent["trouble"].is_null()).collect();
    assert!(troubled.len() == 1 && troubled[0]["name"] == json!(agents[0]), "{named:#?}");
    assert_eq!(jobs(lab), 0);
}

fn an_agent_that_stands_still_is_named(lab: &Lab) {
    let child = started(lab, "9s");
    let agent = Pid::from_raw(lab_processes_named("evenkeel-agent")[0]);
    kill(agent, Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    kill(agent, Signal::SIGCONT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let agents = report["runs"][0]["agents"].as_array().unwrap();
    let troubles: Vec<_> = agents.iter().filter_map(|agent| agent["trouble"].as_str()).collect();
    assert!(troubles.len() == 1 && troubles[0].starts_with("it stood still for "), "{agents:#?}");
}

fn ctrl_c_ends_all(lab: &Lab) {
    let child = started(lab, "60s");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let report: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let run = &report["runs"][0];
    assert!(run["interrupted"] == true && run["requests"]["answered"].as_u64().unwrap() > 0, "{run:#}");
    assert_eq!(jobs(lab), 0);
}

fn what_a_killed_test_leaves_is_removed(lab: &Lab) {
    let mut child = started(lab, "60s");
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the end of the load", || {
        let before = served(lab);
        std::thread::sleep(Duration::from_millis(300));
        (served(lab) == before).then_some(())
    });
    assert_eq!(jobs(lab), 1);
    assert_eq!(lab.json(&["undeploy", "--agents"])["removed"], 1);
    assert_eq!(jobs(lab), 0);
    assert!(!pods(lab, OF_SERVER).is_empty(), "only the agents are removed");
}

fn a_namespace_that_forbids_pods_says_so(lab: &Lab) {
    let quota =
        json!({"kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}});
    lab.kube().create("/api/v1/namespaces/evenkeel/resourcequotas", &quota);
    let refused = |words: &str| {
        let output = lab.run(&["test", "--agents", "2"]);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{said}");
        assert_eq!(jobs(lab), 0);
    };
    refused("exceeded quota: none");
    let pods = pods(lab, OF_SERVER).len().to_string();
    lab.kube().patch(
        "/api/v1/namespaces/evenkeel/resourcequotas/none",
        &json!({"spec": {"hard": {"count/jobs.batch": null, "pods": pods}}}),
    );
    refused("exceeded quota: none");
}
