//! What other programs changed on the host's end of the link. A program that manages the machine's network may take the link
//! for one of its own.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use serde::Serialize;

use crate::cluster::ClusterError;
use crate::config::{POD_CIDR, SERVICE_CIDR};
use crate::io_error::IoError;

use super::node::Cluster;

/// The kernel's IPv4 routes.
const ROUTES: &str = "/proc/net/route";

/// What changed on the link since it was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkChanges {
    /// The link on this machine.
    pub link: String,
    /// The lab's own address, if the link has lost it.
    pub removed: Option<Ipv4Addr>,
    /// Addresses, and routes through the link.
    pub added: Vec<LinkAddition>,
    /// The programs in this network namespace that may have done it.
    pub managers: Vec<LinkManager>,
}

/// Something on the link that is not the lab's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkAddition {
    /// An address.
    Address(IpAddr),
    /// A route, by its range as CIDR.
    Route(String),
    /// A default route.
    DefaultRoute,
}

/// A program that manages the machine's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum LinkManager {
    /// dhcpcd.
    #[serde(rename = "dhcpcd")]
    Dhcpcd,
    /// systemd-networkd.
    #[serde(rename = "systemd-networkd")]
    Networkd,
    /// `NetworkManager`.
    #[serde(rename = "NetworkManager")]
    NetworkManager,
    /// The daemon of `ConnMan`.
    #[serde(rename = "connmand")]
    ConnMan,
}

impl LinkManager {
    const ALL: [Self; 4] = [Self::Dhcpcd, Self::Networkd, Self::NetworkManager, Self::ConnMan];

    /// The program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dhcpcd => "dhcpcd",
            Self::Networkd => "systemd-networkd",
            Self::NetworkManager => "NetworkManager",
            Self::ConnMan => "connmand",
        }
    }

    /// Whether a process has this name. The kernel keeps 15 bytes of a name.
    fn is_named(self, comm: &str) -> bool {
        let name = self.name();
        comm == name.get(..15).unwrap_or(name)
    }
}

impl fmt::Display for LinkAddition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "the address {address}"),
            Self::Route(range) => write!(f, "a route to {range}"),
            Self::DefaultRoute => f.write_str("a default route"),
        }
    }
}

impl fmt::Display for LinkChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed = self.removed.map(|address| format!("removed the address {address}"));
        let added: Vec<String> = self.added.iter().map(ToString::to_string).collect();
        let added = (!added.is_empty()).then(|| format!("added {}", added.join(", ")));
        let done: Vec<String> = removed.into_iter().chain(added).collect();
        write!(f, "another program changed the lab's link {}: it {}", self.link, done.join(" and "))?;
        let managers: Vec<&str> = self.managers.iter().map(|manager| manager.name()).collect();
        if managers.is_empty() {
            return Ok(());
        }
        write!(f, " (network managers on this machine: {})", managers.join(", "))
    }
}

/// What other programs changed on the link of a lab that is up; `None` if it is as the lab made it.
///
/// # Errors
/// When the kernel's addresses or routes cannot be read.
pub fn link_changes(lab: &Cluster) -> Result<Option<LinkChanges>, IoError> {
    let (link, host) = (lab.name.link(), lab.subnet.host());
    let addresses = addresses(&link)?;
    let table = fs::read_to_string(ROUTES).map_err(|source| IoError::file("read", ROUTES.as_ref(), source))?;
    let removed = (!addresses.contains(&IpAddr::V4(host))).then_some(host);
    let foreign = addresses.into_iter().filter(|address| *address != IpAddr::V4(host));
    let mut added: Vec<_> =
        foreign.map(LinkAddition::Address).chain(foreign_routes(&table, &link, &lab.subnet.to_string())).collect();
    // The kernel lists routes to the same range one after the other.
    added.dedup();
    if removed.is_none() && added.is_empty() {
        return Ok(None);
    }
    Ok(Some(LinkChanges { link, removed, added, managers: managers() }))
}

/// [`ClusterError::LinkChanged`] if another program removed the lab's address, which makes every use of the link fail; else
/// the error that was met.
pub(super) fn or_cause(lab: &Cluster, met: ClusterError) -> ClusterError {
    match link_changes(lab) {
        Ok(Some(changes)) if changes.removed.is_some() => ClusterError::LinkChanged(changes),
        _ => met,
    }
}

