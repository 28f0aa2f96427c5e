//! What kube-proxy uses, and the size of its rules.

use std::time::Duration;

use evenkeel::cluster;
use evenkeel::toolbox::Program;

use crate::lab::Lab;
use crate::processes;
use crate::{Bench, Result};

/// What kube-proxy and the programs that it ran have used.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProxyUse {
    /// Processor time.
    pub(super) cpu: Duration,
    /// Resident memory in bytes.
    pub(super) resident: u64,
}

impl ProxyUse {
    /// The processor time since an earlier moment, and the memory now.
    pub(super) fn since(self, before: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(before.cpu), ..self }
    }
}

pub(super) fn proxy_use(lab: &Lab) -> Result<ProxyUse> {
    let programs = processes::used(&format!("/{}", lab.cluster.name.cgroup()))?;
    let proxy = programs.get("kube-proxy").ok_or("kube-proxy does not run")?;
    Ok(ProxyUse { cpu: proxy.own + proxy.children, resident: proxy.resident })
}

/// The number of lines in which the kernel's rules are listed.
pub(super) async fn rules(bench: &Bench, lab: &Lab, mode: &str) -> Result<usize> {
    let (program, arguments): (_, &[&str]) = match mode {
        "iptables" => (Program::IptablesSave, &[]),
        _ => (Program::Nft, &["list", "table", "ip", "kube-proxy"]),
    };
    let program = bench.toolbox.path(program);
    let listed = cluster::inside(lab.cluster.first(), &bench.toolbox, program, arguments).run_async().await?;
    Ok(listed.split(|&byte| byte == b'\n').count())
}
