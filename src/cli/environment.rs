//! Where a test was made, told in its report: what cannot be known is left out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::thread::available_parallelism;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::context::Context;
use crate::cluster::{self, Access};
use crate::config::NAMESPACE;
use crate::process::Invocation;
use crate::toolbox::{self, Program};
use crate::workload::{SELECTOR, is_active};

/// By name: "kernel", "CPU", …
pub type Environment = BTreeMap<String, String>;

/// Flags whose values may be secret, and are not told.
const SECRET: [&str; 4] = ["-H", "--header", "-b", "--body"];

/// The machine's, and the command's.
#[must_use]
pub fn of_machine() -> Environment {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let facts = [
        ("kernel", Some(read("/proc/sys/kernel/osrelease").trim().to_owned())),
        ("CPU", available_parallelism().ok().map(|cpus| cpu(&read("/proc/cpuinfo"), cpus.get()))),
        ("command", Some(command(std::env::args_os().skip(1)))),
    ];
    of(facts)
}

/// The lab's besides.
pub async fn of_lab(context: &Context, access: &Access) -> Environment {
    let client = || access.client.clone();
    let (nodes, pods) = (Api::<Node>::all(client()), Api::<Pod>::namespaced(client(), NAMESPACE));
    let (all, of_workload) = (ListParams::default(), ListParams::default().labels(SELECTOR));
    let (nodes, pods) = futures::join!(nodes.list(&all), pods.list(&of_workload));
    let node = nodes.ok().and_then(|nodes| nodes.items.into_iter().next()?.status?.node_info);
    let active = pods.ok().into_iter().flat_map(|pods| pods.items).filter(is_active);
    let pod = active.max_by_key(ResourceExt::creation_timestamp);
    let image = pod.and_then(|pod| pod.status?.container_statuses?.into_iter().next());
    let runc = toolbox::find_one(Program::Runc, &context.paths.cache).await.version;
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
    let mut environment = of_machine();
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

/// The command that can be pasted, less what may be secret.
fn command(arguments: impl Iterator<Item = OsString>) -> String {
    let mut told: Vec<OsString> = Vec::new();
    let mut pending: Option<&str> = None;
    for argument in arguments {
        // Only for the look at it: an argument may be a path of any bytes.
        let text = argument.to_string_lossy();
        if let Some(flag) = pending.take() {
            told.push(hidden(flag, &text).into());
            continue;
        }
        let secret = SECRET.into_iter().find_map(|flag| match text.strip_prefix(flag)? {
            rest if flag.starts_with("--") && !rest.is_empty() && !rest.starts_with('=') => None,
            rest => Some((flag, rest)),
        });
        match secret {
            // Its value is the next argument.
            Some((flag, "")) => pending = Some(flag),
            Some((flag, value)) => {
                let (sign, value) = value.strip_prefix('=').map_or(("", value), |value| ("=", value));
                told.push(format!("{flag}{sign}{}", hidden(flag, value)).into());
                continue;
            }
            None => {}
        }
        told.push(argument);
    }
    Invocation::new("evenkeel", told).to_string()
}

/// A header's name, the name of a body's file, and nothing of any other value.
fn hidden(flag: &str, value: &str) -> String {
    match value.split_once(':') {
        Some((name, _)) if matches!(flag, "-H" | "--header") => format!("{name}: …"),
        _ if value.starts_with('@') => value.to_owned(),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_told_without_its_secrets() {
        let told = |arguments: &[&str]| command(arguments.iter().map(OsString::from));
        assert_eq!(told(&["test", "--replicas", "2,5", "-d", "5s"]), "evenkeel test --replicas 2,5 -d 5s");
        for given in [
            &["-H", "Authorization: Bearer s3cret"][..],
            &["-HAuthorization: Bearer s3cret"],
            &["--header", "Authorization:s3cret"],
            &["--header=Authorization: s3cret"],
            &["-b", "password=s3cret"],
            &["--body", "{\"password\":\"s3cret\"}"],
            &["--body=s3cret: x"],
        ] {
            let command = told(given);
            assert!(!command.contains("s3cret") && command.contains('…'), "{given:?}: {command}");
        }
        assert_eq!(told(&["-H", "X: y", "-b", "@file"]), "evenkeel -H 'X: …' -b @file");
    }

    #[test]
    fn a_path_of_any_bytes_is_told_and_a_secret_of_any_bytes_is_not() {
        use std::os::unix::ffi::OsStringExt;

        let told = |arguments: &[&[u8]]| command(arguments.iter().map(|bytes| OsString::from_vec(bytes.to_vec())));
        assert_eq!(told(&[b"test", b"--html", b"\xff.html"]), r"evenkeel test --html $'\xff.html'");
        for given in [&[&b"-b"[..], b"s3cret \xff"][..], &[b"--body=s3cret \xff"], &[b"-Hs3cret \xff"]] {
            let command = told(given);
            assert!(!command.contains("s3cret") && command.contains('…'), "{command}");
        }
    }

    #[test]
    fn a_processor_is_told_with_its_number() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Made-up CPU @ 2.00GHz\nprocessor\t: 1\n";
        assert_eq!(cpu(cpuinfo, 2), "2 × Made-up CPU @ 2.00GHz");
        assert_eq!(cpu("processor : 0\n", 4), format!("4 × {}", std::env::consts::ARCH));
    }
}
