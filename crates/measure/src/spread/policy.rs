//! The policies of a Service that decide between which pods kube-proxy chooses.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Balancer, Spread};

/// A field of a Service with its value, as in its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// All pods, for connections from outside of the cluster.
    #[serde(rename = "externalTrafficPolicy: Cluster")]
    ExternalCluster,
    /// The pods of the node that the connection reached, for connections from outside of the cluster.
    #[serde(rename = "externalTrafficPolicy: Local")]
    ExternalLocal,
    /// All pods, for connections to the cluster IP.
    #[serde(rename = "internalTrafficPolicy: Cluster")]
    InternalCluster,
    /// The pods of the node that the connection reached, for connections to the cluster IP.
    #[serde(rename = "internalTrafficPolicy: Local")]
    InternalLocal,
    /// The pod that got the client's first connection.
    #[serde(rename = "sessionAffinity: ClientIP")]
    ClientIpAffinity,
    /// The pods on the node that the connection reached, if it has any.
    #[serde(rename = "trafficDistribution: PreferSameNode")]
    PreferSameNode,
    /// The pods in the zone of the node that the connection reached, if it has any.
    #[serde(rename = "trafficDistribution: PreferSameZone")]
    PreferSameZone,
    /// The same, under its older name.
    #[serde(rename = "trafficDistribution: PreferClose")]
    PreferClose,
}

impl fmt::Display for Policy {
    /// As in a manifest.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

impl Spread {
    /// The same under these policies of the Service. With session affinity only a client's first connection is a random
    /// choice, so nothing is said of chance. A client that balances by itself is subject to none of them.
    #[must_use]
    pub fn under(self, policies: &[Policy]) -> Self {
        if matches!(self.balancer, Balancer::Client | Balancer::Proxy) {
            return self;
        }
        let sticky = policies.contains(&Policy::ClientIpAffinity);
        let spread = if sticky { self.of_changing_pods() } else { self };
        Self { policies: policies.to_vec(), ..spread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PodLoad;

    fn spread() -> Spread {
        let pod =
            |name: &str, connections| PodLoad { name: name.into(), requests: 10, connections, ..PodLoad::default() };
        Spread::new(&[pod("a", 20), pod("b", 10)], Some(2))
    }

    #[test]
    fn affinity_leaves_nothing_to_chance() {
        let uniform = spread().under(&[Policy::ExternalLocal]);
        assert!(uniform.uniformity.is_some() && uniform.chance.is_some());
        let sticky = spread().under(&[Policy::ExternalLocal, Policy::ClientIpAffinity]);
        assert_eq!((sticky.uniformity, sticky.chance, sticky.policies.len()), (None, None, 2));
        let client = spread().chosen_by(Balancer::Client).under(&[Policy::ExternalLocal]);
        assert_eq!(client.policies, []);
    }

    #[test]
    fn policies_are_written_as_in_a_manifest() {
        let json = serde_json::to_value(spread().under(&[Policy::ClientIpAffinity])).unwrap();
        assert_eq!(json["policies"], serde_json::json!(["sessionAffinity: ClientIP"]));
        assert_eq!(Policy::InternalLocal.to_string(), "internalTrafficPolicy: Local");
    }
}
