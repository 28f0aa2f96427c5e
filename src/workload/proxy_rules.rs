//! The rules that kube-proxy has programmed into a node's kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::external_policy::ExternalPolicy;
use super::subject::Subject;
use crate::cluster::{self, RunningNode};
use crate::toolbox::{Program, Toolbox};
use crate::workload::WorkloadError;

/// What the rules of one node contain for a port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programmed {
    /// The endpoints to which connections are sent.
    pub backends: BTreeSet<SocketAddr>,
    /// The addresses of the Service: its cluster IP and its external IPs.
    pub addresses: BTreeSet<IpAddr>,
    /// Its node ports.
    pub node_ports: BTreeSet<u16>,
    /// The external traffic policy that they follow; `None` if nothing is reached from outside, or if there are no endpoints.
    pub external_policy: Option<ExternalPolicy>,
}

/// What kube-proxy has programmed on `node` for the subject, in nftables or iptables mode.
///
/// # Errors
/// [`WorkloadError::Program`] when neither kind of rules can be read.
pub async fn programmed(node: &RunningNode, toolbox: &Toolbox, subject: &Subject) -> Result<Programmed, WorkloadError> {
    let nft = toolbox.path(Program::Nft);
    let listed = cluster::inside(node, toolbox, nft, ["list", "table", "ip", "kube-proxy"]).run_async().await;
    if let Ok(rules) = listed {
        return Ok(parse_nftables(&String::from_utf8_lossy(&rules), subject));
    }
    let iptables_save = toolbox.path(Program::IptablesSave);
    let rules = cluster::inside(node, toolbox, iptables_save, ["-t", "nat"]).run_async().await?;
    Ok(parse_iptables(&String::from_utf8_lossy(&rules), subject))
}

/// Parses the output of `nft list table ip kube-proxy`.
///
/// A Service's chain contains the endpoints' addresses, or, with session affinity and in older versions, jumps to chains that
/// are named after the addresses. Chains that no rule leads to are ignored: kube-proxy removes stale chains a second later.
fn parse_nftables(rules: &str, subject: &Subject) -> Programmed {
    let protocol = subject.protocol.to_lowercase();
    let port = format!("-{subject}/{protocol}/{}", subject.port_name.as_deref().unwrap_or_default());
    // With `internalTrafficPolicy: Local` there may be only the chain for the node's own endpoints.
    let is_ours = |chain: &str| chain.starts_with("service-") || chain.starts_with("local-");
    let is_ours = |chain: &str| is_ours(chain) && chain.ends_with(&port);
    let mut reached = BTreeSet::new();
    let mut picked: BTreeMap<&str, BTreeSet<SocketAddr>> = BTreeMap::new();
    let (mut addresses, mut node_ports, mut external) = (BTreeSet::new(), BTreeSet::new(), ExternalRules::default());
    let mut here = "";
    for line in rules.lines().map(str::trim) {
        if let Some(name) = opened(line) {
            here = name;
            continue;
        }
        let separators = |c: char| c.is_whitespace() || ",\"{}".contains(c);
        let words: Vec<&str> = line.split(separators).filter(|word| !word.is_empty()).collect();
        if here.starts_with("external-") && here.ends_with(&port) && !words.is_empty() {
            external.add(
                words.starts_with(&["meta", "mark", "set"]) || words.starts_with(&["jump", "mark-for-masquerade"]),
            );
        }
        let (mut ip, mut number): (Option<IpAddr>, Option<u16>) = (None, None);
        for (at, &word) in words.iter().enumerate() {
            let next = words.get(at + 1).copied().unwrap_or_default();
            if let Ok(found) = word.parse() {
                ip = Some(found);
            }
            number = word.parse().ok().or(number);
            let backend = match word {
                "." => ip.zip(next.parse().ok()).map(SocketAddr::from),
                "goto" | "jump" => {
                    reached.insert(next);
                    if here == "service-ips" && next.ends_with(&port) {
                        addresses.extend(ip);
                    }
                    if here == "service-nodeports" && next.ends_with(&port) {
                        node_ports.extend(number);
                    }
                    named_after(next)
                }
                _ => None,
            };
            picked.entry(here).or_default().extend(backend);
        }
    }
    let ours = picked.into_iter().filter(|(chain, _)| is_ours(chain) && reached.contains(chain));
    let backends = ours.flat_map(|(_, backends)| backends).collect();
    Programmed { backends, addresses, node_ports, external_policy: external.policy() }
}

