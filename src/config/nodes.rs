//! The nodes of a lab: how many there are, in how many zones, and how its router spreads connections over them.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidValue, Subnet};

/// The most nodes that a lab can have: the number of /22 in [`super::POD_CIDR`], less one.
pub const MOST_NODES: u8 = 63;

/// A number of nodes, from 1 to [`MOST_NODES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeCount(NonZeroU8);

impl NodeCount {
    /// One node.
    pub const ONE: Self = Self(NonZeroU8::MIN);

    /// The count.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }
}

impl Default for NodeCount {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for NodeCount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for NodeCount {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let count = text.parse().ok().filter(|count: &NonZeroU8| count.get() <= MOST_NODES);
        count.map(Self).ok_or_else(|| InvalidValue::expected(format!("a whole number from 1 to {MOST_NODES}")))
    }
}

/// How a lab's router chooses a node for a connection to an external IP. Each way spreads new connections over the nodes by a
/// hash of both addresses and both ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouterHash {
    /// The router tracks connections, and an established connection keeps its node when the set of nodes changes.
    #[default]
    Tracked,
    /// Each packet is hashed. When the set of nodes changes, connections of all nodes may move.
    Plain,
    /// Each packet is hashed into a bucket of a resilient next-hop group. When a node goes, only its buckets move.
    Resilient,
}

impl RouterHash {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tracked, Self::Plain, Self::Resilient];
}

impl fmt::Display for RouterHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tracked => "tracked",
            Self::Plain => "plain",
            Self::Resilient => "resilient",
        })
    }
}

impl FromStr for RouterHash {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|hash| hash.to_string() == text);
        found.ok_or_else(|| InvalidValue::expected("tracked, plain or resilient"))
    }
}

/// What a lab is made of, beside its programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabShape {
    /// How many nodes it has.
    pub nodes: NodeCount,
    /// In how many zones they are, in turns. `None` if they are in no zone.
    pub zones: Option<NodeCount>,
    /// How its router chooses a node. A lab of one node has no router.
    pub router_hash: RouterHash,
    /// Its addresses on the machine.
    pub subnet: Subnet,
}

impl LabShape {
    /// The zone of the node with this index: `zone-a`, `zone-b`, … With more than 26 zones, all have numbers.
    #[must_use]
    pub fn zone_of(&self, index: u8) -> Option<String> {
        let zones = self.zones?.get();
        let zone = index % zones;
        Some(if zones <= 26 { format!("zone-{}", char::from(b'a' + zone)) } else { format!("zone-{zone}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_nodes() {
        assert_eq!("3".parse::<NodeCount>().unwrap().get(), 3);
        for bad in ["0", "-1", "64", "100", "1.5", "", "three", "300"] {
            assert!(bad.parse::<NodeCount>().is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn nodes_are_dealt_out_to_zones() {
        let shape = |zones: &str| LabShape { zones: zones.parse().ok(), ..LabShape::default() };
        let zones = |shape: LabShape| (0..5).map(|index| shape.zone_of(index)).collect::<Option<Vec<_>>>();
        assert_eq!(zones(shape("2")).unwrap(), ["zone-a", "zone-b", "zone-a", "zone-b", "zone-a"]);
        assert_eq!(shape("30").zone_of(31), Some("zone-1".into()));
        assert_eq!(zones(LabShape::default()), None);
    }
}