fn addresses(link: &str) -> Result<Vec<IpAddr>, IoError> {
    let all = getifaddrs().map_err(|errno| IoError::new("list this machine's addresses", errno.into()))?;
    let of_link = all.filter(|entry| entry.interface_name == link);
    Ok(of_link.filter_map(|entry| ip(&entry.address?)).collect())
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// The routes in the kernel's table that lead through the link, and neither to the lab's addresses nor to its pods or
/// cluster IPs.
fn foreign_routes(table: &str, link: &str, subnet: &str) -> Vec<LinkAddition> {
    let routes = table.lines().skip(1).filter_map(|row| route(row, link));
    let foreign = routes.filter(|&(to, _)| ![subnet, POD_CIDR, SERVICE_CIDR].into_iter().any(|own| within(to, own)));
    foreign
        .map(|(to, prefix)| match prefix {
            0 => LinkAddition::DefaultRoute,
            _ => LinkAddition::Route(format!("{to}/{prefix}")),
        })
        .collect()
}

/// Whether an address is in a range, given as CIDR.
fn within(address: Ipv4Addr, range: &str) -> bool {
    let Some((base, prefix)) = range.split_once('/') else { return false };
    let (Ok(base), Ok(prefix)) = (base.parse::<Ipv4Addr>(), prefix.parse::<u32>()) else { return false };
    let host_bits = 32 - prefix.min(32);
    (u64::from(address.to_bits()) >> host_bits) == (u64::from(base.to_bits()) >> host_bits)
}

/// Destination and prefix of a route through the link. Both are hexadecimal, in the byte order of the machine.
fn route(row: &str, link: &str) -> Option<(Ipv4Addr, u32)> {
    let fields: Vec<&str> = row.split_whitespace().collect();
    let number = |index: usize| u32::from_str_radix(fields.get(index)?, 16).ok();
    let (to, mask) = (number(1)?, number(7)?);
    (*fields.first()? == link).then(|| (Ipv4Addr::from(to.to_ne_bytes()), mask.count_ones()))
}

/// The managers that run in this network namespace.
fn managers() -> Vec<LinkManager> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    let here = |process: &Path| {
        // Only root can read the namespaces of other users' processes.
        let theirs = fs::read_link(process.join("ns/net")).ok();
        theirs.is_none() || theirs == own
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let named: Vec<(String, PathBuf)> = processes
        .filter_map(|process| Some((fs::read_to_string(process.join("comm")).ok()?.trim().to_owned(), process)))
        .collect();
    let runs = |manager: &LinkManager| named.iter().any(|(name, process)| manager.is_named(name) && here(process));
    LinkManager::ALL.into_iter().filter(runs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBNET: &str = "198.18.0.0/15";

    /// As the kernel prints it on a little-endian machine, with the number at each place reversed on others.
    fn table(routes: &[(&str, [u8; 4], [u8; 4])]) -> String {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n".to_owned();
        let hex = |bytes: &[u8; 4]| format!("{:08X}", u32::from_ne_bytes(*bytes));
        routes.iter().fold(head, |text, (link, to, mask)| {
            format!("{text}{link}\t{}\t00000000\t0001\t0\t0\t1004\t{}\t0\t0\t0\n", hex(to), hex(mask))
        })
    }

    #[test]
    fn routes_that_are_not_the_labs_are_found() {
        let own = [
            ("eth0", [0, 0, 0, 0], [0, 0, 0, 0]),
            ("ek-lab", [198, 18, 0, 0], [255, 255, 255, 0]),
            ("ek-lab", [198, 18, 1, 0], [255, 255, 255, 0]),
            ("ek-lab", [10, 244, 4, 0], [255, 255, 252, 0]),
            ("ek-lab", [10, 96, 7, 9], [255, 255, 255, 255]),
        ];
        assert_eq!(foreign_routes(&table(&own), "ek-lab", SUBNET), []);
        let foreign = [("ek-lab", [0, 0, 0, 0], [0, 0, 0, 0]), ("ek-lab", [169, 254, 0, 0], [255, 255, 0, 0])];
        let found = foreign_routes(&table(&[own.as_slice(), &foreign].concat()), "ek-lab", SUBNET);
        assert_eq!(found, [LinkAddition::DefaultRoute, LinkAddition::Route("169.254.0.0/16".into())]);
        assert_eq!(foreign_routes("", "ek-lab", SUBNET), []);
    }

    #[test]
    fn the_kernel_shortens_the_names_of_processes() {
        assert!(LinkManager::Networkd.is_named("systemd-network"));
        assert!(!LinkManager::Networkd.is_named("systemd-networkd"));
        assert!(LinkManager::Dhcpcd.is_named("dhcpcd") && !LinkManager::Dhcpcd.is_named("dhcpcd-x"));
    }
}