/// The rules for connections from outside of the cluster. Under the policy Cluster, one of them gives every connection an
/// address of the node; under Local, rules do so only for connections from pods and from the node itself.
#[derive(Clone, Copy, Debug, Default)]
struct ExternalRules {
    any: bool,
    masquerades_all: bool,
}

impl ExternalRules {
    fn add(&mut self, masquerades_all: bool) {
        self.any = true;
        self.masquerades_all |= masquerades_all;
    }

    fn policy(self) -> Option<ExternalPolicy> {
        let policy = if self.masquerades_all { ExternalPolicy::Cluster } else { ExternalPolicy::Local };
        self.any.then_some(policy)
    }
}

/// The name of the chain, map or set that begins in this line.
fn opened(line: &str) -> Option<&str> {
    let (kind, name) = line.strip_suffix('{')?.trim_end().split_once(' ')?;
    matches!(kind, "chain" | "map" | "set").then(|| name.trim_matches('"'))
}

/// The address in the name of a chain, such as `endpoint-5OJB2KTY-evenkeel/server/tcp/http__10.244.0.5/3000`.
fn named_after(chain: &str) -> Option<SocketAddr> {
    let (ip, port) = chain.strip_prefix("endpoint-")?.rsplit_once("__")?.1.rsplit_once('/')?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

/// Parses the output of `iptables-save -t nat`. Endpoint chains that the Service's chain does not lead to are ignored.
fn parse_iptables(rules: &str, subject: &Subject) -> Programmed {
    // A port without a name has no colon in the comment: "shop/web cluster IP".
    let port = match &subject.port_name {
        Some(name) => format!("\"{subject}:{name}"),
        None => format!("\"{subject}"),
    };
    let external = match &subject.port_name {
        Some(name) => format!(" for {subject}:{name} external destinations\""),
        None => format!(" for {subject} external destinations\""),
    };
    let mut external_rules = ExternalRules::default();
    for rule in rules.lines().filter(|rule| rule.starts_with("-A ") && rule.contains(&external)) {
        external_rules.add(rule.ends_with(" -j KUBE-MARK-MASQ") && !rule.contains(" --src-type "));
    }
    let is_ours = |line: &&str| {
        let after = line.split_once(&port).map(|(_, after)| after);
        line.starts_with("-A ") && after.is_some_and(|after| after.starts_with([' ', '"']))
    };
    let mut destinations = BTreeMap::new();
    let mut used = BTreeSet::new();
    let (mut addresses, mut node_ports) = (BTreeSet::new(), BTreeSet::new());
    for rule in rules.lines().filter(is_ours) {
        let after = |flag: &str| {
            let mut words = rule.split_whitespace();
            words.find(|word| *word == flag).and_then(|_| words.next())
        };
        let (Some(chain), Some(target)) = (after("-A"), after("-j")) else { continue };
        if let Some(destination) = after("--to-destination").and_then(|text| text.parse().ok()) {
            destinations.insert(chain, destination);
        } else if (chain.starts_with("KUBE-SVC-") || chain.starts_with("KUBE-SVL-")) && target.starts_with("KUBE-SEP-")
        {
            used.insert(target);
        } else if chain == "KUBE-SERVICES" {
            let ip: Option<IpAddr> = after("-d").and_then(|text| text.split('/').next()?.parse().ok());
            addresses.extend(ip);
        } else if chain == "KUBE-NODEPORTS" {
            node_ports.extend(after("--dport").and_then(|port| port.parse::<u16>().ok()));
        }
    }
    let backends = used.iter().filter_map(|chain| destinations.get(chain).copied()).collect();
    Programmed { backends, addresses, node_ports, external_policy: external_rules.policy() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::subject::tests::own;

    fn found(rules: &Programmed) -> (Vec<String>, Vec<String>) {
        let backends = rules.backends.iter().map(ToString::to_string).collect();
        (backends, rules.addresses.iter().map(ToString::to_string).collect())
    }

    const PICKS_ADDRESSES: &str = r#"table ip kube-proxy {
	comment "rules for kube-proxy"
	set hairpin-connections {
		type ipv4_addr . ipv4_addr . inet_proto . inet_service
		elements = { 10.244.0.2 . 10.244.0.2 . tcp . 3000,
			     10.244.0.9 . 10.244.0.9 . tcp . 3000 }
	}

	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		comment "ClusterIP, ExternalIP and LoadBalancer IP traffic"
		elements = { 198.18.1.1 . tcp . 80 : goto external-VFEXU4CY-evenkeel/server/tcp/http,
			     10.96.204.186 . tcp . 80 : goto service-VFEXU4CY-evenkeel/server/tcp/http,
			     10.96.0.1 . tcp . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https }
	}

	map service-nodeports {
		type inet_proto . inet_service : verdict
		comment "NodePort traffic"
		elements = { tcp . 30080 : goto external-VFEXU4CY-evenkeel/server/tcp/http, tcp . 30081 : goto external-X-a/b/tcp/http }
	}

	chain services {
		ip daddr @cluster-ips ip saddr != 10.244.0.0/16 meta mark set meta mark | 0x00004000 comment "masquerade"
		ip daddr . meta l4proto . th dport vmap @service-ips
	}

	chain service-2QRHZV4L-default/kubernetes/tcp/https {
		meta l4proto tcp dnat ip to numgen random mod 1 map { 0 : 198.18.0.2 . 6443 }
	}

	chain service-VFEXU4CY-evenkeel/server/tcp/http {
		meta l4proto tcp dnat ip to numgen random mod 3 map { 0 : 10.244.0.2 . 3000, 1 : 10.244.0.3 . 3000,
								      2 : 10.244.0.4 . 3000 }
	}

	chain external-VFEXU4CY-evenkeel/server/tcp/http {
		ip saddr 10.244.0.0/16 goto service-VFEXU4CY-evenkeel/server/tcp/http comment "short-circuit pod traffic"
		goto local-VFEXU4CY-evenkeel/server/tcp/http
	}
}
"#;

    #[test]
    fn the_external_policy_of_nftables() {
        let policy = |rules: &str| parse_nftables(rules, &own()).external_policy;
        assert_eq!(policy(PICKS_ADDRESSES), Some(ExternalPolicy::Local));
        let rules = |rules: &str| {
            let external = "chain external-X-evenkeel/server/tcp/http";
            format!("table ip kube-proxy {{\n\t{external} {{\n{rules}\n\t}}\n}}\n")
        };
        let cluster = "\t\tmeta mark set meta mark | 0x00004000 comment \"masquerade\"\n\t\tgoto service-X-evenkeel/server/tcp/http";
        let older = "\t\tjump mark-for-masquerade\n\t\tgoto service-X-evenkeel/server/tcp/http";
        let without_pods = "\t\tfib saddr type local meta mark set meta mark | 0x00004000 comment \"masquerade local traffic\"\n\
                            \t\tfib saddr type local goto service-X-evenkeel/server/tcp/http";
        assert_eq!(policy(&rules(cluster)), Some(ExternalPolicy::Cluster));
        assert_eq!(policy(&rules(older)), Some(ExternalPolicy::Cluster));
        assert_eq!(policy(&rules(without_pods)), Some(ExternalPolicy::Local), "the node has no pod of the Service");
        assert_eq!(policy(&rules("")), None);
        assert_eq!(policy(&rules(cluster).replace("/server/", "/other/")), None);
    }

    #[test]
    fn the_external_policy_of_iptables() {
        let policy = |rules: &str| parse_iptables(rules, &own()).external_policy;
        let rule = |what: &str, rest: &str| {
            format!(
                "-A KUBE-EXT-S -m comment --comment \"{what} for evenkeel/server:http external destinations\" {rest}\n"
            )
        };
        let cluster = rule("masquerade traffic", "-j KUBE-MARK-MASQ");
        let local = rule("pod traffic", "-s 10.244.0.0/16 -j KUBE-SVC-S")
            + &rule("masquerade LOCAL traffic", "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ");
        assert_eq!(policy(&cluster), Some(ExternalPolicy::Cluster));
        assert_eq!(policy(&local), Some(ExternalPolicy::Local));
        assert_eq!(policy(&cluster.replace("server:http", "server:other")), None);
        assert_eq!(policy(IPTABLES), None);
    }

    #[test]
    fn nftables_chains_with_addresses() {
        let (backends, addresses) = found(&parse_nftables(PICKS_ADDRESSES, &own()));
        assert_eq!(backends, ["10.244.0.2:3000", "10.244.0.3:3000", "10.244.0.4:3000"]);
        assert_eq!(addresses, ["10.96.204.186", "198.18.1.1"]);
        assert_eq!(parse_nftables(PICKS_ADDRESSES, &own()).node_ports, [30080].into());
    }

    #[test]
    fn the_chain_of_a_nodes_own_endpoints_may_be_the_only_one() {
        let local = PICKS_CHAINS.replace("service-X-", "local-X-");
        assert_eq!(found(&parse_nftables(&local, &own())), found(&parse_nftables(PICKS_CHAINS, &own())));
        let local = IPTABLES.replace("KUBE-SVC-S", "KUBE-SVL-S");
        assert_eq!(found(&parse_iptables(&local, &own())), found(&parse_iptables(IPTABLES, &own())));
    }

    const PICKS_CHAINS: &str = r#"table ip kube-proxy {
	map service-ips {
		elements = { 10.96.9.9 . tcp . 80 comment "evenkeel/server:http" : goto service-X-evenkeel/server/tcp/http }
	}

	chain service-X-evenkeel/server/tcp/http {
		ip saddr != 10.244.0.0/16 jump mark-for-masquerade
		numgen random mod 2 vmap { 0 : goto endpoint-A-evenkeel/server/tcp/http__10.244.0.5/3000,
					   1 : goto endpoint-B-evenkeel/server/tcp/http__10.244.0.6/3000 }
	}

	chain endpoint-A-evenkeel/server/tcp/http__10.244.0.5/3000 {
		ip saddr 10.244.0.5 jump mark-for-masquerade
		meta l4proto tcp dnat to 10.244.0.5:3000
	}

	chain endpoint-C-evenkeel/server/tcp/http__10.244.0.7/3000 {
		meta l4proto tcp dnat to 10.244.0.7:3000
	}
}
"#;

    #[test]
    fn nftables_chains_that_jump_to_chains_ignore_stale_ones() {
        let (backends, addresses) = found(&parse_nftables(PICKS_CHAINS, &own()));
        assert_eq!(backends, ["10.244.0.5:3000", "10.244.0.6:3000"]);
        assert_eq!(addresses, ["10.96.9.9"]);
        let stale = PICKS_CHAINS.replace(": goto service-X-evenkeel/server/tcp/http", ": goto reject-chain");
        assert_eq!(parse_nftables(&stale, &own()), Programmed::default());
    }

    const IPTABLES: &str = r#"*nat
