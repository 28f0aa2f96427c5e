//! The kernel of a lab's router: routes to external IPs by way of the nodes, and connections that keep their node.
//!
//! The functions run in the router's network namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};
use serde::{Deserialize, Serialize};

use crate::cluster::ClusterError;
use crate::config::{LabName, MOST_NODES, RouterHash, Subnet};
use crate::io_error::IoError;
use crate::process::Invocation;

use super::known_routes::{FIRST_TABLE, KnownRoutes};
use super::network::configure;
use super::network_plan::{HOST_LINK, router_node_link};
use super::node::Node;

/// The kernel's IPv4 routes of this network namespace.
const ROUTES: &str = "/proc/net/route";

/// What the router's component is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouterSettings {
    /// The lab's name.
    pub lab: String,
    /// The lab's addresses.
    pub subnet: Subnet,
    /// How a node is chosen for a connection.
    pub hash: RouterHash,
    /// The program `ip`.
    pub ip: PathBuf,
    /// The program `nft`.
    pub nft: PathBuf,
}

impl RouterSettings {
    /// Reads the settings that `up` wrote.
    ///
    /// # Errors
    /// [`ClusterError::Io`].
    pub fn read(path: &Path) -> Result<Self, ClusterError> {
        Ok(super::plan::read_json(path)?)
    }
}

/// Where the router sends connections to external IPs. Nodes are named by their indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// For each external IP, the nodes among which new connections are spread. No node: the IP is unreachable.
    pub external: BTreeMap<Ipv4Addr, BTreeSet<u8>>,
    /// The nodes that keep their established connections.
    pub keeping: BTreeSet<u8>,
}

/// The router's routes as they were last written.
pub struct RouterKernel {
    settings: RouterSettings,
    lab: LabName,
    /// What was written last; `None` if the kernel may have something else.
    written: Option<Routes>,
    /// The nodes whose links are up, and whose routes are configured, with the kernel's index of the link.
    linked: BTreeMap<u8, u32>,
}

impl RouterKernel {
    /// Prepares the kernel: with [`RouterHash::Tracked`], the rules that mark connections.
    ///
    /// # Errors
    /// [`ClusterError::Program`] when a program refuses, [`ClusterError::Io`] for settings that cannot be used.
    pub fn new(settings: RouterSettings) -> Result<Self, ClusterError> {
        let lab = settings.lab.parse();
        let lab = lab.map_err(|source| IoError::new("read the router's settings", std::io::Error::other(source)))?;
        if settings.hash == RouterHash::Tracked {
            let file = Path::new("/run/evenkeel-router.nft");
            fs::write(file, mark_rules()).map_err(|source| IoError::file("write", file, source))?;
            Invocation::new(&settings.nft, [Path::new("-f"), file]).run()?;
        }
        Ok(Self { settings, lab, written: None, linked: BTreeMap::new() })
    }

    /// Whether links of nodes came up, went down or were replaced since the routes were written.
    #[must_use]
    pub fn links_changed(&self) -> bool {
        links_up().is_some_and(|up| up != self.linked) || !self.are_routed()
    }

    /// Whether each node has its route. A link that was down has lost its routes, even if it was down only for a moment.
    fn are_routed(&self) -> bool {
        let Ok(table) = fs::read_to_string(ROUTES) else { return true };
        let routes: BTreeSet<(&str, Ipv4Addr)> = table.lines().skip(1).filter_map(route_in).collect();
        let is_routed = |node: &Node| routes.contains(&(node.router_link().as_str(), node.address));
        self.linked.keys().all(|index| is_routed(&self.node(*index)))
    }

