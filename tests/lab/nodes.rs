//! A lab of several nodes: boot, routes, and nodes that come and go under load.

use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::host::Host;
use crate::lab::{Lab, eventually, text};
use crate::walk::{answering, external_ip, names};

#[test]
fn nodes_come_and_go_and_no_request_is_lost() {
    let Some((lab, before)) = Lab::and_host() else { return };
    let up = lab.json(&["up", "--nodes", "2", "--zones", "2"]);
    let of = |index: usize| up["nodes"][index]["name"].as_str().unwrap().to_owned();
    assert_eq!((of(0), of(1)), ("ci-0".into(), "ci-1".into()));
    // The machine has one link, whatever the number of nodes.
    Host::look().assert_undisturbed(&before);
    for (index, zone) in ["zone-a", "zone-b"].iter().enumerate() {
        let node = lab.kube().get(&format!("/api/v1/nodes/{}", of(index)));
        assert_eq!(node["metadata"]["labels"]["topology.kubernetes.io/zone"], *zone);
    }
    let other = lab.run(&["up", "--nodes", "3"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other.stderr).contains("the lab is up with 2 nodes"), "{}", text(&other.stderr));

    lab.ok(&["deploy", "--replicas", "4"]);
    let address = external_ip(&lab);
    assert_eq!(answering(address, 200), names(&lab), "pods on each node answer");
    assert_eq!(routed(&lab), [0, 1]);

    let (kept, new) = (Load::start(&lab, &["-c", "20"]), Load::start(&lab, &["-c", "5", "--no-keepalive"]));
    let added = lab.json(&["node", "add"]);
    assert_eq!(added["node"], "ci-2");
    lab.ok(&["scale", "9"]);
    assert_eq!(routed(&lab), [0, 1, 2], "scale returns when the new node has its route");
    let removed = lab.json(&["node", "remove", "1"]);
    assert_eq!((&removed["node"], &removed["cut_connections"]), (&json!("ci-1"), &json!(0)));
    assert_eq!(routed(&lab), [0, 2]);
    assert!(!lab.kube().exists("/api/v1/nodes/ci-1"));
    for run in [kept.end(), new.end()] {
        assert!(run["requests"]["answered"].as_u64().unwrap() > 500, "{:#}", run["requests"]);
        assert_eq!((&run["errors"], &run["timeouts"]), (&json!(0), &json!(0)), "{:#}", run["faults"]);
    }
    assert_eq!(answering(address, 300), names(&lab));
    a_router_that_starts_again_removes_what_is_not_wanted(&lab);

    let first = lab.run(&["node", "remove", "ci-0"]);
    assert_eq!(first.status.code(), Some(2));
    assert!(text(&first.stderr).contains("the control plane runs on ci-0"), "{}", text(&first.stderr));
    let unknown = lab.run(&["node", "remove", "7"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("ci-0, ci-2"), "{}", text(&unknown.stderr));
    lab.down();
    Host::look().assert_same(&before);
}

#[test]
fn a_lab_of_one_node_gets_a_router_with_its_second_node() {
    let Some((lab, before)) = Lab::and_host() else { return };
    lab.ok(&["up", "--subnet", "10.99.0.0/23", "--router-hash", "resilient"]);
    assert_eq!(lab.json(&["status"])["subnet"], "10.99.0.0/23");
    lab.ok(&["deploy", "--replicas", "2"]);
    assert!(external_ip(&lab).to_string().starts_with("10.99.1."));
    let kept = Load::start(&lab, &["-c", "10"]);
    let added = lab.json(&["node", "add"]);
    assert_eq!((&added["node"], &added["address"]), (&json!("ci-1"), &json!("10.99.0.3")));
    lab.ok(&["scale", "6"]);
    assert_eq!(routed(&lab), [0, 1]);
    let kept = kept.end();
    assert_eq!(kept["errors"], 0, "connections survive the router and the new node: {:#}", kept["faults"]);
    assert_eq!(answering(external_ip(&lab), 300), names(&lab));
    lab.down();
    Host::look().assert_same(&before);
}

#[test]
fn a_shape_that_cannot_be_is_refused_before_anything_happens() {
    let Some(lab) = Lab::new() else { return };
    for (arguments, why) in [
        (["--nodes", "0"], "a whole number from 1 to 63"),
        (["--nodes", "100"], "a whole number from 1 to 63"),
        (["--zones", "0"], "a whole number from 1 to 63"),
        (["--router-hash", "maglev"], "tracked, plain, resilient"),
        (["--subnet", "10.99.0.0/24"], "prefix from /8 to /23"),
        (["--subnet", "10.244.0.0/16"], "which the cluster uses inside"),
        (["--subnet", "127.0.0.0/8"], "outside of 127.0.0.0/8"),
    ] {
        let refused = lab.run(&[["up"].as_slice(), &arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains(why), "{arguments:?}: {}", text(&refused.stderr));
    }
    assert!(!lab.state().exists());
}

/// Load that lasts until it is ended. A test that fails ends it, too: the next lab has the same addresses.
struct Load(Option<Child>);

impl Load {
    fn start(lab: &Lab, arguments: &[&str]) -> Self {
        let all = [["--json", "test", "-d", "5m", "--warmup", "0"].as_slice(), arguments].concat();
        let mut command = lab.command(&all);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_secs(1));
        Self(Some(child))
    }

    /// Ends the load, as Ctrl-C does, and returns its run.
    fn end(mut self) -> Value {
        let child = self.0.take().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        kill(pid, Signal::SIGINT).unwrap();
        let output = child.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["runs"][0].clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A router can end between two changes, or while a Service goes. What it left in its kernel must not stay.
fn a_router_that_starts_again_removes_what_is_not_wanted(lab: &Lab) {
    let routes = || text(&in_router(&["ip", "route", "show"]).stdout);
    let rules = || text(&in_router(&["ip", "rule", "show"]).stdout);
    assert!(in_router(&["ip", "route", "add", "unreachable", "198.18.1.77"]).status.success());
    assert!(in_router(&["ip", "rule", "add", "fwmark", "40", "lookup", "1039", "priority", "1039"]).status.success());
    assert!(routes().contains("198.18.1.77") && rules().contains("1039:"));
    let wanted = routed(lab);
    let sandbox = router();
    let children = std::fs::read_to_string(format!("/proc/{sandbox}/task/{sandbox}/children")).unwrap();
    kill(Pid::from_raw(children.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    eventually("the end of a route and a rule that nobody wants", || {
        (!routes().contains("198.18.1.77") && !rules().contains("1039:")).then_some(())
    });
    assert!(rules().contains("1000:") && rules().contains("1002:"), "{}", rules());
    assert_eq!(routed(lab), wanted);
}

/// The nodes to which the router sends new connections for the Service.
fn routed(lab: &Lab) -> Vec<u8> {
    let address = format!("{}/32", external_ip(lab));
    let shown = eventually("a route", || {
        let shown = in_router(&["ip", "-json", "route", "show", "exact", &address]);
        (!shown.stdout.is_empty()).then_some(shown)
    });
    let shown = text(&shown.stdout);
    (0..9).filter(|index| shown.contains(&format!("\"node{index}\""))).collect()
}

/// Runs a program in the network namespace of the lab's router.
fn in_router(command: &[&str]) -> Output {
    let target = format!("--target={}", router());
    Command::new("nsenter").args([&target, "--net", "--"]).args(command).output().unwrap()
}

/// The first process of the router's sandbox.
fn router() -> i32 {
    let router = crate::host::lab_processes_named("evenkeel").into_iter().find(|pid| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        text(&arguments).contains("ci-router/plan.json")
    });
    router.unwrap()
}
