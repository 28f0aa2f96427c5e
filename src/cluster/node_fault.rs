//! Faults of a node for a while: its processes are stopped, its link is down, or it loses packets.
//!
//! Before anything is changed, a record in the lab's cgroup says so ([`NodeRecord`]), so that it can be undone when this program is
//! killed meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::cgroup;
use super::find::find;
use super::inside_network_of;
use super::layout::Layout;
use super::network_plan::NODE_LINK;
use super::node::{Cluster, RunningNode};
use super::node_record::{NodeChange, NodeRecord, node_records};
use crate::cluster::ClusterError;
use crate::io_error::IoError;

/// How often processes are looked for that were started while the others were being stopped.
const PASSES: usize = 10;
/// The table of the packet filter that loses packets.
const TABLE: &str = "evenkeel_loss";

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeFault {
    /// None of its processes runs.
    Paused,
    /// Its link is down.
    Partitioned,
    /// So many of 1000 packets are lost, in each direction.
    Lossy(u16),
}

impl NodeFault {
    fn change(self) -> NodeChange {
        match self {
            Self::Paused => NodeChange::Paused,
            Self::Partitioned => NodeChange::Partitioned,
            Self::Lossy(_) => NodeChange::Lossy,
        }
    }
}

/// A node with a fault. It is as before when this value is dropped.
#[derive(Debug)]
pub struct FaultyNode {
    cluster: Cluster,
    record: NodeRecord,
}

impl FaultyNode {
    /// Begins the fault on the node of this name, in the lab as it is now.
    ///
    /// # Errors
    /// [`ClusterError::Program`], [`ClusterError::Io`], and the errors of [`find`].
    pub fn begin(cluster: &Cluster, node: &str, fault: NodeFault) -> Result<Self, ClusterError> {
        let record = NodeRecord::make(cluster, fault.change(), node)?;
        // From here on, it is undone when this is dropped.
        let faulty = Self { cluster: cluster.clone(), record };
        let now = find(&cluster.name, &cluster.paths)?;
        let Some(running) = now.nodes.iter().find(|running| running.node.name == node) else {
            return Err(IoError::new(format!("change the node {node}"), io::Error::other("it does not run")).into());
        };
        match fault {
            NodeFault::Paused => pause(&now, node)?,
            NodeFault::Partitioned => change_link(&now, running, LinkChange::Down)?,
            NodeFault::Lossy(per_mille) => packet_filter(&now, running, &rules(per_mille))?,
        }
        Ok(faulty)
    }

    /// Ends the fault.
    ///
    /// # Errors
    /// As [`FaultyNode::begin`].
    pub fn end(self) -> Result<(), ClusterError> {
        undo(&self.cluster, &self.record)
    }
}

impl Drop for FaultyNode {
    fn drop(&mut self) {
        // It was undone if it was ended. If it cannot be undone, the next verb that changes the lab reports why.
        let _ = undo(&self.cluster, &self.record);
    }
}

/// Ends all faults that a killed program left. Returns the names of the nodes.
///
/// # Errors
/// As [`FaultyNode::end`].
pub fn end_all_node_faults(cluster: &Cluster) -> Result<Vec<String>, ClusterError> {
    let records = node_records(cluster).into_iter().filter(|record| record.change != NodeChange::Cordoned);
    let undone = records.map(|record| undo(cluster, &record).map(|()| record.node.clone()));
    undone.collect::<Result<BTreeSet<_>, _>>().map(|nodes| nodes.into_iter().collect())
}

/// Undoes what a record says, and removes it. A node that does not run any more needs nothing.
fn undo(cluster: &Cluster, record: &NodeRecord) -> Result<(), ClusterError> {
    if !record.is_there() {
        return Ok(());
    }
    if record.change == NodeChange::Paused {
        signal(cluster, &record.node, Signal::SIGCONT)?;
    } else {
        let now = find(&cluster.name, &cluster.paths)?;
        if let Some(running) = now.nodes.iter().find(|running| running.node.name == record.node) {
            match record.change {
                NodeChange::Partitioned => change_link(&now, running, LinkChange::Up)?,
                NodeChange::Lossy => packet_filter(&now, running, &no_rules())?,
                NodeChange::Paused | NodeChange::Cordoned => {}
            }
        }
    }
    Ok(record.remove()?)
}