    /// Writes the routes, as far as the links of the nodes are up. The kernel itself stops using routes through a link that
    /// goes down.
    ///
    /// # Errors
    /// [`ClusterError::Program`]. The routes are then written again with the next change.
    pub fn write(&mut self, wanted: &Routes) -> Result<(), ClusterError> {
        let up = links_up().unwrap_or_else(|| self.linked.clone());
        if up != self.linked || !self.are_routed() {
            // With a link, its routes are gone.
            self.written = None;
            self.linked.clear();
            for index in up.keys() {
                configure(&self.settings.ip, &router_node_link(&self.node(*index), self.settings.subnet))?;
            }
            self.linked = up;
        }
        let reachable =
            |nodes: &BTreeSet<u8>| nodes.iter().copied().filter(|index| self.linked.contains_key(index)).collect();
        let external = wanted.external.iter().map(|(ip, nodes)| (*ip, reachable(nodes))).collect();
        let wanted = Routes { external, keeping: reachable(&wanted.keeping) };
        // A failure must not leave the impression that everything is written.
        let before = match self.written.take() {
            Some(written) => KnownRoutes::written(written),
            None => KnownRoutes::read(&self.settings.ip, self.settings.subnet)?,
        };
        for arguments in self.changes(&before, &wanted) {
            Invocation::new(&self.settings.ip, &arguments).run()?;
        }
        self.written = Some(wanted);
        Ok(())
    }

    fn node(&self, index: u8) -> Node {
        Node::new(&self.lab, self.settings.subnet, index)
    }

    /// The calls of `ip` that lead from the routes before to those that are wanted.
    fn changes(&self, before: &KnownRoutes, wanted: &Routes) -> Vec<Vec<String>> {
        let mut calls = Vec::new();
        if self.settings.hash == RouterHash::Tracked {
            calls.extend((0..MOST_NODES).flat_map(|index| self.keep(index, before, wanted)));
        }
        for (ip, nodes) in &wanted.external {
            if before.external.get(ip).is_none_or(|known| known.as_ref() != Some(nodes)) {
                calls.extend(self.route(*ip, nodes));
            }
        }
        for ip in before.external.keys().filter(|ip| !wanted.external.contains_key(ip)) {
            calls.push(words(&["route", "delete", &ip.to_string()]));
        }
        calls
    }

    /// The calls for the connections of one node. Each node has a routing table, which is looked up for packets that have the
    /// mark of the node.
    fn keep(&self, index: u8, before: &KnownRoutes, wanted: &Routes) -> Vec<Vec<String>> {
        let (table, mark) = (table(index), mark(index).to_string());
        let rule = |action: &str| words(&["rule", action, "fwmark", &mark, "lookup", &table, "priority", &table]);
        let route = || {
            let node = self.node(index);
            let (via, link) = (node.address.to_string(), node.router_link());
            words(&["route", "replace", "default", "via", &via, "dev", &link, "table", &table])
        };
        match (before.keeping.get(&index), wanted.keeping.contains(&index)) {
            (None, true) => vec![route(), rule("add")],
            (Some(false), true) => vec![route()],
            // Nothing looks up a table without its rule.
            (Some(_), false) => vec![rule("delete")],
            (Some(true), true) | (None, false) => Vec::new(),
        }
    }

    /// The calls that route an external IP to these nodes.
    fn route(&self, ip: Ipv4Addr, nodes: &BTreeSet<u8>) -> Vec<Vec<String>> {
        let to = format!("{ip}/32");
        if nodes.is_empty() {
            return vec![words(&["route", "replace", "unreachable", &to])];
        }
        let hops: Vec<(String, String)> = nodes
            .iter()
            .map(|index| self.node(*index))
            .map(|node| (node.address.to_string(), node.router_link()))
            .collect();
        if self.settings.hash == RouterHash::Resilient {
            return resilient(ip, nodes, &hops);
        }
        let mut call = words(&["route", "replace", &to]);
        for (via, link) in &hops {
            call.extend(words(if hops.len() > 1 { &["nexthop"] } else { &[] }));
            call.extend(words(&["via", via, "dev", link]));
        }
        vec![call]
    }
}

/// The number of buckets of a resilient group. Few enough that most of them are in use under load, and many times the nodes.
const BUCKETS: &str = "256";
/// A bucket without a packet for so many seconds may be given to another node.
const IDLE_SECONDS: &str = "5";

