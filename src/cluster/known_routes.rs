//! What the router's kernel has, as it was last written or as it was found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use serde::Deserialize;

use crate::config::{MOST_NODES, Subnet};
use crate::process::ProgramError;

use super::network::json_list;
use super::router::Routes;

/// The priority of the rule for the connections of the node with index 0, and the number of its routing table.
pub(super) const FIRST_TABLE: u32 = 1000;

/// The routes and rules in the router's kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownRoutes {
    /// For each external IP that has a route, the nodes that it leads to; `None` if they are not known.
    pub(super) external: BTreeMap<Ipv4Addr, Option<BTreeSet<u8>>>,
    /// The nodes whose connections have a rule, with whether their table is known to have its route.
    pub(super) keeping: BTreeMap<u8, bool>,
}

impl KnownRoutes {
    /// What was written.
    pub(super) fn written(routes: Routes) -> Self {
        Self {
            external: routes.external.into_iter().map(|(ip, nodes)| (ip, Some(nodes))).collect(),
            keeping: routes.keeping.into_iter().map(|index| (index, true)).collect(),
        }
    }

    /// What the kernel has, whoever wrote it. Where its routes lead to is not looked at.
    ///
    /// # Errors
    /// When `ip` fails.
    pub(super) fn read(ip: &Path, subnet: Subnet) -> Result<Self, ProgramError> {
        let (routes, rules) = (json_list(ip, &["-4", "route", "show"])?, json_list(ip, &["-4", "rule", "show"])?);
        Ok(Self::found(&routes, &rules, subnet))
    }

    fn found(routes: &[Route], rules: &[Rule], subnet: Subnet) -> Self {
        let external = subnet.external().octets();
        let own = routes.iter().filter_map(|route| route.dst.parse::<Ipv4Addr>().ok());
        let own = own.filter(|ip| ip.octets()[..3] == external[..3]);
        let index = |rule: &Rule| u8::try_from(rule.priority.checked_sub(FIRST_TABLE)?).ok();
        let kept = rules.iter().filter_map(index).filter(|index| *index < MOST_NODES);
        Self { external: own.map(|ip| (ip, None)).collect(), keeping: kept.map(|index| (index, false)).collect() }
    }
}

/// A route, as `ip -json` prints it. Its destination is an address, a range, or `default`.
#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
}

/// A rule, as `ip -json` prints it.
#[derive(Debug, Deserialize)]
struct Rule {
    priority: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_to_external_ips_and_rules_of_nodes_are_found() {
        let routes = r#"[
            {"dst":"default","gateway":"198.18.0.1","dev":"host","flags":[]},
            {"dst":"10.244.1.0/24","gateway":"198.18.0.3","dev":"node1","flags":[]},
            {"dst":"198.18.0.3","dev":"node1","scope":"link","flags":[]},
            {"dst":"198.18.1.1","flags":[],"nexthops":[{"gateway":"198.18.0.2","dev":"node0","weight":1,"flags":[]}]},
            {"type":"unreachable","dst":"198.18.1.2","flags":[]}]"#;
        let rules = r#"[{"priority":0,"src":"all","table":"local"},
            {"priority":1002,"src":"all","fwmark":"0x3","table":"1002"},
            {"priority":32766,"src":"all","table":"main"}]"#;
        let (routes, rules) = (serde_json::from_str::<Vec<Route>>(routes), serde_json::from_str::<Vec<Rule>>(rules));
        let found = KnownRoutes::found(&routes.unwrap(), &rules.unwrap(), Subnet::default());
        let [one, two] = [1, 2].map(|last| Ipv4Addr::new(198, 18, 1, last));
        assert_eq!(found.external, [(one, None), (two, None)].into());
        assert_eq!(found.keeping, [(2, false)].into());
    }
}
