//! The link between the host and a node, and the way to the external IPs.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::Deserialize;

use crate::config::{EXTERNAL_POOL, EXTERNAL_POOL_PREFIX, HOST_ADDRESS, LINK_PREFIX, LabName};
use crate::error::Error;
use crate::io_error::IoError;
use crate::process::{Invocation, ProgramError};

use super::node::Node;

/// The name of the link's end inside the sandbox.
const INSIDE: &str = "eth0";

/// The range the lab's addresses come from (RFC 2544).
const RANGE: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);

#[derive(Deserialize)]
struct Route {
    dst: String,
    dev: Option<String>,
}

#[derive(Deserialize)]
struct Link {
    /// `ip` has an empty object for each link of another kind.
    ifname: Option<String>,
}

/// Refuses to go on when something else on the host uses the lab's addresses.
pub(super) fn check_free(ip: &Path) -> Result<(), Error> {
    check_free_of_others(ip, &format!("{}/{}", RANGE.0, RANGE.1), "")
}

/// Refuses to go on when the host has a route into `range` that does not leave through `link`.
pub(super) fn check_free_of_others(ip: &Path, range: &str, link: &str) -> Result<(), Error> {
    let output = Invocation::new(ip, ["-json", "-4", "route", "show", "table", "all", "root", range]).run()?;
    // Without a route, `ip -json` prints nothing or an empty list.
    let routes: Vec<Route> = serde_json::from_slice(&output).unwrap_or_default();
    match routes.iter().find(|route| route.dev.as_deref() != Some(link)) {
        None => Ok(()),
        Some(route) => Err(Error::Taken {
            what: format!("address range {range}"),
            by: format!("a route to {} through {}", route.dst, route.dev.as_deref().unwrap_or("no device")),
        }),
    }
}

/// Joins the host to the sandbox of `pid` by a veth pair, and routes the external IPs to it.
pub(super) fn connect(ip: &Path, lab: &LabName, node: &Node, pid: i32) -> Result<(), ProgramError> {
    let (link, pid) = (lab.link(), pid.to_string());
    let host = format!("{HOST_ADDRESS}/{LINK_PREFIX}");
    let pool = format!("{EXTERNAL_POOL}/{EXTERNAL_POOL_PREFIX}");
    let via = node.address.to_string();
    let commands: [&[&str]; 4] = [
        &["link", "add", &link, "type", "veth", "peer", "name", INSIDE, "netns", &pid],
        &["address", "add", &host, "dev", &link],
        &["link", "set", &link, "up", "addrgenmode", "none"],
        &["route", "add", &pool, "via", &via, "dev", &link],
    ];
    commands.into_iter().try_for_each(|arguments| Invocation::new(ip, arguments).run().map(drop))
}

/// Configures the sandbox's end; runs inside.
pub(super) fn configure_inside(ip: &Path, node: &Node) -> Result<(), Error> {
    let address = node.link_address();
    let commands: [&[&str]; 3] = [
        &["link", "set", "lo", "up"],
        &["address", "add", &address, "dev", INSIDE],
        &["link", "set", INSIDE, "up", "addrgenmode", "none"],
    ];
    commands.into_iter().try_for_each(|arguments| Invocation::new(ip, arguments).run().map(drop))?;
    let forward = Path::new("/proc/sys/net/ipv4/ip_forward");
    Ok(std::fs::write(forward, "1").map_err(|source| IoError::file("write", forward, source))?)
}

/// Whether the host's end of the link is there: a veth, since an interface of any other kind is no lab's.
pub(super) fn link_exists(ip: &Path, lab: &LabName) -> Result<bool, Error> {
    Ok(device_exists(&lab.link()) && is_veth(ip, &lab.link())?)
}

fn is_veth(ip: &Path, link: &str) -> Result<bool, Error> {
    let output = Invocation::new(ip, ["-json", "link", "show", "type", "veth"]).run()?;
    let links: Vec<Link> = serde_json::from_slice(&output).unwrap_or_default();
    Ok(links.iter().any(|veth| veth.ifname.as_deref() == Some(link)))
}

/// Refuses to go on when an interface has the link's name; the lab's own must have been removed.
pub(super) fn check_name_is_free(lab: &LabName) -> Result<(), Error> {
    let what = format!("link {}", lab.link());
    let by = "an interface of that name that is no lab's".to_owned();
    if device_exists(&lab.link()) { Err(Error::Taken { what, by }) } else { Ok(()) }
}

/// Whether the host has a device of this name. The kernel is asked, since `/sys` may show another network namespace.
#[must_use]
pub(super) fn device_exists(link: &str) -> bool {
    nix::net::if_::if_nametoindex(link).is_ok()
}

/// Removes the link; its addresses and routes go with it.
pub(super) fn disconnect(ip: &Path, lab: &LabName) -> Result<(), ProgramError> {
    let removed = Invocation::new(ip, ["link", "delete", &lab.link()]).run();
    // The kernel may have removed it with the sandbox in the meantime.
    if device_exists(&lab.link()) { removed.map(drop) } else { Ok(()) }
}
