//! What a node does with a packet to an external IP that kube-proxy sent to no pod.
//!
//! While pods are added and removed, about one of a million new connections passes kube-proxy's rules (nftables) without being sent
//! to a pod. Presumably it meets an old rule whose map of endpoints is gone already. A node whose default route leads elsewhere loses
//! such a packet, and the client sends it again after a second. A node of the lab would answer that there is no route, and the
//! connection would fail at once.

use std::path::PathBuf;

use crate::config::Subnet;

use super::network_plan::{NODE_LINK, NetworkStep};

/// How long a node remembers the first packet of a connection. The client sends it again after one, three and seven seconds.
const REMEMBERED: &str = "5s";

/// The steps in the network namespace of a node: packets to external IPs reach kube-proxy's own check for Services without an
/// endpoint, as on any node that has a default route. Of the others, the first one of each connection is dropped without an
/// answer, so that the client sends it again. Further ones are refused: no Service has this address.
pub(super) fn steps(nft: PathBuf, subnet: Subnet) -> Vec<NetworkStep> {
    let set = |link: &str| NetworkStep::Set(format!("conf/{link}/send_redirects").into(), "0".into());
    // Packets would leave through the link on which they came. The sender is not to be told a shorter way. A link that replaces this
    // one later has the default.
    vec![
        set("all"),
        set("default"),
        set(NODE_LINK),
        NetworkStep::PacketFilter { nft, rules: rules(&subnet.external_range()) },
    ]
}

fn rules(range: &str) -> String {
    let connection = "ip saddr . tcp sport . ip daddr . tcp dport";
    format!(
        "\
table ip evenkeel {{
    set dropped {{
        type ipv4_addr . inet_service . ipv4_addr . inet_service
        flags dynamic,timeout
        timeout {REMEMBERED}
        size 65536
    }}
    chain to_no_pod {{
        {connection} @dropped reject with icmp type net-unreachable
        tcp flags & (fin | syn | rst | ack) == syn add @dropped {{ {connection} }} drop
        reject with icmp type net-unreachable
    }}
    chain forward {{
        type filter hook forward priority 10; policy accept;
        ip daddr {range} jump to_no_pod
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packets_to_external_ips_are_looked_at() {
        let rules = rules("10.99.1.0/24");
        assert_eq!(rules.matches("ip daddr 10.99.1.0/24 jump to_no_pod").count(), 1, "{rules}");
        assert_eq!(rules.matches('{').count(), rules.matches('}').count(), "{rules}");
    }
}
