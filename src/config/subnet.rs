//! The range of the lab's addresses on the machine: its link and its external IPs.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidValue, POD_CIDR, SERVICE_CIDR};

/// The longest prefix: a /24 for the link, and a /24 for external IPs.
const LONGEST: u8 = 23;
/// The shortest prefix: a private range.
const SHORTEST: u8 = 8;

/// A range of IPv4 addresses. Its first /24 is the link between the machine and the nodes, its second /24 holds the external
/// IPs. Nothing uses the rest, which must be free nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Subnet {
    base: Ipv4Addr,
    prefix: u8,
}

impl Default for Subnet {
    /// 198.18.0.0/15, which RFC 2544 reserves for tests of networks.
    fn default() -> Self {
        Self { base: Ipv4Addr::new(198, 18, 0, 0), prefix: 15 }
    }
}

impl Subnet {
    /// Prefix length of the link and of the external IPs.
    pub const PART_PREFIX: u8 = 24;

    /// The machine's own address on the link: .1.
    #[must_use]
    pub fn host(self) -> Ipv4Addr {
        self.at(0, 1)
    }

    /// The address of the node with this index, which is below [`super::MOST_NODES`]: .2, .3, …
    #[must_use]
    pub fn node(self, index: u8) -> Ipv4Addr {
        self.at(0, 2 + index)
    }

    /// The address of the router of a lab with several nodes, on the link to the machine and on those to the nodes: .254.
    #[must_use]
    pub fn router(self) -> Ipv4Addr {
        self.at(0, 254)
    }

    /// The range of the link, as CIDR.
    #[must_use]
    pub fn link(self) -> String {
        format!("{}/{}", self.at(0, 0), Self::PART_PREFIX)
    }

    /// The first address of the range of external IPs. It and the last one are never assigned.
    #[must_use]
    pub fn external(self) -> Ipv4Addr {
        self.at(1, 0)
    }

    /// The range of external IPs, as CIDR.
    #[must_use]
    pub fn external_range(self) -> String {
        format!("{}/{}", self.external(), Self::PART_PREFIX)
    }

    /// An address by its last two bytes, relative to the base.
    fn at(self, part: u32, last: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits() + (part << 8) + u32::from(last))
    }

    fn first_and_last(self) -> (u32, u32) {
        let first = self.base.to_bits();
        (first, first | (u32::MAX >> self.prefix))
    }

    fn overlaps(self, other: Self) -> bool {
        let ((first, last), (other_first, other_last)) = (self.first_and_last(), other.first_and_last());
        first <= other_last && other_first <= last
    }
}

impl fmt::Display for Subnet {
    /// As CIDR.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parsed = range(text).filter(|subnet| (SHORTEST..=LONGEST).contains(&subnet.prefix));
        let expected =
            format!("a range of IPv4 addresses with a prefix from /{SHORTEST} to /{LONGEST}: 10.99.0.0/{LONGEST}");
        let subnet = parsed.ok_or_else(|| InvalidValue::expected(&expected))?;
        if subnet.base.to_bits() & (u32::MAX >> subnet.prefix) != 0 {
            let (first, prefix) = (subnet.base.to_bits() & !(u32::MAX >> subnet.prefix), subnet.prefix);
            let first = Self { base: Ipv4Addr::from_bits(first), prefix };
            return Err(InvalidValue::expected(format!("the first address of the range: {first}")));
        }
        let unusable = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"];
        let own = [POD_CIDR, SERVICE_CIDR];
        match own.into_iter().chain(unusable).find(|other| range(other).is_some_and(|other| subnet.overlaps(other))) {
            None => Ok(subnet),
            Some(other) if own.contains(&other) => {
                Err(InvalidValue::expected(format!("a range outside of {other}, which the cluster uses inside")))
            }
            Some(other) => Err(InvalidValue::expected(format!("a range outside of {other}"))),
        }
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        text.parse()
    }
}

/// An address with a prefix length.
fn range(text: &str) -> Option<Subnet> {
    let (base, prefix) = text.split_once('/')?;
    let (base, prefix) = (base.parse().ok()?, prefix.parse().ok().filter(|prefix| *prefix < 32)?);
    Some(Subnet { base, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_subnet() {
        let subnet = Subnet::default();
        assert_eq!((subnet.host().to_string(), subnet.node(3).to_string()), ("198.18.0.1".into(), "198.18.0.5".into()));
        assert_eq!((subnet.link(), subnet.external_range()), ("198.18.0.0/24".into(), "198.18.1.0/24".into()));
        let other: Subnet = "10.99.2.0/23".parse().unwrap();
        assert_eq!((other.link(), other.external_range()), ("10.99.2.0/24".into(), "10.99.3.0/24".into()));
        assert_eq!(other.to_string().parse::<Subnet>().unwrap(), other);
    }

    #[test]
    fn ranges_that_cannot_be_used_are_refused() {
        for (bad, why) in [
            ("10.99.0.0", "prefix"),
            ("10.99.0.0/24", "prefix from /8 to /23"),
            ("10.0.0.0/4", "prefix"),
            ("300.1.0.0/16", "prefix"),
            ("fd00::/16", "prefix"),
            ("10.99.1.0/23", "the first address of the range: 10.99.0.0/23"),
            ("10.0.0.0/8", "10.244.0.0/16, which the cluster uses inside"),
            ("10.244.8.0/23", "10.244.0.0/16"),
            ("10.96.0.0/16", "10.96.0.0/16"),
            ("127.1.0.0/16", "outside of 127.0.0.0/8"),
            ("239.0.0.0/8", "outside of 224.0.0.0/3"),
            ("", "prefix"),
        ] {
            let error = bad.parse::<Subnet>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad:?}: {error}");
        }
    }
}
