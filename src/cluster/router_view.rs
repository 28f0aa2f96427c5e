//! The kernel of a lab's router as it is now, read from outside.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::Deserialize;

use crate::cluster::ClusterError;
use crate::toolbox::{Program, Toolbox};

use super::inside_network_of;
use super::node::{Cluster, Node, Router};
use super::router::{index_of_link, mark};

/// The nodes to which the router sends new connections for an external IP.
///
/// # Errors
/// [`ClusterError::Program`] when the routes cannot be read.
pub async fn routed_nodes(router: &Router, toolbox: &Toolbox, ip: Ipv4Addr) -> Result<BTreeSet<u8>, ClusterError> {
    let arguments = ["-json", "route", "show", "exact", &format!("{ip}/32")].map(str::to_owned);
    let show = inside_network_of(router.pid, toolbox.path(Program::Nsenter), toolbox.path(Program::Ip), arguments);
    let shown = show.run_async().await?;
    Ok(devices_in(&shown).iter().filter_map(|device| index_of_link(device)).collect())
}

/// How many connections that the router has sent to a node are established. A router that tracks no connections knows none.
///
/// # Errors
/// [`ClusterError::Program`] when the connection tracking cannot be read.
pub async fn connections_of(cluster: &Cluster, toolbox: &Toolbox, node: &Node) -> Result<usize, ClusterError> {
    let Some(router) = &cluster.router else { return Ok(0) };
    let mark = mark(node.index).to_string();
    let arguments = ["-L", "-p", "tcp", "--state", "ESTABLISHED", "--mark", &mark];
    let list =
        inside_network_of(router.pid, toolbox.path(Program::Nsenter), toolbox.path(Program::Conntrack), arguments);
    let listed = list.run_async().await?;
    // The machine's own connections to the kubelet and to the API server do not count: they go to no Service.
    let to_node = format!(" dst={} ", node.address);
    Ok(String::from_utf8_lossy(&listed).lines().filter(|line| !line.contains(&to_node)).count())
}

/// The devices of the routes in the JSON of `ip`: of one next hop, of several, or of a group of next hops.
fn devices_in(shown: &[u8]) -> Vec<String> {
    let routes: Vec<ShownRoute> = serde_json::from_slice(shown).unwrap_or_default();
    let hops = |route: ShownRoute| route.nexthops.into_iter().filter(ShownHop::is_used).map(|hop| hop.dev);
    routes.into_iter().flat_map(|mut route| route.dev.take().into_iter().chain(hops(route))).collect()
}

#[derive(Deserialize)]
struct ShownRoute {
    dev: Option<String>,
    #[serde(default)]
    nexthops: Vec<ShownHop>,
}

#[derive(Deserialize)]
struct ShownHop {
    dev: String,
    #[serde(default)]
    flags: Vec<String>,
}

impl ShownHop {
    /// Whether its link is up.
    fn is_used(&self) -> bool {
        !self.flags.iter().any(|flag| flag == "dead" || flag == "linkdown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_name_their_nodes_in_each_form() {
        let one = br#"[{"dst":"198.18.1.1","gateway":"198.18.0.3","dev":"node1","flags":[]}]"#;
        assert_eq!(devices_in(one), ["node1"]);
        let two = br#"[{"dst":"198.18.1.1","flags":[],"nexthops":[{"gateway":"198.18.0.2","dev":"node0","weight":1,
            "flags":[]},{"gateway":"198.18.0.3","dev":"node12","weight":1,"flags":[]}]}]"#;
        let indexes: Vec<_> = devices_in(two).iter().filter_map(|device| index_of_link(device)).collect();
        assert_eq!(indexes, [0, 12]);
        let down = br#"[{"dst":"198.18.1.1","flags":[],"nexthops":[{"dev":"node0","weight":1,"flags":[]},
            {"dev":"node1","weight":1,"flags":["dead","linkdown"]}]}]"#;
        assert_eq!(devices_in(down), ["node0"], "a next hop whose link is down is not used");
        let none = br#"[{"type":"unreachable","dst":"198.18.1.1","dev":"lo","flags":[]}]"#;
        assert_eq!(devices_in(none).iter().filter_map(|device| index_of_link(device)).count(), 0);
        assert_eq!(devices_in(b""), Vec::<String>::new());
    }
}
