//! Services of every type in front of one Deployment: load reaches each of them, and what cannot be tested or scaled is
//! refused.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::begun::begun;
use crate::host::Host;
use crate::lab::{Lab, eventually, text};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";

const SHOP: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: IMAGE
          imagePullPolicy: Never
          ports: [{name: http, containerPort: 3000}]
          env: [{name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
          readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: IMAGE, imagePullPolicy: Never}]}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Service, metadata: {name: external, namespace: shop},
     spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: node, namespace: shop},
     spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: web},
            ports: [{name: http, port: 80, targetPort: http}, {name: other, port: 81, targetPort: 3000}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: internal, namespace: shop},
     spec: {selector: {app: web}, ports: [{port: 8080, targetPort: http}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: sticky, namespace: shop},
     spec: {sessionAffinity: ClientIP, internalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: headless, namespace: shop},
     spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: agent, namespace: shop},
     spec: {selector: {app: agent}, ports: [{port: 80, targetPort: 3000}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop},
     spec: {type: ExternalName, externalName: example.org}}
  - {apiVersion: v1, kind: Service, metadata: {name: empty, namespace: shop},
     spec: {selector: {app: nothing}, ports: [{port: 80}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: unselected, namespace: shop}, spec: {ports: [{port: 80}]}}
  - {apiVersion: v1, kind: Service, metadata: {name: names, namespace: shop},
     spec: {selector: {app: web}, ports: [{name: dns, port: 53, protocol: UDP}]}}
";

#[test]
fn load_reaches_services_of_every_type() {
    let Some((lab, before)) = Lab::and_host() else { return };
    lab.up();
    deploy(&lab);
    each_type_is_reached(&lab);
    pods_are_known_without_their_names(&lab);
    events_and_scaling_act_on_the_workload(&lab);
    what_cannot_be_tested_is_refused(&lab);
    what_cannot_be_scaled_is_refused(&lab);
    an_interrupted_run_leaves_no_route(&lab);
    lab.down();
    Host::look().assert_same_but_files(&before);
}

fn deploy(lab: &Lab) {
    let built = lab.json(&["build"]);
    let image = |part: &str| built["server"][part].as_str().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("shop.yaml"), SHOP.replace("IMAGE", &image("reference"))).unwrap();
    let path = directory.path().to_str().unwrap();
    lab.ok(&["deploy", "-f", path, "--load", &image("archive"), "--service", "shop/external"]);
}

/// A short run without warm-up, in which no request may fail.
fn run(lab: &Lab, service: &str, arguments: &[&str]) -> Value {
    let short = ["test", "--service", service, "--warmup", "0", "--assert", "failed==0"];
    let said = lab.json(&[&short, arguments].concat());
    assert_eq!(routes_into_the_cluster(), "", "{service}: a route exists only during the run");
    said
}

fn pods(run: &Value) -> usize {
    run["spread"]["pods"].as_array().unwrap().len()
}

fn each_type_is_reached(lab: &Lab) {
    let (external, local) = ("externalTrafficPolicy: Cluster", "externalTrafficPolicy: Local");
    let (internal, sticky) = ("internalTrafficPolicy: Cluster", "sessionAffinity: ClientIP");
    // Thirty random choices between two pods leave one out in 1 of 500 million runs.
    for (service, url, policies, spread_over) in [
        ("shop/external", "http://198.18.1.", vec![external], 2),
        ("shop/node:http", "http://198.18.0.2:3", vec![local], 2),
        ("node:81", "http://198.18.0.2:3", vec![local], 2),
        ("shop/internal", "http://10.96.", vec![internal], 2),
        ("shop/sticky", "http://10.96.", vec!["internalTrafficPolicy: Local", sticky], 1),
    ] {
        let said = run(lab, service, &["--requests", "3000"]);
        assert!(said["target"].as_str().unwrap().starts_with(url), "{service}: {}", said["target"]);
        let only = &said["runs"][0];
        assert_eq!(only["requests"]["answered"], 3_000, "{service}");
        assert_eq!((pods(only), &only["spread"]["policies"]), (spread_over, &json!(policies)), "{service}: {only:#}");
        assert_eq!(only["spread"]["uniformity"].is_null(), spread_over == 1, "{service}");
    }
    let said = run(lab, "shop/headless", &["--requests", "3000", "--balance", "client"]);
    let only = &said["runs"][0];
    assert_eq!((pods(only), &only["spread"]["policies"]), (2, &Value::Null), "{only:#}");
    let said = run(lab, "shop/internal", &["-d", "300ms", "--repeat", "1", "--compare", "keepalive,client"]);
    let policies = |at: usize| said["runs"][at]["spread"]["policies"].clone();
    assert_eq!((policies(0), policies(1)), (json!([internal]), Value::Null));
}

