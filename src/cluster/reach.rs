//! Whether the machine reaches the nodes that it has just booted; if not, which firewall may be in the way.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::cluster::ClusterError;
use crate::config::LabName;
use crate::process::Invocation;

use super::component::{API_PORT, KUBELET_PORT};
use super::node::Node;

/// Much longer than a connection over the link takes. It allows for the loss of two packets.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects once to each node, all of which must be ready: to the API server where the control plane runs, else to the
/// kubelet.
///
/// # Errors
/// [`ClusterError::Unreachable`] for the first node that does not answer.
pub(super) async fn check(lab: &LabName, nodes: &[Node], nft: &Path) -> Result<(), ClusterError> {
    for node in nodes {
        let port = if node.is_control_plane() { API_PORT } else { KUBELET_PORT };
        let address = SocketAddr::from((node.address, port));
        let why = match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => continue,
            Ok(Err(source)) => source.to_string(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        let ruleset = Invocation::new(nft, ["list", "chains"]).run().unwrap_or_default();
        let dropping = dropping_chains(&String::from_utf8_lossy(&ruleset));
        let why = if dropping.is_empty() { why } else { format!("{why}; {} by default", dropping.join(" and ")) };
        return Err(ClusterError::Unreachable { address: address.to_string(), why, link: lab.link() });
    }
    Ok(())
}

/// "the chain input of table inet filter drops", for each such chain in the output of `nft list chains`.
fn dropping_chains(ruleset: &str) -> Vec<String> {
    let (mut table, mut chain) = ("", "");
    let mut found = Vec::new();
    for line in ruleset.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ") {
            table = name.trim_end_matches(" {");
        } else if let Some(name) = line.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {");
        } else if line.contains("policy drop;") && [" input ", " output "].iter().any(|hook| line.contains(hook)) {
            found.push(format!("the chain {chain} of table {table} drops"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_drop_are_named() {
        let ruleset = "\
table inet filter {
\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t}
\tchain forward {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
table ip other {
\tchain out {
\t\ttype filter hook output priority 0; policy accept;
\t}
}";
        // The lab sends nothing through the chain forward.
        assert_eq!(dropping_chains(ruleset), ["the chain input of table inet filter drops"]);
        assert!(dropping_chains("").is_empty());
    }
}
