//! The external traffic policy that a comparison sets, and what it does to the address of the client.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Measurement;

/// A value of a Service's `externalTrafficPolicy`, which a comparison sets for its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrafficPolicy {
    /// The node that a connection reaches chooses between its own pods.
    Local,
    /// The node that a connection reaches chooses between all pods.
    Cluster,
}

impl TrafficPolicy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Local, Self::Cluster];

    /// Its name on the command line and in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cluster => "cluster",
        }
    }

    /// The value in a manifest.
    #[must_use]
    pub fn value(self) -> &'static str {
        match self {
            Self::Local => "Local",
            Self::Cluster => "Cluster",
        }
    }

    /// The policy with this value in a manifest.
    #[must_use]
    pub fn of_value(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.value() == value)
    }
}

impl fmt::Display for TrafficPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Which source address the connections of a run had when they reached the pods of the Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAddress {
    /// The client's own.
    Kept,
    /// One of the node, which kube-proxy set instead (masquerading).
    Replaced,
    /// The client's own on some connections, and one of the node on others.
    Both,
}

impl ClientAddress {
    /// Of connections of which so many have the client's address, and so many another one; `None` if there are none.
    #[must_use]
    pub fn of(kept: u64, replaced: u64) -> Option<Self> {
        match (kept, replaced) {
            (0, 0) => None,
            (_, 0) => Some(Self::Kept),
            (0, _) => Some(Self::Replaced),
            _ => Some(Self::Both),
        }
    }

    /// Of all connections of several runs; `None` if it is unknown for one of them, or if there are none.
    #[must_use]
    pub fn of_all(runs: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let mut runs = runs.into_iter();
        let first = runs.next()??;
        runs.try_fold(first, |all, run| run.map(|run| if run == all { all } else { Self::Both }))
    }

    /// Its name in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Replaced => "replaced",
            Self::Both => "both",
        }
    }
}

/// What the pods saw, as the value of a figure: "kept", "replaced by the node's", "unknown".
#[must_use]
pub fn client_address_words(seen: Option<ClientAddress>) -> &'static str {
    match seen {
        Some(ClientAddress::Kept) => "kept",
        Some(ClientAddress::Replaced) => "replaced by the node's",
        Some(ClientAddress::Both) => "kept on some connections, replaced by the node's on others",
        None => "unknown",
    }
}

impl Measurement {
    /// The same, where a comparison set this external traffic policy.
    #[must_use]
    pub fn with_policy(self, traffic_policy: Option<TrafficPolicy>) -> Self {
        Self { traffic_policy, ..self }
    }

    /// The same, where the pods of the Service saw this source address.
    #[must_use]
    pub fn with_client_address(self, client_address: Option<ClientAddress>) -> Self {
        Self { client_address, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_and_the_command_line_have_the_same_names() {
        for policy in TrafficPolicy::ALL {
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.name());
            assert_eq!(TrafficPolicy::of_value(policy.value()), Some(policy));
        }
        for seen in [ClientAddress::Kept, ClientAddress::Replaced, ClientAddress::Both] {
            assert_eq!(serde_json::to_value(seen).unwrap(), seen.name());
        }
        assert_eq!(TrafficPolicy::of_value("local"), None);
    }

    #[test]
    fn one_connection_is_enough_to_say_both() {
        use ClientAddress::{Both, Kept, Replaced};
        let of = [(0, 0), (30, 0), (0, 30), (29, 1)].map(|(kept, replaced)| ClientAddress::of(kept, replaced));
        assert_eq!(of, [None, Some(Kept), Some(Replaced), Some(Both)]);
        assert_eq!(ClientAddress::of_all([Some(Kept), Some(Kept)]), Some(Kept));
        assert_eq!(ClientAddress::of_all([Some(Kept), Some(Replaced), Some(Kept)]), Some(Both));
        assert_eq!(ClientAddress::of_all([Some(Kept), None]), None);
        assert_eq!(ClientAddress::of_all([]), None);
    }
}
