//! The link between the host and the lab's nodes, and the routes to external IPs and pods.

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cluster::ClusterError;
use crate::config::{EXTERNAL_POOL, EXTERNAL_POOL_PREFIX, HOST_ADDRESS, LINK_PREFIX, LabName, SERVICE_CIDR};
use crate::io_error::IoError;
use crate::process::{self, Invocation, ProgramError};

use super::node::{Node, RunningNode};

/// The name of the link's end inside the sandbox.
const INSIDE: &str = "eth0";

/// The range the lab's addresses come from (RFC 2544).
pub(super) const RANGE: &str = "198.18.0.0/15";

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
pub(super) fn check_free(ip: &Path) -> Result<(), ClusterError> {
    check_free_of_others(ip, RANGE, "")
}

/// Checks that the host has no route into `range`, apart from routes through `link`.
pub(super) fn check_free_of_others(ip: &Path, range: &str, link: &str) -> Result<(), ClusterError> {
    let routes: Vec<Route> = list(ip, &["-4", "route", "show", "table", "all", "root", range])?;
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
    let routes: Vec<Route> = list(ip, &["-4", "route", "show", "exact", range, "dev", link])?;
    Ok(!routes.is_empty())
}

/// The list that `ip -json` prints with these arguments. Output that cannot be parsed must not count as an empty list,
/// because an address range or a name would then seem to be free.
fn list<T: DeserializeOwned>(ip: &Path, arguments: &[&str]) -> Result<Vec<T>, ProgramError> {
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

/// Connects the host to the lab by a veth pair, and routes the external IPs to it. The host has only this link, however
/// many nodes there are: it leads to the node that runs the control plane.
///
/// The link is dormant from the beginning (RFC 2863; `Documentation/networking/operstates.rst` of Linux): its operational
/// state is not "up", so dhcpcd and systemd-networkd do not ask for an address on it, and dhcpcd does not give it one of
/// 169.254.0.0/16 with a default route. The kernel sends and receives through a dormant link as through any other.
pub(super) fn connect(ip: &Path, lab: &LabName, nodes: &[RunningNode]) -> Result<(), ClusterError> {
    let link = lab.link();
    let host = format!("{HOST_ADDRESS}/{LINK_PREFIX}");
    let pool = format!("{EXTERNAL_POOL}/{EXTERNAL_POOL_PREFIX}");
    for RunningNode { node, pid } in nodes.iter().filter(|running| running.node.is_control_plane()) {
        let (pid, via) = (pid.to_string(), node.address.to_string());
        let pair = ["type", "veth", "peer", "name", INSIDE, "netns", &pid];
        run(ip, &[["link", "add", &link, "mode", "dormant"].as_slice(), &pair].concat())?;
        run(ip, &["address", "add", &host, "dev", &link])?;
        set_up(ip, &link)?;
        run(ip, &["route", "add", &pool, "via", &via, "dev", &link])?;
    }
    Ok(())
}

/// Configures the link's end in a node's sandbox, and the routes to the pods of the other nodes; runs inside.
pub(super) fn configure_inside(ip: &Path, node: &Node, nodes: &[Node]) -> Result<(), ClusterError> {
    run(ip, &["link", "set", "lo", "up"])?;
    run(ip, &["address", "add", &node.link_address(), "dev", INSIDE])?;
    set_up(ip, INSIDE)?;
    if node.is_control_plane() {
        // The address of an endpoint must not be in 127.0.0.0/8, and the host has no route to this one.
        run(ip, &["address", "add", &format!("{}/32", node.dns_address()), "dev", "lo"])?;
    }
    for other in nodes.iter().filter(|other| *other != node) {
        run(ip, &["route", "add", &other.pod_cidr, "via", &other.address.to_string(), "dev", INSIDE])?;
    }
    // A node has a route to every address, usually its default route. Without one, the API server could not connect to a
    // Service, for a webhook or an aggregated API. kube-proxy's rules replace the address before the packet leaves.
    run(ip, &["route", "add", SERVICE_CIDR, "dev", "lo", "src", &node.address.to_string()])?;
    // The kernel would else tell the host where every address of the node is, so that a program of the host that is bound to
    // the link could connect to the DNS server.
    set(Path::new("/proc/sys/net/ipv4/conf").join(INSIDE).join("arp_ignore"), "1")?;
    Ok(set("/proc/sys/net/ipv4/ip_forward", "1")?)
}

/// Sets a kernel setting of this network namespace.
fn set(setting: impl AsRef<Path>, value: &str) -> Result<(), IoError> {
    std::fs::write(&setting, value).map_err(|source| IoError::file("write", setting.as_ref(), source))
}

/// Sets a link up, and keeps the kernel from generating an IPv6 address for it.
fn set_up(ip: &Path, link: &str) -> Result<(), ProgramError> {
    // Without IPv6 (`ipv6.disable=1`) the kernel does not have this directory, and refuses `addrgenmode`.
    if Path::new("/proc/sys/net/ipv6/conf").join(link).exists() {
        run(ip, &["link", "set", link, "addrgenmode", "none"])?;
    }
    run(ip, &["link", "set", link, "up"])
}

fn run(ip: &Path, arguments: &[&str]) -> Result<(), ProgramError> {
    Invocation::new(ip, arguments).run().map(drop)
}

/// Whether the host's end of the link exists. It must be a veth: an interface of another kind does not belong to a lab.
pub(super) fn link_exists(ip: &Path, lab: &LabName) -> Result<bool, ClusterError> {
    Ok(device_exists(&lab.link()) && is_veth(ip, &lab.link())?)
}

fn is_veth(ip: &Path, link: &str) -> Result<bool, ClusterError> {
    let links: Vec<Link> = list(ip, &["link", "show", "type", "veth"])?;
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
        for error in [check_free(echo).unwrap_err(), is_veth(echo, "ek-lab").unwrap_err()] {
            let text = error.to_string();
            assert!(text.contains("expected a list as JSON") && text.contains("-json"), "{text}");
        }
        let quiet = Path::new("true");
        check_free(quiet).unwrap();
        assert!(!is_veth(quiet, "ek-lab").unwrap());
    }
}
