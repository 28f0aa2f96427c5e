//! The link between the host and the lab's nodes, and the routes to external IPs and pods.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::ClusterError;
use crate::config::{LabName, Subnet};
use crate::io_error::IoError;
use crate::process::{self, Invocation, ProgramError};

use super::network_plan::{HOST_LINK, NODE_LINK, NetworkStep};
use super::node::{Cluster, RunningNode};

#[derive(Deserialize)]
struct Route {
    dst: String,
    dev: Option<String>,
}

#[derive(Deserialize)]
struct Link {
    /// Missing for a link of another kind, for which `ip` prints an empty object.
    ifname: Option<String>,
}

/// Checks that nothing else on the host uses the lab's addresses.
pub(super) fn check_free(ip: &Path, subnet: Subnet) -> Result<(), ClusterError> {
    check_free_of_others(ip, &subnet.to_string(), "")
}

/// Checks that the host has no route into `range`, apart from routes through `link`.
pub(super) fn check_free_of_others(ip: &Path, range: &str, link: &str) -> Result<(), ClusterError> {
    let routes: Vec<Route> = json_list(ip, &["-4", "route", "show", "table", "all", "root", range])?;
    match routes.iter().find(|route| route.dev.as_deref() != Some(link)) {
        None => Ok(()),
        Some(route) => Err(ClusterError::Taken {
            what: format!("address range {range}"),
            by: format!("a route to {} through {}", route.dst, route.dev.as_deref().unwrap_or("no device")),
        }),
    }
}

/// Whether the host has a route to exactly `range` through `link`.
pub(super) fn has_route(ip: &Path, range: &str, link: &str) -> Result<bool, ProgramError> {
    let routes: Vec<Route> = json_list(ip, &["-4", "route", "show", "exact", range, "dev", link])?;
    Ok(!routes.is_empty())
}

/// The list that `ip -json` prints with these arguments. Output that cannot be parsed must not count as an empty list,
/// because an address range or a name would then seem to be free.
pub(super) fn json_list<T: DeserializeOwned>(ip: &Path, arguments: &[&str]) -> Result<Vec<T>, ProgramError> {
    let command = Invocation::new(ip, [&["-json"], arguments].concat());
    let output = command.run()?;
    // When there is nothing to list, `ip` prints either nothing or an empty list.
    if output.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&output).map_err(|source| ProgramError {
        command: command.to_string(),
        outcome: format!("expected a list as JSON on its stdout: {source}"),
        tail: process::last_lines(&String::from_utf8_lossy(&output), 5),
    })
}

/// Connects the machine to the lab by a veth pair, and routes the external IPs to it. The machine has only this link, however
/// many nodes there are: it leads to the only node, or to the router. The links between router and nodes are made in their
/// namespaces.
///
/// The link is dormant from the beginning (RFC 2863; `Documentation/networking/operstates.rst` of Linux): its operational
/// state is not "up", so dhcpcd and systemd-networkd do not ask for an address on it, and dhcpcd does not give it one of
/// 169.254.0.0/16 with a default route. The kernel sends and receives through a dormant link as through any other.
pub(super) fn connect(ip: &Path, cluster: &Cluster) -> Result<(), ClusterError> {
    let (link, subnet, first) = (cluster.name.link(), cluster.subnet, cluster.first());
    let (pid, inside, via) = match &cluster.router {
        Some(router) => (router.pid, HOST_LINK, subnet.router()),
        None => (first.pid, NODE_LINK, first.node.address),
    };
    let pair = ["type", "veth", "peer", "name", inside, "netns", &pid.to_string()].map(str::to_owned);
    run(ip, &[["link", "add", &link, "mode", "dormant"].map(str::to_owned).as_slice(), &pair].concat())?;
    run(ip, &["address", "add", &format!("{}/{}", subnet.host(), Subnet::PART_PREFIX), "dev", &link])?;
    set_up(ip, &link)?;
    route_external(ip, cluster, via)?;
    for running in cluster.nodes.iter().filter(|_| cluster.router.is_some()) {
        connect_node(ip, cluster, running)?;
    }
    Ok(())
}

/// Routes the external IPs to an address on the link.
pub(super) fn route_external(ip: &Path, cluster: &Cluster, via: Ipv4Addr) -> Result<(), ProgramError> {
    let (range, via) = (cluster.subnet.external_range(), via.to_string());
    run(ip, &["route", "replace", &range, "via", &via, "dev", &cluster.name.link()])
}

