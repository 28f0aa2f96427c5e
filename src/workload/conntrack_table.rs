//! Connections to the Service in the connection tracking of the nodes: at which node each connection entered the cluster,
//! and which pod it was sent to, even when responses do not name it.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};

use super::pods::{has_ended, pods};
use super::subject::Subject;
use crate::cluster::{self, Access, RunningNode};
use crate::toolbox::{Program, Toolbox};
use crate::workload::WorkloadError;

/// Tolerance when the timeouts of an entry are compared: the kernel reports whole seconds.
const SLACK: Duration = Duration::from_secs(2);
/// The states of connections that are being closed.
const CLOSING: [&str; 3] = ["FIN_WAIT", "CLOSE_WAIT", "LAST_ACK"];
/// The states of connections that are closed. Those in other states are still in use.
const CLOSED: [&str; 2] = ["TIME_WAIT", "CLOSE"];

/// A connection in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConntrackEntry {
    /// The pod it was sent to.
    pod: IpAddr,
    /// Where the pod answers to: the client's address, or one that the node set instead.
    seen: IpAddr,
    /// Time until the kernel removes the entry, if no more packets come.
    left: Duration,
    /// How far the connection is.
    phase: Phase,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is in use.
    Open,
    /// It is being closed. Each step sets the time that is left anew.
    Closing,
    /// It is closed. Only another connection of the same port sets the time anew.
    Closed,
}

/// Which connections are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Those to a Service, at this address.
    Service(SocketAddr),
    /// Those from this machine straight to pods.
    Pods,
}

/// The client's address and port, and the address that it connected to.
type Flow = (SocketAddr, IpAddr);
/// A flow, and the index of the node that tracks it.
type TrackedFlow = (NodeIndex, Flow);

/// The tracked connections to one destination at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConntrackTable {
    /// The nodes whose tables were read, by name.
    nodes: BTreeMap<NodeIndex, String>,
    entries: HashMap<TrackedFlow, ConntrackEntry>,
}

/// The index of a node. A port that is used again may be tracked on two nodes: by an old entry that has not ended on one, and by
/// the new one on the other.
pub type NodeIndex = u8;

/// Connections from one node to one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodePath {
    /// The index of the node at which the connections entered the cluster.
    pub node: NodeIndex,
    /// The address of the pod to which it sent them.
    pub pod: IpAddr,
}

impl ConntrackTable {
    /// Reads the tables of all nodes for connections to `destination`. A node whose table cannot be read, perhaps because
    /// it was killed, is left out if that of another one can be.
    ///
    /// # Errors
    /// [`ClusterError::NoDataPlane`](crate::cluster::ClusterError::NoDataPlane) when the nodes cannot be reached,
    /// [`WorkloadError::Program`] when no table can be read: only root can.
    pub async fn now(access: &Access, destination: Destination) -> Result<Self, WorkloadError> {
        let (nodes, toolbox) = access.require_kernels("reading the connection tracking")?;
        let filter: Vec<String> = match destination {
            Destination::Service(service) => {
                ["--orig-dst".into(), service.ip().to_string(), "--orig-port-dst".into(), service.port().to_string()]
                    .to_vec()
            }
            Destination::Pods => {
                let machine = access.require_lab("reading the connection tracking")?.subnet.host();
                ["--orig-src".into(), machine.to_string()].to_vec()
            }
        };
        // A connection that this machine opens to a node itself, such as one to the API server, leads to no pod.
        let ends_at_node = |ip: IpAddr| nodes.iter().any(|node| ip == node.node.address);
        let is_wanted = |((_, to), entry): &(Flow, ConntrackEntry)| match destination {
            Destination::Service(_) => true,
            Destination::Pods => *to == entry.pod && !ends_at_node(*to),
        };
        let (mut all, mut error) = (Self::default(), None);
        let tables = join_all(nodes.iter().map(|node| listed(node, toolbox, &filter))).await;
        for (node, table) in nodes.iter().zip(tables) {
            match table {
                Ok(text) => {
                    all.nodes.insert(node.node.index, node.node.name.clone());
                    let found = text.lines().filter_map(entry).filter(is_wanted);
                    all.entries.extend(found.map(|(flow, entry)| ((node.node.index, flow), entry)));
                }
                Err(why) => error = Some(why),
            }
        }
        error.filter(|_| all.nodes.is_empty()).map_or(Ok(all), Err)
    }

