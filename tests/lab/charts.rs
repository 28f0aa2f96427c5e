//! podinfo as its authors ship it: the chart, rendered by Helm, and the kustomization.

use std::process::Command;

use serde_json::Value;

use crate::go_program::go_program;
use crate::lab::{Lab, text};
use crate::podinfo::podinfo;

/// Charts are rendered for a version of Kubernetes, which Helm's own build sets in this way.
const FOR_KUBERNETES: &str = "-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
                              -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=36";

#[test]
fn the_chart_and_the_kustomization_of_podinfo_run_as_they_are() {
    let Some(lab) = Lab::new() else { return };
    let rendered = rendered_chart();
    lab.up();
    it_is_said_which_ports_there_are(&lab, &rendered);
    lab.run_with_stdin(&["deploy", "-f", "-", "--service", "podinfo:http", "--replicas", "2"], &rendered);
    every_command_acts_on_it(&lab);
    lab.ok(&["undeploy"]);
    an_autoscaler_keeps_its_replicas(&lab);
}

fn rendered_chart() -> String {
    let mut helm = Command::new(go_program("helm.sh/helm/v3/cmd/helm", "v3.22.0", FOR_KUBERNETES));
    helm.args(["template", "podinfo"]).arg(podinfo().source.join("charts/podinfo"));
    helm.args(["--set", "service.type=LoadBalancer,probes.readiness.periodSeconds=1"]);
    let output = helm.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The Service has two ports. The pods of `helm test` are left out.
fn it_is_said_which_ports_there_are(lab: &Lab, rendered: &str) {
    assert!(rendered.contains("helm.sh/hook\": test-success"), "the chart has no tests any more");
    let load = podinfo().archive.to_str().unwrap();
    let output = lab.run_with_stdin(&["deploy", "-f", "-", "--load", load], rendered);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("not applied: Helm does not create these hooks"), "{said}");
    assert!(said.contains("several ports, and none was named: http, grpc"), "{said}");
    let status = lab.json(&["status"]);
    assert_eq!((pods(&status).len(), &status["services"][0]["name"]), (1, &"podinfo".into()), "{status:#}");
    let output = lab.run(&["scale", "2"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

fn every_command_acts_on_it(lab: &Lab) {
    let run = lab.json(&["test", "--during", "rollout,kill-pod"]);
    for event in run["runs"][0]["events"].as_array().unwrap() {
        assert_eq!(event["trouble"], Value::Null, "{event:#}");
    }
    assert!(run["runs"][0]["requests"]["answered"].as_u64() > Some(0), "{run:#}");
    assert!(lab.ok(&["logs", "--tail", "5"]).contains("Starting podinfo"));
    assert_eq!(lab.json(&["scale", "3"])["from"], 2);
}

fn an_autoscaler_keeps_its_replicas(lab: &Lab) {
    let kustomization = podinfo().source.join("kustomize");
    let kustomization = kustomization.to_str().unwrap();
    lab.ok(&["deploy", "-k", kustomization, "--service", "podinfo:http", "--replicas", "2"]);
    let output = lab.run(&["scale", "3"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the HorizontalPodAutoscaler podinfo sets its replicas"), "{said}");
    assert!(lab.ok(&["logs"]).contains("Starting podinfo"));
    // The kustomization's Service is of type ClusterIP.
    let run = &lab.json(&["test", "-d", "1s", "--warmup", "0"])["runs"][0];
    assert_eq!(run["errors"], 0, "{run:#}");
}

fn pods(status: &Value) -> &[Value] {
    status["pods"].as_array().unwrap()
}
