//! Whether the machine reaches the node that it has just booted; when it does not, which firewall may be in the way.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::config::LabName;
use crate::error::Error;
use crate::process::Invocation;

use super::component::API_PORT;
use super::node::Node;

/// Far more than a connection to a neighbour takes: two of its first packets may get lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects once to the node's API server, which must be ready.
///
/// # Errors
/// [`Error::Unreachable`].
pub(super) async fn check(lab: &LabName, node: &Node, nft: &Path) -> Result<(), Error> {
    let address = SocketAddr::from((node.address, API_PORT));
    let why = match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(source)) => source.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    let ruleset = Invocation::new(nft, ["list", "chains"]).run().unwrap_or_default();
    let dropping = dropping_chains(&String::from_utf8_lossy(&ruleset));
    let why = if dropping.is_empty() { why } else { format!("{why}; {} by default", dropping.join(" and ")) };
    Err(Error::Unreachable { address: address.to_string(), why, link: lab.link() })
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
        // What is only passed through the machine is no concern of a lab's.
        assert_eq!(dropping_chains(ruleset), ["the chain input of table inet filter drops"]);
        assert!(dropping_chains("").is_empty());
    }
}