/// The groups with the processes of a node, one in each hierarchy.
fn groups(cluster: &Cluster, node: &str) -> Result<Vec<PathBuf>, ClusterError> {
    cgroup::roots(&format!("{}/{node}", cluster.name.cgroup()))
}

/// Stops all processes of a node, also those that are started meanwhile.
fn pause(cluster: &Cluster, node: &str) -> Result<(), ClusterError> {
    let groups = groups(cluster, node)?;
    let mut stopped = BTreeSet::new();
    for _ in 0..PASSES {
        let listed: BTreeSet<i32> = groups.iter().flat_map(|group| cgroup::processes_below(group)).collect();
        if listed.is_subset(&stopped) {
            break;
        }
        signal(cluster, node, Signal::SIGSTOP)?;
        stopped = listed;
    }
    Ok(())
}

fn signal(cluster: &Cluster, node: &str, signal: Signal) -> Result<(), ClusterError> {
    let sent = groups(cluster, node)?.iter().try_for_each(|group| cgroup::signal_below(group, signal));
    Ok(sent.map_err(|source| IoError::new(format!("send {signal} to the processes of {node}"), source))?)
}

/// What is done to the link of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkChange {
    Up,
    Down,
    Delete,
}

/// Changes the router's end of the link to a node.
///
/// # Errors
/// [`ClusterError::Program`]; [`ClusterError::Io`] in a lab without a router.
pub(super) fn change_link(cluster: &Cluster, running: &RunningNode, change: LinkChange) -> Result<(), ClusterError> {
    let Some(router) = &cluster.router else {
        let why = io::Error::other("the lab has one node and no router");
        return Err(IoError::new(format!("cut the link of {}", running.node.name), why).into());
    };
    let link = running.node.router_link();
    let run = |arguments: &[&str]| run_in_network(cluster, router.pid, "ip", arguments);
    match change {
        LinkChange::Up => run(&["link", "set", &link, "up"]),
        LinkChange::Down => run(&["link", "set", &link, "down"]),
        LinkChange::Delete => run(&["link", "delete", &link]),
    }
}

fn packet_filter(cluster: &Cluster, running: &RunningNode, rules: &str) -> Result<(), ClusterError> {
    run_in_network(cluster, running.pid, "nft", &[rules])
}

/// Runs a program of the toolbox in the network namespace of a process.
fn run_in_network(cluster: &Cluster, pid: i32, program: &str, arguments: &[&str]) -> Result<(), ClusterError> {
    let programs = Layout::new(&cluster.paths, &cluster.first().node).bin();
    inside_network_of(pid, &programs.join("nsenter"), &programs.join(program), arguments).run()?;
    Ok(())
}

/// Rules that lose so many of 1000 packets of the node's link, in each direction.
fn rules(per_mille: u16) -> String {
    let lose = format!("numgen random mod 1000 < {per_mille} drop");
    let chain = |name: &str, hook: &str, link: &str| {
        format!(
            "add chain ip {TABLE} {name} {{ type filter hook {hook} priority -310; policy accept; }}; \
             add rule ip {TABLE} {name} {link} \"{NODE_LINK}\" {lose}"
        )
    };
    let (inward, outward) = (chain("inward", "prerouting", "iifname"), chain("outward", "postrouting", "oifname"));
    format!("{}; add table ip {TABLE}; {inward}; {outward}", no_rules())
}

/// Removes the rules, if there are any.
fn no_rules() -> String {
    format!("add table ip {TABLE}; delete table ip {TABLE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_lost_in_both_directions_of_the_link() {
        let rules = rules(50);
        assert_eq!(rules.matches("numgen random mod 1000 < 50 drop").count(), 2, "{rules}");
        assert!(rules.contains("iifname \"eth0\"") && rules.contains("oifname \"eth0\""), "{rules}");
        assert!(rules.starts_with(&no_rules()), "an earlier table is replaced");
    }
}