/// The node's connection tracking tells the pods apart where responses do not name them.
fn pods_are_known_without_their_names(lab: &Lab) {
    for (service, balance) in [("node:http", "service"), ("internal", "service"), ("headless", "client")] {
        let said = run(lab, service, &["--path", "/healthz", "-d", "300ms", "--balance", balance]);
        let only = &said["runs"][0];
        assert_eq!(
            (&only["spread"]["counted_by"], &only["spread"]["unnamed"]),
            (&json!("connections"), &json!(0)),
            "{service}: {only:#}"
        );
        assert_eq!(pods(only), 2, "{service}: {only:#}");
    }
}

fn events_and_scaling_act_on_the_workload(lab: &Lab) {
    let said = run(lab, "shop/internal", &["--during", "scale:3", "--no-keepalive"]);
    assert_eq!((pods(&said["runs"][0]), &said["runs"][0]["events"][0]["trouble"]), (3, &Value::Null));
    // Scaling ends when the rules of the Service hold exactly the pods, under its address or port.
    for (service, count) in [("node:http", 1), ("sticky", 3), ("headless", 1), ("names", 2)] {
        let scaled = lab.json(&["scale", &count.to_string(), "--service", service]);
        assert_eq!(scaled["to"], count, "{service}");
        assert_eq!(lab.kube().get(DEPLOYMENT)["spec"]["replicas"], count, "{service}");
    }
}

fn what_cannot_be_tested_is_refused(lab: &Lab) {
    for (service, words) in [
        ("shop/headless", ["headless", "--balance client"]),
        ("shop/alias", ["ExternalName", "example.org"]),
        ("shop/empty", ["no endpoint", "app=nothing"]),
        ("shop/unselected", ["shop/unselected", "no selector"]),
        ("shop/nothing", ["there is no Service shop/nothing", "shop/internal"]),
        ("shop/node", ["several ports", "http, other"]),
        ("shop/node:99", ["no port 99", "http, other"]),
        ("shop/names", ["port dns", "UDP"]),
    ] {
        refused(lab, &["test", "--service", service], &words);
        refused(lab, &["--json", "test", "--service", service], &words);
    }
    for arguments in [["--compare", "keepalive,client"].as_slice(), &["--during", "rollout"]] {
        refused(lab, &[&["test", "--service", "headless"], arguments].concat(), &["--balance client"]);
    }
    refused(lab, &["soak", "--only", "pause", "--service", "headless"], &["--balance client"]);
    refused(lab, &["test", "--service", "empty", "--balance", "client"], &["no endpoint"]);
}

fn what_cannot_be_scaled_is_refused(lab: &Lab) {
    let kube = lab.kube();
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "auto"},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4},
    });
    kube.create("/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers", &autoscaler);
    let before = kube.get(DEPLOYMENT)["spec"].clone();
    for (service, words) in [
        ("shop/agent", ["DaemonSet shop/agent cannot be scaled", "one pod on each node"]),
        ("shop/internal", ["Deployment shop/web cannot be scaled", "HorizontalPodAutoscaler auto"]),
    ] {
        for arguments in [["scale", "3"].as_slice(), &["test", "--replicas", "3"], &["test", "--during", "scale:3"]] {
            refused(lab, &[arguments, &["--service", service]].concat(), &words);
        }
        refused(lab, &["soak", "--only", "kill-pod", "--service", service], &words);
    }
    assert_eq!(kube.get(DEPLOYMENT)["spec"], before);
    // Load can still be sent.
    run(lab, "shop/agent", &["--requests", "300"]);
}

fn an_interrupted_run_leaves_no_route(lab: &Lab) {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut test = begun(lab, &["test", "--service", "shop/internal", "-d", "1m"]);
        eventually("there is a route to the Service", || (!routes_into_the_cluster().is_empty()).then_some(()));
        test.signal(signal);
        let code = test.ends();
        if signal == Signal::SIGKILL {
            // The route of a killed run is the lab's own. `down` removes it together with the link.
            assert!(lab.json(&["status"])["link_changes"].is_null());
            assert_ne!(routes_into_the_cluster(), "");
        } else {
            assert_eq!((code, routes_into_the_cluster().as_str()), (Some(130), ""), "{signal}");
        }
    }
}

/// Asserts that a command is refused with code 2 and these words, and that it leaves no route.
fn refused(lab: &Lab, arguments: &[&str], words: &[&str]) {
    let output = lab.run(arguments);
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
    }
    assert_eq!(routes_into_the_cluster(), "", "{arguments:?}");
}

/// The host's routes to pods and to cluster IPs.
fn routes_into_the_cluster() -> String {
    let routes = |range: &str| {
        let output = Command::new("ip").args(["-4", "route", "show", "table", "all", "root", range]).output().unwrap();
        text(&output.stdout)
    };
    routes("10.244.0.0/16") + &routes("10.96.0.0/16")
}
