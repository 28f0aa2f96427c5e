//! What is configured in the network namespace of a sandbox, once its links exist: a pure list of steps.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{POD_CIDR, SERVICE_CIDR, Subnet};

use super::node::Node;

/// The name of a node's end of its link: to the machine, or to the router.
pub(super) const NODE_LINK: &str = "eth0";
/// The name of the router's end of the link to the machine.
pub(super) const HOST_LINK: &str = "host";

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NetworkStep {
    /// Runs `ip` with these arguments.
    Ip(Vec<String>),
    /// Sets a link up, without an IPv6 address.
    Up(String),
    /// Writes a value to a file below `/proc/sys/net/ipv4`.
    Set(PathBuf, String),
    /// Adds rules.
    PacketFilter {
        /// The program `nft`.
        nft: PathBuf,
        /// Its commands.
        rules: String,
    },
}

impl NetworkStep {
    fn ip<const N: usize>(arguments: [&str; N]) -> Self {
        Self::Ip(arguments.map(str::to_owned).to_vec())
    }

    fn set(file: impl Into<PathBuf>, value: &str) -> Self {
        Self::Set(file.into(), value.to_owned())
    }

    fn up(link: &str) -> Self {
        Self::Up(link.to_owned())
    }
}

/// What a node is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uplink {
    /// The machine itself.
    Machine,
    /// The router, which is between the machine and the nodes.
    Router,
}

/// The steps in a node's sandbox.
pub(super) fn of_node(node: &Node, subnet: Subnet, uplink: Uplink) -> Vec<NetworkStep> {
    let mut steps = vec![NetworkStep::up("lo")];
    if node.is_control_plane() {
        // The address of an endpoint must not be in 127.0.0.0/8, and the machine has no route to this one.
        steps.push(NetworkStep::ip(["address", "add", &format!("{}/32", node.dns_address()), "dev", "lo"]));
    }
    steps.extend(node_link(node, subnet, uplink));
    // A node has a route to every address, usually its default route. Without one, the API server could not connect to a
    // Service, for a webhook or an aggregated API. kube-proxy's rules replace the address before the packet leaves.
    steps.push(cluster_ips(node));
    steps.push(NetworkStep::set("ip_forward", "1"));
    steps
}

fn cluster_ips(node: &Node) -> NetworkStep {
    NetworkStep::ip(["route", "replace", SERVICE_CIDR, "dev", "lo", "src", &node.address.to_string()])
}

/// The steps for the link of a node, again after the link was replaced by another one.
pub(super) fn node_link(node: &Node, subnet: Subnet, uplink: Uplink) -> Vec<NetworkStep> {
    let mut steps = match uplink {
        Uplink::Machine => {
            let address = format!("{}/{}", node.address, Subnet::PART_PREFIX);
            vec![
                NetworkStep::ip(["address", "add", &address, "dev", NODE_LINK]),
                NetworkStep::up(NODE_LINK),
                NetworkStep::ip(["route", "replace", &subnet.external_range(), "dev", NODE_LINK]),
            ]
        }
        Uplink::Router => {
            let (address, router) = (format!("{}/32", node.address), subnet.router().to_string());
            let through = |range: &str| NetworkStep::ip(["route", "replace", range, "via", &router, "dev", NODE_LINK]);
            vec![
                NetworkStep::ip(["address", "add", &address, "dev", NODE_LINK]),
                NetworkStep::up(NODE_LINK),
                NetworkStep::ip(["route", "replace", &router, "dev", NODE_LINK, "src", &node.address.to_string()]),
                through(&subnet.link()),
                through(&subnet.external_range()),
                through(POD_CIDR),
                // Each pod has a route of its own. Other addresses of the range must not go to the router and back.
                NetworkStep::ip(["route", "replace", "unreachable", &node.pod_cidr]),
                cluster_ips(node),
            ]
        }
    };
    // The kernel would else tell the machine where every address of the node is, so that a program of the machine that is
    // bound to the link could connect to the DNS server.
    steps.push(NetworkStep::set(format!("conf/{NODE_LINK}/arp_ignore"), "1"));
    steps
}

/// The steps in the router's sandbox.
pub(super) fn of_router(nodes: &[Node], subnet: Subnet) -> Vec<NetworkStep> {
    let mut steps = vec![
        NetworkStep::up("lo"),
        NetworkStep::set("ip_forward", "1"),
        // Packets of a connection are hashed by addresses and ports.
        NetworkStep::set("fib_multipath_hash_policy", "1"),
        // Routes through a link whose other end is down are not used.
        NetworkStep::set("conf/all/ignore_routes_with_linkdown", "1"),
        NetworkStep::set("conf/default/ignore_routes_with_linkdown", "1"),
    ];
    steps.extend(router_host_link(subnet));
    steps.extend(nodes.iter().flat_map(|node| router_node_link(node, subnet)));
    steps
}

/// The steps for the router's end of the link to the machine. The machine asks for the addresses of the nodes on this link,
/// and the router answers for them (proxy ARP), at once.
fn router_host_link(subnet: Subnet) -> Vec<NetworkStep> {
    let router = subnet.router();
    vec![
        NetworkStep::set(format!("conf/{HOST_LINK}/proxy_arp"), "1"),
        NetworkStep::set(format!("neigh/{HOST_LINK}/proxy_delay"), "0"),
        NetworkStep::ip(["address", "add", &format!("{router}/32"), "dev", HOST_LINK]),
        NetworkStep::up(HOST_LINK),
        direct(subnet.host(), router, HOST_LINK),
    ]
}

/// The steps for the router's end of the link to a node, again after the link was down.
pub(super) fn router_node_link(node: &Node, subnet: Subnet) -> Vec<NetworkStep> {
    let link = node.router_link();
    vec![
        NetworkStep::up(&link),
        direct(node.address, subnet.router(), &link),
        NetworkStep::ip(["route", "replace", &node.pod_cidr, "via", &node.address.to_string(), "dev", &link]),
    ]
}

/// The route to the address at the other end of a link.
fn direct(to: Ipv4Addr, from: Ipv4Addr, link: &str) -> NetworkStep {
    NetworkStep::ip(["route", "replace", &to.to_string(), "dev", link, "src", &from.to_string()])
}
