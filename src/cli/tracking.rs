//! Which pod each connection of a run led to, for images that do not say so: the node knows.

use std::net::SocketAddr;
use std::time::Instant;

use super::context::Context;
use super::series::Workplace;
use crate::load::RunResult;
use crate::toolbox::{self, Toolbox};
use crate::workload::conntrack_table::{ConntrackTable, pod_names};

/// What the nodes knew of connections to the Service before a run.
pub(super) struct Tracking<'a> {
    workplace: Workplace<'a>,
    toolbox: Toolbox,
    service: SocketAddr,
    before: ConntrackTable,
    at: Instant,
}

impl<'a> Tracking<'a> {
    /// Looks before the run; `None` where nobody may look, or nothing is there to look with.
    pub(super) async fn begin(context: &Context, workplace: Workplace<'a>, service: SocketAddr) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let toolbox = match workplace.toolbox {
            Some(toolbox) => toolbox.clone(),
            None => toolbox::resolve(toolbox::find(&context.paths.cache).await).ok()?,
        };
        let before = ConntrackTable::now(&workplace.lab.cluster, &toolbox, service).await.ok()?;
        Some(Self { workplace, toolbox, service, before, at: Instant::now() })
    }

    /// The connections on each pod since then, by its name, where no answer of `run` named a pod; empty where one did, or
    /// where the node cannot be asked. A pod that is gone has its address for a name.
    pub(super) async fn end(self, run: &RunResult) -> Vec<(String, u64)> {
        if run.pods.iter().any(|pod| !pod.name.is_empty()) {
            return Vec::new();
        }
        let lab = self.workplace.lab;
        let Ok(after) = ConntrackTable::now(&lab.cluster, &self.toolbox, self.service).await else { return Vec::new() };
        let names = pod_names(&lab.client).await.unwrap_or_default();
        let found = after.opened_since(&self.before, self.at.elapsed());
        let by_name = |(pod, count)| (names.get(&pod).cloned().unwrap_or_else(|| pod.to_string()), count);
        found.into_iter().map(by_name).collect()
    }
}