:KUBE-SERVICES - [0:0]
-A KUBE-SERVICES -d 10.96.9.9/32 -p tcp -m comment --comment "evenkeel/server:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-S
-A KUBE-SERVICES -d 198.18.1.1/32 -p tcp -m comment --comment "evenkeel/server:http loadbalancer IP" -m tcp --dport 80 -j KUBE-EXT-S
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-K
-A KUBE-NODEPORTS -p tcp -m comment --comment "evenkeel/server:http" -m tcp --dport 30080 -j KUBE-EXT-S
-A KUBE-NODEPORTS -p tcp -m comment --comment "a/b:http" -m tcp --dport 30081 -j KUBE-EXT-T
-A KUBE-SEP-A -s 10.244.0.5/32 -m comment --comment "evenkeel/server:http" -j KUBE-MARK-MASQ
-A KUBE-SEP-A -p tcp -m comment --comment "evenkeel/server:http" -m tcp -j DNAT --to-destination 10.244.0.5:3000
-A KUBE-SEP-B -p tcp -m comment --comment "evenkeel/server:http" -m tcp -j DNAT --to-destination 10.244.0.6:3000
-A KUBE-SEP-K -p tcp -m comment --comment "default/kubernetes:https" -m tcp -j DNAT --to-destination 198.18.0.2:6443
-A KUBE-SVC-S -m comment --comment "evenkeel/server:http -> 10.244.0.5:3000" -j KUBE-SEP-A
-A KUBE-SVC-K -m comment --comment "default/kubernetes:https -> 198.18.0.2:6443" -j KUBE-SEP-K
COMMIT
"#;

    #[test]
    fn iptables() {
        let (backends, addresses) = found(&parse_iptables(IPTABLES, &own()));
        assert_eq!(backends, ["10.244.0.5:3000"]);
        assert_eq!(addresses, ["10.96.9.9", "198.18.1.1"]);
        assert_eq!(parse_iptables(IPTABLES, &own()).node_ports, [30080].into());
    }
}