    /// The nodes whose tables were read, by index.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<NodeIndex, String> {
        &self.nodes
    }

    /// The number of connections from each node to each pod's address that were opened since `before`, which was read
    /// `elapsed` ago. Entries that the kernel has removed since then are missing: it removes a connection that was reset after
    /// ten seconds, and one that was closed after two minutes.
    #[must_use]
    pub fn opened_since(&self, before: &Self, elapsed: Duration) -> BTreeMap<NodePath, u64> {
        let mut paths = BTreeMap::new();
        for ((node, _), entry) in self.new_since(before, elapsed) {
            *paths.entry(NodePath { node: *node, pod: entry.pod }).or_default() += 1;
        }
        paths
    }

    /// How many of the same connections had the client's address when they reached their pods, and how many had another one,
    /// which the node set.
    #[must_use]
    pub fn addresses_since(&self, before: &Self, elapsed: Duration) -> (u64, u64) {
        let is_kept = |((_, (client, _)), entry): (&TrackedFlow, &ConntrackEntry)| client.ip() == entry.seen;
        self.new_since(before, elapsed)
            .map(is_kept)
            .fold((0, 0), |(kept, replaced), is_kept| (kept + u64::from(is_kept), replaced + u64::from(!is_kept)))
    }

    /// The pods of the same connections by the client's address and port. Where one was used several times, it is the pod of the
    /// connection that is in use.
    #[must_use]
    pub fn pods_since(&self, before: &Self, elapsed: Duration) -> HashMap<SocketAddr, IpAddr> {
        let mut pods = HashMap::new();
        for ((_, (client, _)), entry) in self.new_since(before, elapsed) {
            if entry.phase == Phase::Open || !pods.contains_key(client) {
                pods.insert(*client, entry.pod);
            }
        }
        pods
    }

    fn new_since(&self, before: &Self, elapsed: Duration) -> impl Iterator<Item = (&TrackedFlow, &ConntrackEntry)> {
        self.entries.iter().filter(move |(at, entry)| match before.entries.get(*at) {
            None => true,
            Some(old) => match old.phase {
                Phase::Open => false,
                Phase::Closing => entry.phase == Phase::Open,
                // The port was reused if the new entry lasts longer than the old one could.
                Phase::Closed => entry.left + elapsed > old.left + SLACK,
            },
        })
    }
}

/// The table of one node, as `conntrack -L` prints it.
async fn listed(node: &RunningNode, toolbox: &Toolbox, filter: &[String]) -> Result<String, WorkloadError> {
    let arguments = ["-L", "-p", "tcp"].into_iter().chain(filter.iter().map(String::as_str));
    let listed = cluster::inside(node, toolbox, toolbox.path(Program::Conntrack), arguments).run_async().await?;
    Ok(String::from_utf8_lossy(&listed).into_owned())
}

/// Parses a line of `conntrack -L`:
/// `tcp 6 119 TIME_WAIT src=CLIENT dst=SERVICE sport=N dport=N src=POD dst=CLIENT sport=N dport=N [ASSURED] mark=0 use=1`.
fn entry(line: &str) -> Option<(Flow, ConntrackEntry)> {
    let mut words = line.split_ascii_whitespace();
    let (_protocol, _number) = (words.next().filter(|name| *name == "tcp")?, words.next()?);
    let (left, state) = (words.next()?.parse().ok()?, words.next()?);
    let value = |key: &str, at| words.clone().filter_map(|word| word.strip_prefix(key)).nth(at);
    let client = SocketAddr::new(value("src=", 0)?.parse().ok()?, value("sport=", 0)?.parse().ok()?);
    let to = value("dst=", 0)?.parse().ok()?;
    let pod = value("src=", 1)?.parse().ok()?;
    let seen = value("dst=", 1)?.parse().ok()?;
    let phase = match state {
        state if CLOSING.contains(&state) => Phase::Closing,
        state if CLOSED.contains(&state) => Phase::Closed,
        _ => Phase::Open,
    };
    Some(((client, to), ConntrackEntry { pod, seen, left: Duration::from_secs(left), phase }))
}

/// The names of the subject's pods by address.
///
/// # Errors
/// [`WorkloadError::Kubernetes`].
pub async fn pod_names(client: &Client, subject: &Subject) -> Result<BTreeMap<IpAddr, String>, WorkloadError> {
    let listed = pods(client, subject).await?;
    Ok(by_address(&listed))
}

