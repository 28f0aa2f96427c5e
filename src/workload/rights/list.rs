//! The list of rights.

use super::{Activity, Reach, Right};

/// The controllers behind a Service.
const CONTROLLERS: [&str; 4] = ["daemonsets", "deployments", "replicasets", "statefulsets"];
/// Those whose number of pods can be set.
const SCALABLE: [&str; 3] = ["deployments", "replicasets", "statefulsets"];
/// The kinds of the server's own manifests.
const DEPLOYED: [(&str, &str); 4] =
    [("", "serviceaccounts"), ("", "services"), ("apps", "deployments"), ("policy", "poddisruptionbudgets")];

/// The rights of one activity.
pub(super) fn of(activity: Activity) -> Vec<Right> {
    let mut rights = subject();
    match activity {
        Activity::Status => {
            rights.extend(of_namespace("", "pods", &["list"]));
            rights.push(nodes_or("the nodes are not shown"));
        }
        Activity::Logs => {
            rights.extend(of_namespace("", "pods", &["list", "watch"]));
            rights.extend(of_namespace("", "pods/log", &["get"]));
        }
        Activity::Scale => {
            rights.extend(scale());
            rights.push(ask_for_pods());
            let read = controllers(&["get"]).into_iter();
            rights.extend(read.map(|right| Right { without: ask_for_pods().without, ..right }));
        }
        Activity::Test => {
            rights.extend(of_namespace("", "pods", &["list"]));
            rights.extend(of_namespace("", "services", &["get", "watch"]));
            rights.extend(of_namespace("discovery.k8s.io", "endpointslices", &["list"]));
            rights.push(nodes_or(
                "Services of type NodePort have no known address, and the report does not name the version of Kubernetes",
            ));
        }
        Activity::Agents => {
            rights.clear();
            rights.extend(of_namespace("batch", "jobs", &["create", "delete", "list"]));
            rights.extend(of_namespace("", "pods", &["get", "list", "watch"]));
            // Which of the two is asked for depends on the version of Kubernetes.
            rights.extend(of_namespace("", "pods/attach", &["create", "get"]));
            rights.push(Right {
                reach: Reach::Namespace,
                group: "",
                resource: "events",
                verb: "list",
                without: Some("it is not noticed that the namespace forbids the pods of agents"),
            });
        }
        Activity::Apply => rights.extend(apply()),
        Activity::Deploy => {
            rights.extend(apply());
            rights.extend(of_each(&DEPLOYED, &["create", "get", "patch"]));
        }
        Activity::Undeploy => {
            rights.clear();
            rights.extend(of_namespace("", "configmaps", &["delete", "get"]));
            let without = Some("objects of this kind that were deployed cannot be removed");
            let of_kinds = of_each(&DEPLOYED, &["delete", "get", "list"]);
            rights.extend(of_kinds.into_iter().map(|right| Right { without, ..right }));
        }
        Activity::Rollout => rights.extend(event()),
        Activity::DeletePod => {
            rights.extend(event());
            rights.extend(of_namespace("", "pods", &["delete"]));
        }
        Activity::Drain => {
            rights.extend(event());
            rights.extend(of_cluster("", "nodes", &["get", "list", "patch", "watch"]));
            rights.extend(of_cluster("", "pods", &["list"]));
            rights.extend(of_cluster("", "pods/eviction", &["create"]));
        }
        Activity::Cordon => {
            rights.extend(event());
            rights.extend(of_cluster("", "nodes", &["get", "list", "patch", "watch"]));
        }
        Activity::Soak => {
            rights.extend([Activity::Test, Activity::Rollout, Activity::DeletePod].into_iter().flat_map(of));
            rights.extend(scale());
        }
        Activity::TrafficPolicy => rights.extend(of_namespace("", "services", &["get", "patch"])),
    }
    rights
}

/// To find the Service and what is behind it.
fn subject() -> Vec<Right> {
    let mut rights = of_namespace("", "services", &["list"]);
    rights.extend(controllers(&["list"]));
    rights
}

/// To record what is deployed, and to wait until it is ready.
fn apply() -> Vec<Right> {
    let mut rights = settle();
    rights.push(ask_for_pods());
    rights.extend(of_namespace("", "namespaces", &["get"]));
    rights.extend(of_namespace("", "configmaps", &["create", "get", "patch"]));
    rights
}

/// To scale, and to wait until the new pods are endpoints.
fn scale() -> Vec<Right> {
    let mut rights = settle();
    rights.extend(of_namespace("autoscaling", "horizontalpodautoscalers", &["list"]));
    for kind in SCALABLE {
        let subresource = match kind {
            "deployments" => "deployments/scale",
            "replicasets" => "replicasets/scale",
            _ => "statefulsets/scale",
        };
        rights.extend(of_namespace("apps", subresource, &["get", "patch"]));
    }
    rights
}

/// To wait until the pods are ready and the Service's endpoints.
fn settle() -> Vec<Right> {
    let mut rights = of_namespace("", "pods", &["list", "watch"]);
    rights.extend(of_namespace("", "services", &["list", "watch"]));
    rights.extend(of_namespace("discovery.k8s.io", "endpointslices", &["list", "watch"]));
    rights.extend(controllers(&["list", "watch"]));
    let optional = [
        ("events", "list", "errors about pods do not contain the events that explain them"),
        ("pods/log", "get", "errors about pods do not contain the end of their logs"),
    ];
    rights.extend(optional.map(|(resource, verb, without)| Right {
        reach: Reach::Namespace,
        group: "",
        resource,
        verb,
        without: Some(without),
    }));
    rights
}

/// To restore what events of a test change, and to wait for their end.
fn event() -> Vec<Right> {
    let mut rights = settle();
    rights.extend(of_namespace("", "services", &["get"]));
    rights.extend(controllers(&["get", "patch"]));
    rights
}

fn controllers(verbs: &[&'static str]) -> Vec<Right> {
    of_each(&CONTROLLERS.map(|kind| ("apps", kind)), verbs)
}

fn of_each(resources: &[(&'static str, &'static str)], verbs: &[&'static str]) -> Vec<Right> {
    resources.iter().flat_map(|(group, resource)| of_namespace(group, resource, verbs)).collect()
}

fn of_namespace(group: &'static str, resource: &'static str, verbs: &[&'static str]) -> Vec<Right> {
    rights(Reach::Namespace, group, resource, verbs)
}

fn of_cluster(group: &'static str, resource: &'static str, verbs: &[&'static str]) -> Vec<Right> {
    rights(Reach::Cluster, group, resource, verbs)
}

fn rights(reach: Reach, group: &'static str, resource: &'static str, verbs: &[&'static str]) -> Vec<Right> {
    verbs.iter().map(|verb| Right { reach, group, resource, verb, without: None }).collect()
}

/// For a dry run, which creates none.
fn ask_for_pods() -> Right {
    let without = Some("what the namespace forbids about pods is known only after the change");
    Right { reach: Reach::Namespace, group: "", resource: "pods", verb: "create", without }
}

fn nodes_or(without: &'static str) -> Right {
    Right { reach: Reach::Cluster, group: "", resource: "nodes", verb: "list", without: Some(without) }
}
