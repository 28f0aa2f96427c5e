//! Resident memory of the server's process in a pod, idle and after load of each kind. What one kind of load leaves is there
//! for the next, so each value includes those before it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use evenkeel::config::NAMESPACE;
use evenkeel_load::Target;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::comparison::{Case, Column, Comparison};
use super::generator::{ECHO, Generator, Load, Wire};
use super::lab::Lab;
use super::memory::kilobytes;
use super::protocols::{GRPC_STREAMS, HTTP2_STREAMS};
use super::workload::{OURS, Workload};
use super::{Bench, Result};

const TITLE: &str = "Resident memory of the server's process in a pod, the largest of all pods";
/// The name of the Deployment and the Service with a certificate.
const WITH_TLS: &str = "tls";
/// The first 15 characters of the program's name, as the kernel keeps it.
const PROGRAM: &str = "evenkeel-server";
/// The time after a load until the server has returned free memory.
const RETURN: Duration = Duration::from_secs(6);

pub(crate) async fn compare(bench: &Bench) -> Result<Vec<Comparison>> {
    let lab = Lab::up(bench, "nftables")?;
    let pods = bench.pods(&[2])[0];
    lab.deploy(pods)?;
    let mut cases = measure(bench, &lab, OURS, lab.endpoint(OURS).await?, &format!("{pods} pods")).await?;
    Workload::with_tls(WITH_TLS, &lab).await?.run(bench, &lab, pods).await?;
    let endpoint = lab.tls_endpoint(WITH_TLS).await?;
    cases.extend(measure(bench, &lab, WITH_TLS, endpoint, &format!("{pods} pods, TLS")).await?);
    Ok(vec![Comparison::new(TITLE, &[Column::Memory, Column::Private], false, cases)])
}

/// Measures the pods of a workload before and after each kind of load.
async fn measure(bench: &Bench, lab: &Lab, workload: &str, endpoint: Target, group: &str) -> Result<Vec<Case>> {
    let loads = [
        ("after HTTP/1.1", Load::new(bench, endpoint.clone(), true)),
        ("after new connections", Load::new(bench, endpoint.clone(), false)),
        ("after HTTP/2", Load::over(bench, endpoint.clone(), Wire::Http2(HTTP2_STREAMS))),
        ("after gRPC", Load::over(bench, endpoint, Wire::Grpc(GRPC_STREAMS, ECHO))),
    ];
    let with_memory = async |name: &str| {
        let Resident { all, private } = resident(lab, workload).await?;
        let (memory, private) = (Some(all), Some(private));
        Ok::<Case, Box<dyn std::error::Error>>(Case { memory, private, ..Case::new(name, group) })
    };
    let mut cases = vec![with_memory("idle").await?];
    for (name, load) in loads {
        let step = bench.progress.step(format!("{group}: {name}"));
        let sample = Generator::Evenkeel.run(&load).await?;
        tokio::time::sleep(RETURN).await;
        step.done_with(format!("{:.0} req/s", sample.requests_per_second));
        let mut case = with_memory(name).await?;
        case.samples.push(sample);
        cases.push(case);
    }
    Ok(cases)
}

/// The resident memory of a process, in bytes. Pages of the program's file are shared by all pods of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Resident {
    all: u64,
    private: u64,
}

/// That of the largest process of the server in the workload's pods.
async fn resident(lab: &Lab, workload: &str) -> Result<Resident> {
    let pods: Api<Pod> = Api::namespaced(lab.client().await?, NAMESPACE);
    let pods = pods.list(&ListParams::default().labels(&format!("app.kubernetes.io/name={workload}"))).await?;
    let uids: Vec<String> = pods.items.into_iter().filter_map(|pod| pod.metadata.uid).collect();
    let mut largest = None;
    for process in fs::read_dir("/proc")? {
        largest = largest.max(resident_in(&process?.path(), &uids));
    }
    largest.ok_or_else(|| format!("no process of {workload} was found").into())
}

/// That of a process, if it is the server in one of the pods. The kernel names the pod in its cgroup.
fn resident_in(process: &Path, pods: &[String]) -> Option<Resident> {
    let read = |file: &str| fs::read_to_string(process.join(file)).ok();
    let is_server = read("comm")?.trim() == PROGRAM;
    let cgroup = read("cgroup").filter(|_| is_server)?;
    let in_pod = pods.iter().any(|uid| cgroup.contains(uid));
    let status = read("status").filter(|_| in_pod)?;
    let bytes = |line: &str| kilobytes(&status, line).map(|kilobytes| kilobytes * 1024);
    Some(Resident { all: bytes("VmRSS:")?, private: bytes("RssAnon:")? })
}