/// A pod that has ended still has its address in its status, and another pod may have that address now.
fn by_address(pods: &[Pod]) -> BTreeMap<IpAddr, String> {
    let named = |pod: &Pod| Some((pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?, pod.name_any()));
    pods.iter().filter(|pod| !has_ended(pod)).filter_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracked(lines: &[&str]) -> ConntrackTable {
        on_node(0, lines)
    }

    fn on_node(at: NodeIndex, lines: &[&str]) -> ConntrackTable {
        let entries = lines.iter().filter_map(|line| entry(line));
        let nodes = BTreeMap::from([(at, format!("lab-{at}"))]);
        ConntrackTable { nodes, entries: entries.map(|(flow, entry)| ((at, flow), entry)).collect() }
    }

    /// The tables of two nodes.
    fn both(first: ConntrackTable, second: ConntrackTable) -> ConntrackTable {
        let nodes = first.nodes.into_iter().chain(second.nodes).collect();
        ConntrackTable { nodes, entries: first.entries.into_iter().chain(second.entries).collect() }
    }

    fn line(port: u16, left: u32, state: &str, pod: &str) -> String {
        format!(
            "tcp      6 {left} {state} src=198.18.0.1 dst=198.18.1.1 sport={port} dport=80 src={pod} dst=198.18.0.2 \
             sport=3000 dport={port} [ASSURED] mark=0 use=1"
        )
    }

    fn opened(before: &[String], after: &[String], seconds: u64) -> Vec<(String, u64)> {
        let of = |lines: &[String]| tracked(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let opened = of(after).opened_since(&of(before), Duration::from_secs(seconds));
        opened.into_iter().map(|(path, count)| (path.pod.to_string(), count)).collect()
    }

    #[test]
    fn an_address_belongs_to_the_pod_that_has_not_ended() {
        let old = crate::workload::pods::tests::evicted("old", "2026-01-01T00:00:00Z");
        let mut new = old.clone();
        new.metadata.name = Some("new".into());
        new.status.as_mut().unwrap().phase = Some("Running".into());
        let address = "10.244.0.5".parse().unwrap();
        for pods in [[old.clone(), new.clone()], [new, old]] {
            assert_eq!(by_address(&pods), BTreeMap::from([(address, "new".to_owned())]));
        }
    }

    #[test]
    fn the_pod_of_a_connection_is_that_of_the_one_in_use() {
        let (old, new) =
            (line(40_001, 119, "TIME_WAIT", "10.244.0.6"), line(40_001, 431_999, "ESTABLISHED", "10.244.1.5"));
        let closed = line(40_002, 119, "TIME_WAIT", "10.244.0.7");
        let earlier = line(40_003, 431_000, "ESTABLISHED", "10.244.0.8");
        let before = tracked(&[&earlier]);
        let after = both(tracked(&[&old, &closed, &earlier]), on_node(1, &[&new]));
        let pods = after.pods_since(&before, Duration::from_secs(5));
        let pod_of = |port: u16| pods.get(&SocketAddr::from(([198, 18, 0, 1], port))).map(ToString::to_string);
        assert_eq!(
            [40_001, 40_002, 40_003].map(pod_of),
            [Some("10.244.1.5".into()), Some("10.244.0.7".into()), None],
            "the last one is not of this run"
        );
    }

    #[test]
    fn new_connections_are_counted_by_pod() {
        let after = [
            line(40_001, 431_999, "ESTABLISHED", "10.244.0.5"),
            line(40_002, 119, "TIME_WAIT", "10.244.0.6"),
            line(40_003, 9, "CLOSE", "10.244.0.5"),
        ];
        assert_eq!(opened(&[], &after, 10), [("10.244.0.5".to_owned(), 2), ("10.244.0.6".to_owned(), 1)]);
    }

    #[test]
    fn the_node_at_which_a_connection_entered_is_kept() {
        let to = |port, pod| line(port, 431_999, "ESTABLISHED", pod);
        let first = on_node(0, &[&to(1, "10.244.0.5"), &to(2, "10.244.4.5")]);
        let second = on_node(1, &[&to(3, "10.244.4.5"), &to(4, "10.244.4.5")]);
        let opened = both(first, second).opened_since(&ConntrackTable::default(), Duration::ZERO);
        let paths: Vec<_> = opened.iter().map(|(path, count)| (path.node, path.pod.to_string(), *count)).collect();
        assert_eq!(
            paths,
            [(0, "10.244.0.5".to_owned(), 1), (0, "10.244.4.5".to_owned(), 1), (1, "10.244.4.5".to_owned(), 2)]
        );
    }

    #[test]
    fn earlier_connections_are_not_counted() {
        let before = [
            line(40_001, 100, "TIME_WAIT", "10.244.0.5"),
            line(40_002, 431_000, "ESTABLISHED", "10.244.0.5"),
            line(40_003, 431_000, "ESTABLISHED", "10.244.0.5"),
        ];
        let after = [
            line(40_001, 91, "TIME_WAIT", "10.244.0.5"),
            line(40_002, 431_999, "ESTABLISHED", "10.244.0.5"),
            line(40_003, 119, "TIME_WAIT", "10.244.0.5"),
        ];
        assert_eq!(opened(&before, &after, 10), []);
    }

    #[test]
    fn one_port_of_the_client_may_be_used_for_several_pods() {
        let to = |pod: &str| line(40_001, 431_999, "ESTABLISHED", pod).replace("198.18.1.1", pod);
        let found = opened(&[to("10.244.0.5")], &[to("10.244.0.5"), to("10.244.0.6")], 10);
        assert_eq!(found, [("10.244.0.6".to_owned(), 1)]);
    }

    #[test]
    fn a_reused_port_is_a_new_connection() {
        let before = [line(40_001, 100, "TIME_WAIT", "10.244.0.5"), line(40_002, 8, "CLOSE", "10.244.0.5")];
        let after = [line(40_001, 118, "TIME_WAIT", "10.244.0.6"), line(40_002, 9, "CLOSE", "10.244.0.6")];
        assert_eq!(opened(&before, &after, 5), [("10.244.0.6".to_owned(), 2)]);
    }

    #[test]
    fn closing_a_connection_does_not_make_a_new_one() {
        for state in CLOSING {
            let before = [line(40_001, 29, state, "10.244.0.5")];
            assert_eq!(opened(&before, &[line(40_001, 118, "TIME_WAIT", "10.244.0.5")], 10), [], "{state}");
            let reused = [line(40_001, 431_999, "ESTABLISHED", "10.244.0.6")];
            assert_eq!(opened(&before, &reused, 10), [("10.244.0.6".to_owned(), 1)], "{state}");
        }
    }

    #[test]
    fn an_old_entry_on_another_node_is_not_a_new_connection() {
        let both = |first: &[String], second: &[String]| {
            let of = |at, lines: &[String]| on_node(at, &lines.iter().map(String::as_str).collect::<Vec<_>>());
            both(of(0, first), of(1, second))
        };
        let closed = |left| line(40_001, left, "TIME_WAIT", "10.244.0.5");
        let ten = Duration::from_secs(10);
        let before = both(&[closed(90)], &[closed(5)]);
        let opened = |after: ConntrackTable| after.opened_since(&before, ten).values().sum::<u64>();
        assert_eq!(opened(both(&[closed(80)], &[])), 0);
        assert_eq!(opened(both(&[closed(80)], &[line(40_001, 431_999, "ESTABLISHED", "10.244.4.7")])), 1);
    }

    #[test]
    fn the_pod_answers_to_the_address_that_it_saw() {
        let kept = line(40_001, 431_999, "ESTABLISHED", "10.244.0.5").replace("dst=198.18.0.2", "dst=198.18.0.1");
        let replaced = line(40_002, 119, "TIME_WAIT", "10.244.0.5").replace("dst=198.18.0.2", "dst=10.244.0.1");
        let (table, ten) = (tracked(&[&kept, &replaced]), Duration::from_secs(10));
        assert_eq!(table.addresses_since(&tracked(&[]), ten), (1, 1));
        assert_eq!(table.addresses_since(&tracked(&[&kept]), ten), (0, 1), "one is older");
    }

    #[test]
    fn what_is_no_entry_is_passed_over() {
        let udp = "udp      17 29 src=198.18.0.1 dst=198.18.1.1 sport=1 dport=80 src=10.244.0.5 dst=198.18.0.2 sport=3 dport=1";
        let cut = "tcp      6 119 TIME_WAIT src=198.18.0.1 dst=198.18.1.1 sport=40001 dport=80";
        assert_eq!(tracked(&["", udp, cut, "tcp 6 x ESTABLISHED src=1 dst=2"]).entries, HashMap::new());
    }
}