/// Makes the link between the router and a node. Neither end is ever in the machine's own namespace.
pub(super) fn connect_node(ip: &Path, cluster: &Cluster, running: &RunningNode) -> Result<(), ProgramError> {
    let Some(router) = &cluster.router else { return Ok(()) };
    let (link, router, node) = (running.node.router_link(), router.pid.to_string(), running.pid.to_string());
    let pair = ["type", "veth", "peer", "name", NODE_LINK, "netns", &node];
    run(ip, &[["link", "add", &link, "netns", &router].as_slice(), &pair].concat())
}

/// Configures this network namespace.
pub(super) fn configure(ip: &Path, steps: &[NetworkStep]) -> Result<(), ClusterError> {
    for step in steps {
        match step {
            NetworkStep::Ip(arguments) => run(ip, arguments)?,
            NetworkStep::Up(link) => set_up(ip, link)?,
            NetworkStep::Set(file, value) => set(&Path::new("/proc/sys/net/ipv4").join(file), value)?,
            NetworkStep::PacketFilter { nft, rules } => run(nft, &[rules])?,
        }
    }
    Ok(())
}

/// Sets a kernel setting of this network namespace.
fn set(setting: &Path, value: &str) -> Result<(), IoError> {
    std::fs::write(setting, value).map_err(|source| IoError::file("write", setting, source))
}

/// Sets a link up, and keeps the kernel from generating an IPv6 address for it.
fn set_up(ip: &Path, link: &str) -> Result<(), ProgramError> {
    // Without IPv6 (`ipv6.disable=1`) the kernel does not have this directory, and refuses `addrgenmode`.
    if Path::new("/proc/sys/net/ipv6/conf").join(link).exists() {
        run(ip, &["link", "set", link, "addrgenmode", "none"])?;
    }
    run(ip, &["link", "set", link, "up"])
}

fn run<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> Result<(), ProgramError> {
    Invocation::new(program, arguments).run().map(drop)
}

/// Whether the host's end of the link exists. It must be a veth: an interface of another kind does not belong to a lab.
pub(super) fn link_exists(ip: &Path, lab: &LabName) -> Result<bool, ClusterError> {
    Ok(device_exists(&lab.link()) && is_veth(ip, &lab.link())?)
}

fn is_veth(ip: &Path, link: &str) -> Result<bool, ClusterError> {
    let links: Vec<Link> = json_list(ip, &["link", "show", "type", "veth"])?;
    Ok(links.iter().any(|veth| veth.ifname.as_deref() == Some(link)))
}

/// Checks that no interface has the link's name. The lab's own link must have been removed before.
pub(super) fn check_name_is_free(lab: &LabName) -> Result<(), ClusterError> {
    let what = format!("link {}", lab.link());
    let by = "an interface of that name that does not belong to a lab".to_owned();
    if device_exists(&lab.link()) { Err(ClusterError::Taken { what, by }) } else { Ok(()) }
}

/// Whether the host has an interface of this name. Asks the kernel, because `/sys` may show another network namespace.
#[must_use]
pub(super) fn device_exists(link: &str) -> bool {
    nix::net::if_::if_nametoindex(link).is_ok()
}

/// Removes the link. The kernel removes its addresses and routes, too.
pub(super) fn disconnect(ip: &Path, lab: &LabName) -> Result<(), ProgramError> {
    let removed = Invocation::new(ip, ["link", "delete", &lab.link()]).run();
    // The kernel may have removed it with the sandbox in the meantime.
    if device_exists(&lab.link()) { removed.map(drop) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses `echo` as an `ip` that does not print JSON, and `true` as one that prints nothing.
    #[test]
    fn output_that_is_no_json_does_not_mean_that_a_range_is_free() {
        let echo = Path::new("echo");
        for error in [check_free(echo, Subnet::default()).unwrap_err(), is_veth(echo, "ek-lab").unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("expected a list as JSON") && text.contains("-json"), "{text}");
        }
        let quiet = Path::new("true");
        check_free(quiet, Subnet::default()).unwrap();
        assert!(!is_veth(quiet, "ek-lab").unwrap());
    }
}