/// A group of next hops for each external IP, as its number of buckets cannot be shared. The identifiers of next hops follow
/// from the nodes' indexes, those of groups from the address.
///
/// Each node has two next hops. The kernel notes the use of buckets only in a group of several, so with one next hop for the
/// first node, all of its buckets would count as idle when the second node comes.
fn resilient(ip: Ipv4Addr, nodes: &BTreeSet<u8>, hops: &[(String, String)]) -> Vec<Vec<String>> {
    let ids = |index: &u8| [1, 101].map(|first| (first + u32::from(*index)).to_string());
    let group = (1000 + u32::from(ip.octets()[3])).to_string();
    let members: Vec<String> = nodes.iter().flat_map(ids).collect();
    let replace = |(index, (via, link)): (&u8, &(String, String))| {
        ids(index).map(|id| words(&["nexthop", "replace", "id", &id, "via", via, "dev", link]))
    };
    let mut calls: Vec<Vec<String>> = nodes.iter().zip(hops).flat_map(replace).collect();
    let kind = ["type", "resilient", "buckets", BUCKETS, "idle_timer", IDLE_SECONDS];
    calls.push([words(&["nexthop", "replace", "id", &group, "group", &members.join("/")]), words(&kind)].concat());
    calls.push(words(&["route", "replace", &format!("{ip}/32"), "nhid", &group]));
    calls
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The mark of packets whose connection keeps the node.
pub(super) fn mark(index: u8) -> u32 {
    u32::from(index) + 1
}

/// The number of the node's routing table, which is the priority of its rule, too.
fn table(index: u8) -> String {
    (FIRST_TABLE + u32::from(index)).to_string()
}

/// A connection from the machine is marked with the node that its first packet is routed to, and its later packets get the
/// mark before they are routed.
fn mark_rules() -> String {
    let marks: Vec<String> = (0..MOST_NODES).map(|index| format!("\"node{index}\" : {}", mark(index))).collect();
    format!(
        "\
table ip evenkeel
flush table ip evenkeel
table ip evenkeel {{
    chain remember {{
        type filter hook forward priority mangle; policy accept;
        iifname \"{HOST_LINK}\" ct mark 0 ct mark set meta oifname map {{ {} }}
    }}
    chain recall {{
        type filter hook prerouting priority mangle; policy accept;
        iifname \"{HOST_LINK}\" ct mark != 0 meta mark set ct mark
    }}
}}
",
        marks.join(", ")
    )
}

/// The index of the node whose link has this name.
pub(super) fn index_of_link(name: &str) -> Option<u8> {
    name.strip_prefix("node")?.parse().ok().filter(|index| *index < MOST_NODES)
}

/// The nodes whose links are up and have a carrier, with the kernel's index of the link. `None` if the kernel does not say it.
fn links_up() -> Option<BTreeMap<u8, u32>> {
    let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING;
    let links = getifaddrs().ok()?.filter(|link| link.flags.contains(up));
    let of_node = |name: String| Some((index_of_link(&name)?, if_nametoindex(name.as_str()).ok()?));
    Some(links.filter_map(|link| of_node(link.interface_name)).collect())
}

/// The link and the destination of a route in the kernel's table: the first two fields. The destination is hexadecimal, in the
/// byte order of the machine.
fn route_in(row: &str) -> Option<(&str, Ipv4Addr)> {
    let mut fields = row.split_whitespace();
    let (link, to) = (fields.next()?, u32::from_str_radix(fields.next()?, 16).ok()?);
    Some((link, Ipv4Addr::from(to.to_ne_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(hash: RouterHash) -> RouterKernel {
        let (lab, subnet) = ("lab".to_owned(), Subnet::default());
        let settings = RouterSettings { lab, subnet, hash, ip: "ip".into(), nft: "nft".into() };
        RouterKernel { settings, lab: "lab".parse().unwrap(), written: None, linked: BTreeMap::new() }
    }

    fn routes(nodes: &[u8], keeping: &[u8]) -> Routes {
        let external = [(Ipv4Addr::new(198, 18, 1, 7), nodes.iter().copied().collect())].into();
        Routes { external, keeping: keeping.iter().copied().collect() }
    }

    fn calls(hash: RouterHash, before: &Routes, wanted: &Routes) -> Vec<String> {
        let before = KnownRoutes::written(before.clone());
        kernel(hash).changes(&before, wanted).iter().map(|call| call.join(" ")).collect()
    }

    #[test]
    fn connections_are_spread_over_the_nodes_with_equal_costs() {
        let none = Routes::default();
        let two = calls(RouterHash::Plain, &none, &routes(&[0, 2], &[0, 1, 2]));
        assert_eq!(
            two,
            ["route replace 198.18.1.7/32 nexthop via 198.18.0.2 dev node0 nexthop via 198.18.0.4 dev node2"]
        );
        let one = calls(RouterHash::Plain, &none, &routes(&[1], &[]));
        assert_eq!(one, ["route replace 198.18.1.7/32 via 198.18.0.3 dev node1"]);
        assert_eq!(calls(RouterHash::Plain, &none, &routes(&[], &[])), ["route replace unreachable 198.18.1.7/32"]);
        assert_eq!(calls(RouterHash::Plain, &routes(&[1], &[]), &none), ["route delete 198.18.1.7"]);
        assert_eq!(calls(RouterHash::Plain, &routes(&[1], &[1]), &routes(&[1], &[])), Vec::<String>::new());
    }

    #[test]
    fn a_node_that_gets_no_new_connections_keeps_those_that_it_has() {
        let changed = calls(RouterHash::Tracked, &routes(&[0, 1], &[0, 1]), &routes(&[0], &[0, 1]));
        assert_eq!(changed, ["route replace 198.18.1.7/32 via 198.18.0.2 dev node0"]);
        let gone = calls(RouterHash::Tracked, &routes(&[0], &[0, 1]), &routes(&[0], &[0]));
        assert_eq!(gone, ["rule delete fwmark 2 lookup 1001 priority 1001"]);
        let new = calls(RouterHash::Tracked, &routes(&[0], &[0]), &routes(&[0], &[0, 1]));
        assert_eq!(
            new,
            [
                "route replace default via 198.18.0.3 dev node1 table 1001",
                "rule add fwmark 2 lookup 1001 priority 1001"
            ]
        );
    }

    #[test]
    fn routes_are_read_from_the_kernels_table() {
        let hex = format!("{:08X}", u32::from_ne_bytes([198, 18, 0, 3]));
        let row = format!("node1\t{hex}\t00000000\t0001\t0\t0\t0\tFFFFFFFF\t0\t0\t0");
        assert_eq!(route_in(&row), Some(("node1", Ipv4Addr::new(198, 18, 0, 3))));
        assert_eq!(route_in("node1"), None);
    }

    #[test]
    fn what_the_kernel_has_from_before_is_put_right() {
        let [one, two] = [7, 9].map(|last| Ipv4Addr::new(198, 18, 1, last));
        let found =
            KnownRoutes { external: [(one, None), (two, None)].into(), keeping: [(0, false), (1, false)].into() };
        let calls = kernel(RouterHash::Tracked).changes(&found, &routes(&[0, 2], &[0, 2]));
        let calls: Vec<String> = calls.iter().map(|call| call.join(" ")).collect();
        assert_eq!(
            calls,
            [
                "route replace default via 198.18.0.2 dev node0 table 1000",
                "rule delete fwmark 2 lookup 1001 priority 1001",
                "route replace default via 198.18.0.4 dev node2 table 1002",
                "rule add fwmark 3 lookup 1002 priority 1002",
                "route replace 198.18.1.7/32 nexthop via 198.18.0.2 dev node0 nexthop via 198.18.0.4 dev node2",
                "route delete 198.18.1.9",
            ]
        );
    }

    #[test]
    fn a_resilient_group_is_replaced_and_its_next_hops_first() {
        let changed = calls(RouterHash::Resilient, &routes(&[0], &[]), &routes(&[0, 1], &[]));
        assert_eq!(
            changed,
            [
                "nexthop replace id 1 via 198.18.0.2 dev node0",
                "nexthop replace id 101 via 198.18.0.2 dev node0",
                "nexthop replace id 2 via 198.18.0.3 dev node1",
                "nexthop replace id 102 via 198.18.0.3 dev node1",
                "nexthop replace id 1007 group 1/101/2/102 type resilient buckets 256 idle_timer 5",
                "route replace 198.18.1.7/32 nhid 1007",
            ]
        );
    }
}
