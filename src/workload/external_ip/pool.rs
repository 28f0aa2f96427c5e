//! Decides which Service gets which address: a pure function of all Services.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::config::Subnet;

/// What one Service has and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The UID of the Service.
    pub uid: String,
    /// When it was created: older Services go first.
    pub created: Option<Timestamp>,
    /// Whether it needs an address from the pool.
    pub ours: bool,
    /// Whether another controller is responsible for it.
    pub foreign: bool,
    /// The address it has.
    pub current: Option<Ipv4Addr>,
    /// The address it requests.
    pub wanted: Option<Ipv4Addr>,
}

/// What to do for a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressDecision {
    /// Assign this address.
    Give(Ipv4Addr),
    /// Remove the address that it has.
    TakeBack,
    /// Every address is taken.
    Exhausted,
    /// The requested address belongs to another Service, or is not in the pool.
    Unavailable(Ipv4Addr),
}

/// Every address that can be assigned, in order.
fn pool(subnet: Subnet) -> impl Iterator<Item = Ipv4Addr> {
    let first = u32::from(subnet.external());
    let size = 1_u32 << (32 - Subnet::PART_PREFIX);
    (1..size - 1).map(move |host| Ipv4Addr::from(first + host))
}

/// Decides on all Services. The same claims always lead to the same decisions; a Service whose address is right gets no
/// decision.
#[must_use]
pub fn decide(mut claims: Vec<Claim>, subnet: Subnet) -> Vec<(String, AddressDecision)> {
    claims.sort_by(|a, b| (a.created, &a.uid).cmp(&(b.created, &b.uid)));
    let pool: BTreeSet<Ipv4Addr> = pool(subnet).collect();
    // An address that another controller assigned is taken, and is never changed.
    let mut taken: BTreeSet<Ipv4Addr> =
        claims.iter().filter(|claim| claim.foreign).filter_map(|claim| claim.current).collect();
    let mut decisions = Vec::new();
    let mut pending = Vec::new();
    for claim in claims.into_iter().filter(|claim| !claim.foreign) {
        let current = claim.current.filter(|ip| pool.contains(ip));
        if !claim.ours {
            decisions.extend(current.map(|_| (claim.uid, AddressDecision::TakeBack)));
            continue;
        }
        let keeps = current.filter(|ip| taken.insert(*ip));
        if keeps.is_none() || claim.wanted.is_some_and(|wanted| Some(wanted) != keeps) {
            pending.push(claim);
        }
    }
    // Services that request an address go first, so that it is not assigned to one that accepts any.
    pending.sort_by_key(|claim| claim.wanted.is_none());
    for claim in pending {
        let decision = match claim.wanted {
            Some(wanted) if pool.contains(&wanted) && taken.insert(wanted) => AddressDecision::Give(wanted),
            Some(wanted) => AddressDecision::Unavailable(wanted),
            None => match pool.iter().find(|ip| !taken.contains(*ip)) {
                Some(ip) => {
                    taken.insert(*ip);
                    AddressDecision::Give(*ip)
                }
                None => AddressDecision::Exhausted,
            },
        };
        decisions.push((claim.uid, decision));
    }
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 1, last)
    }

    /// A Service of this controller; a smaller number is an older Service.
    fn claim(number: u8) -> Claim {
        let created = Timestamp::from_second(i64::from(number)).ok();
        Claim { uid: format!("{number:03}"), created, ours: true, foreign: false, current: None, wanted: None }
    }

    fn having(number: u8, last: u8) -> Claim {
        Claim { current: Some(ip(last)), ..claim(number) }
    }

    fn wanting(number: u8, wanted: Ipv4Addr) -> Claim {
        Claim { wanted: Some(wanted), ..claim(number) }
    }

    fn decided(claims: &[Claim]) -> Vec<(String, AddressDecision)> {
        let forwards = decide(claims.to_vec(), Subnet::default());
        let backwards = decide(claims.iter().rev().cloned().collect(), Subnet::default());
        assert_eq!(forwards, backwards, "the order of the list must not matter");
        forwards
    }

    #[test]
    fn the_oldest_service_gets_the_lowest_free_address() {
        let decisions = decided(&[claim(2), having(1, 2), claim(3)]);
        assert_eq!(
            decisions,
            [("002".into(), AddressDecision::Give(ip(1))), ("003".into(), AddressDecision::Give(ip(3)))]
        );
    }

    #[test]
    fn a_service_keeps_its_address() {
        assert_eq!(decided(&[having(1, 7), having(2, 1)]), []);
    }

    #[test]
    fn of_two_services_with_one_address_the_older_keeps_it() {
        assert_eq!(decided(&[having(2, 7), having(1, 7)]), [("002".into(), AddressDecision::Give(ip(1)))]);
    }

    #[test]
    fn an_address_outside_the_pool_is_replaced() {
        let strange = Claim { current: Some(Ipv4Addr::new(203, 0, 113, 9)), ..claim(1) };
        assert_eq!(decided(&[strange]), [("001".into(), AddressDecision::Give(ip(1)))]);
    }

    #[test]
    fn a_requested_address_is_assigned_before_others() {
        let decisions = decided(&[claim(1), wanting(2, ip(1))]);
        assert_eq!(
            decisions,
            [("002".into(), AddressDecision::Give(ip(1))), ("001".into(), AddressDecision::Give(ip(2)))]
        );
    }

    #[test]
    fn a_request_for_an_unavailable_address_is_refused() {
        let outside = Ipv4Addr::new(10, 0, 0, 1);
        let decisions =
            decided(&[having(1, 9), wanting(2, ip(9)), wanting(3, outside), wanting(4, ip(0)), wanting(5, ip(255))]);
        assert_eq!(
            decisions.into_iter().map(|(_, decision)| decision).collect::<Vec<_>>(),
            [
                AddressDecision::Unavailable(ip(9)),
                AddressDecision::Unavailable(outside),
                AddressDecision::Unavailable(ip(0)),
                AddressDecision::Unavailable(ip(255)),
            ]
        );
    }

    #[test]
    fn a_service_keeps_its_address_until_the_requested_one_is_free() {
        let moving = Claim { wanted: Some(ip(9)), ..having(1, 4) };
        assert_eq!(decided(&[moving.clone(), having(2, 9)]), [("001".into(), AddressDecision::Unavailable(ip(9)))]);
        assert_eq!(decided(&[moving]), [("001".into(), AddressDecision::Give(ip(9)))]);
    }

    #[test]
    fn a_full_pool_is_reported_and_a_released_address_is_assigned_again() {
        let mut claims: Vec<Claim> = (1..=254).map(|number| having(number, number)).collect();
        claims.push(claim(255));
        assert_eq!(decided(&claims), [("255".into(), AddressDecision::Exhausted)]);
        claims.remove(99);
        assert_eq!(decided(&claims), [("255".into(), AddressDecision::Give(ip(100)))]);
    }

    #[test]
    fn a_service_that_changed_its_type_loses_its_address() {
        let changed = Claim { ours: false, ..having(1, 1) };
        let decisions = decided(&[changed, claim(2)]);
        assert_eq!(
            decisions,
            [("001".into(), AddressDecision::TakeBack), ("002".into(), AddressDecision::Give(ip(1)))]
        );
    }

    #[test]
    fn a_service_of_another_class_keeps_its_address() {
        let foreign = Claim { ours: false, foreign: true, ..having(1, 1) };
        assert_eq!(decided(&[foreign, claim(2)]), [("002".into(), AddressDecision::Give(ip(2)))]);
    }
}
