//! Facts about the machine and cluster of a test. Facts that are unknown are left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::cluster::{self, Access};
use crate::toolbox::{self, Program};
use crate::workload::{Subject, is_active};

/// Facts by their names: "kernel", "CPU", …
pub type Environment = BTreeMap<String, String>;

/// Facts about the machine, with the `command` that runs.
#[must_use]
pub fn of_machine(command: String) -> Environment {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let facts = [
        ("kernel", Some(read("/proc/sys/kernel/osrelease").trim().to_owned())),
        ("CPU", available_parallelism().ok().map(|cpus| cpu(&read("/proc/cpuinfo"), cpus.get()))),
        ("command", Some(command)),
    ];
    of(facts)
}

/// Facts about the machine, the cluster and its workload. `cache` is the directory with programs.
pub async fn of_cluster(command: String, access: &Access, subject: &Subject, cache: &Path) -> Environment {
    let client = || access.client.clone();
    let (nodes, pods) = (Api::<Node>::all(client()), Api::<Pod>::namespaced(client(), &subject.namespace));
    let (all, of_workload) = (ListParams::default(), ListParams::default().labels(&subject.selector));
    let (nodes, pods) = futures::join!(nodes.list(&all), pods.list(&of_workload));
    let node = nodes.ok().and_then(|nodes| nodes.items.into_iter().next()?.status?.node_info);
    let active = pods.ok().into_iter().flat_map(|pods| pods.items).filter(is_active);
    let pod = active.max_by_key(ResourceExt::creation_timestamp);
    let is_server = |name: &String| subject.container.as_ref().is_none_or(|server| server == name);
    let statuses = pod.and_then(|pod| pod.status?.container_statuses).unwrap_or_default();
    let image = statuses.into_iter().find(|container| is_server(&container.name));
    let runc = match access.lab() {
        Some(_) => toolbox::find_one(Program::Runc, cache).await.version,
        None => None,
    };
    let facts = [
        ("Kubernetes", node.as_ref().map(|node| node.kubelet_version.clone())),
        ("container runtime", node.as_ref().map(|node| node.container_runtime_version.replace("://", " "))),
        ("runc", runc),
        (
            "kube-proxy mode",
            access.lab().and_then(|cluster| cluster::proxy_mode(cluster).ok()).map(|mode| mode.to_string()),
        ),
        ("image", image.as_ref().map(|container| container.image.clone())),
        ("image digest", image.as_ref().map(|container| container.image_id.clone())),
    ];
    let mut environment = of_machine(command);
    environment.extend(of(facts));
    environment
}

fn of<const N: usize>(facts: [(&str, Option<String>); N]) -> Environment {
    let known = facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known.filter(|(_, value)| !value.is_empty()).collect()
}

/// "2 × Intel(R) Xeon(R) Processor", from the text of /proc/cpuinfo.
fn cpu(cpuinfo: &str, cpus: usize) -> String {
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    format!("{cpus} × {}", model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_have_a_count_and_a_model() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Made-up CPU @ 2.00GHz\nprocessor\t: 1\n";
        assert_eq!(cpu(cpuinfo, 2), "2 × Made-up CPU @ 2.00GHz");
        assert_eq!(cpu("processor : 0\n", 4), format!("4 × {}", std::env::consts::ARCH));
    }
}
