//! The idle connections, and which of them sends the next request.

use std::collections::VecDeque;

use fastrand::Rng;

use super::balance::{AddressLoad, ClientBalance, choose};

/// The idle connections. The one that is idle for the longest time is used first, so that all are used.
pub(super) struct ConnectionPool {
    /// The idle connections to each address.
    idle: Vec<VecDeque<usize>>,
    balancer: Option<ClientBalancer>,
}

/// Chooses an address for each request.
struct ClientBalancer {
    balance: ClientBalance,
    /// Where the next turn of a round robin begins, in `in_use`.
    turn: usize,
    /// The addresses that requests are sent to.
    in_use: Vec<usize>,
    /// For each address, whether no requests are sent to it any more.
    retired: Vec<bool>,
    /// The load on each address, in use or not.
    loads: Vec<AddressLoad>,
    /// Requests in flight, and those that wait until they may be sent.
    in_flight: u32,
    thinking: u32,
    /// How many requests may be in flight.
    limit: u32,
    random: Rng,
}

impl ClientBalancer {
    /// Lets an address that is new get its share from now on, and not also what the others were sent before.
    fn catch_up(&mut self, addresses: &[usize]) {
        let least = self.in_use.iter().map(|address| self.loads[*address].sent).min().unwrap_or(0);
        for address in addresses {
            let sent = &mut self.loads[*address].sent;
            *sent = least.max(*sent);
        }
    }
}

impl ConnectionPool {
    /// A pool of connections to one address.
    pub(super) fn new() -> Self {
        Self { idle: vec![VecDeque::new()], balancer: None }
    }

    /// The pool of worker number `worker`, with connections to so many `addresses` and at most `limit` requests in flight.
    pub(super) fn balanced(addresses: usize, limit: u32, worker: usize, balance: ClientBalance) -> Self {
        let balancer = ClientBalancer {
            balance,
            // The workers begin with different addresses.
            turn: worker,
            in_use: Vec::new(),
            retired: Vec::new(),
            loads: Vec::new(),
            in_flight: 0,
            thinking: 0,
            limit,
            random: Rng::with_seed(worker as u64),
        };
        let mut pool = Self { idle: Vec::new(), balancer: Some(balancer) };
        pool.use_only((0..addresses).collect());
        pool
    }

    /// Sends requests only to these addresses from now on. Connections to others are no longer in the pool.
    pub(super) fn use_only(&mut self, addresses: Vec<usize>) {
        let Some(balancer) = &mut self.balancer else { return };
        let known = addresses.iter().map(|address| address + 1).max().unwrap_or(0).max(self.idle.len());
        self.idle.resize(known, VecDeque::new());
        balancer.loads.resize(known, AddressLoad::default());
        balancer.catch_up(&addresses);
        balancer.retired = (0..known).map(|address| !addresses.contains(&address)).collect();
        for (idle, _) in self.idle.iter_mut().zip(&balancer.retired).filter(|(_, retired)| **retired) {
            idle.clear();
        }
        balancer.in_use = addresses;
    }

    /// Whether no requests are sent to `address` any more.
    pub(super) fn is_retired(&self, address: usize) -> bool {
        self.balancer.as_ref().is_some_and(|balancer| balancer.retired[address])
    }

    /// How an address is chosen for each request, if that is done.
    pub(super) fn balance(&self) -> Option<ClientBalance> {
        self.balancer.as_ref().map(|balancer| balancer.balance)
    }

    /// Whether an address is chosen for each request.
    pub(super) fn is_balanced(&self) -> bool {
        self.balancer.is_some()
    }

    /// A request to `address` begins.
    #[inline]
    pub(super) fn began(&mut self, address: usize) {
        if let Some(balancer) = &mut self.balancer {
            balancer.loads[address].in_flight += 1;
            balancer.loads[address].sent += 1;
            balancer.in_flight += 1;
        }
    }

    /// A request to `address` has ended.
    #[inline]
    pub(super) fn ended(&mut self, address: usize) {
        if let Some(balancer) = &mut self.balancer {
            balancer.loads[address].in_flight -= 1;
            balancer.in_flight -= 1;
        }
    }

    /// The next request waits, if an address is chosen for it.
    pub(super) fn think(&mut self) {
        if let Some(balancer) = &mut self.balancer {
            balancer.thinking += 1;
        }
    }

    /// Such a request may be sent.
    pub(super) fn thought(&mut self) {
        if let Some(balancer) = &mut self.balancer {
            balancer.thinking = balancer.thinking.saturating_sub(1);
        }
    }

    /// Adds an idle connection to `address`.
    pub(super) fn put(&mut self, address: usize, connection: usize) {
        self.idle[address].push_back(connection);
    }

    /// Whether another request may be sent, and there may be an idle connection for it.
    pub(super) fn has_idle(&self) -> bool {
        self.balancer.as_ref().is_none_or(|balancer| balancer.in_flight + balancer.thinking < balancer.limit)
            && self.idle.iter().any(|idle| !idle.is_empty())
    }

    /// Takes the connection for the next request: to the less loaded of two random addresses, or in turn to each address.
    /// An address without a connection that `is_idle` is passed over.
    pub(super) fn pick(&mut self, mut is_idle: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut pop = |idle: &mut VecDeque<usize>| {
            while let Some(connection) = idle.pop_front() {
                if is_idle(connection) {
                    return Some(connection);
                }
            }
            None
        };
        if let Some(ClientBalancer { balance: ClientBalance::RoundRobin, in_use, turn, .. }) = &mut self.balancer {
            for _ in 0..in_use.len() {
                let address = in_use[*turn % in_use.len()];
                *turn = (*turn + 1) % in_use.len();
                if let Some(connection) = pop(&mut self.idle[address]) {
                    return Some(connection);
                }
            }
            return None;
        }
        if let Some(ClientBalancer { in_use, loads, random, .. }) = &mut self.balancer {
            let (better, other) = choose(in_use, loads, random)?;
            if let Some(connection) = pop(&mut self.idle[better]).or_else(|| pop(&mut self.idle[other])) {
                return Some(connection);
            }
        }
        self.idle.iter_mut().find_map(pop)
    }
}

/// How many connections to each of `addresses` a worker has when at most `limit` requests are in flight: twice the even
/// share, because two choices keep the load near it. In a round robin, all requests may be in flight to a slow address.
pub(super) fn connections_each(limit: u32, addresses: usize, balance: ClientBalance) -> usize {
    let limit = limit as usize;
    if addresses < 2 || balance == ClientBalance::RoundRobin {
        limit
    } else {
        ((2 * limit).div_ceil(addresses) + 1).min(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::ClientBalance::{PowerOfTwoChoices, RoundRobin};
    use super::*;

    #[test]
    fn the_longest_idle_comes_first_and_busy_ones_are_skipped() {
        let mut pool = ConnectionPool::new();
        (0..4).for_each(|connection| pool.put(0, connection));
        assert_eq!(pool.pick(|connection| connection != 0), Some(1));
        assert_eq!(pool.pick(|connection| connection != 2), Some(3));
        assert!(!pool.has_idle() && pool.pick(|_| true).is_none());
    }

    #[test]
    fn requests_go_where_fewer_are_in_flight() {
        let mut pool = ConnectionPool::balanced(2, 100, 0, PowerOfTwoChoices);
        (0..6).for_each(|connection| pool.put(connection % 2, connection));
        (0..3).for_each(|_| pool.began(0));
        let picked: Vec<_> = (0..3).map(|_| pool.pick(|_| true).unwrap()).collect();
        assert_eq!(picked, [1, 3, 5], "all to the address with none in flight");
        assert_eq!(pool.pick(|_| true), Some(0), "and to the other one when it has no connection left");
    }

    #[test]
    fn in_a_round_robin_all_addresses_have_their_turn() {
        let mut pool = ConnectionPool::balanced(3, 100, 0, RoundRobin);
        let fill = |pool: &mut ConnectionPool| (0..6).for_each(|connection| pool.put(connection % 3, connection));
        fill(&mut pool);
        // However many requests are in flight to the first one.
        (0..50).for_each(|_| pool.began(0));
        let picked: Vec<_> = (0..4).map(|_| pool.pick(|_| true).unwrap() % 3).collect();
        assert_eq!(picked, [0, 1, 2, 0]);
        pool.use_only(vec![0, 2, 3]);
        pool.put(3, 6);
        let picked: Vec<_> = std::iter::from_fn(|| pool.pick(|connection| connection != 5)).collect();
        assert_eq!(picked, [6], "0 has no connection left, and the only one of 2 is busy");
        assert_eq!(connections_each(30, 10, RoundRobin), 30);
    }

    #[test]
    fn a_new_address_gets_its_share_and_no_more() {
        let mut pool = ConnectionPool::balanced(2, 100, 0, PowerOfTwoChoices);
        for _ in 0..50 {
            (0..2).for_each(|address| pool.began(address));
            (0..2).for_each(|address| pool.ended(address));
        }
        pool.use_only(vec![0, 1, 2]);
        let mut sent = [0; 3];
        for _ in 0..60 {
            (0..3).for_each(|address| pool.put(address, address));
            let address = pool.pick(|_| true).unwrap();
            sent[address] += 1;
            pool.began(address);
            pool.ended(address);
        }
        assert!(sent.iter().all(|requests| (15..=25).contains(requests)), "{sent:?}");
    }

    #[test]
    fn no_more_requests_than_the_limit_are_in_flight() {
        let mut pool = ConnectionPool::balanced(2, 2, 0, PowerOfTwoChoices);
        (0..4).for_each(|connection| pool.put(connection % 2, connection));
        pool.began(0);
        assert!(pool.has_idle());
        pool.began(1);
        assert!(!pool.has_idle());
        pool.ended(0);
        assert!(pool.has_idle());
        pool.think();
        assert!(!pool.has_idle(), "a request that waits is one of them");
        pool.thought();
        assert!(pool.has_idle());
    }

    #[test]
    fn addresses_are_added_and_removed() {
        let mut pool = ConnectionPool::balanced(2, 100, 0, PowerOfTwoChoices);
        (0..4).for_each(|connection| pool.put(connection % 2, connection));
        pool.began(0);
        pool.use_only(vec![1, 2]);
        assert!(pool.is_retired(0) && !pool.is_retired(1) && !pool.is_retired(2));
        pool.put(2, 4);
        let mut picked: Vec<_> = std::iter::from_fn(|| pool.pick(|_| true)).collect();
        picked.sort_unstable();
        assert_eq!(picked, [1, 3, 4], "none to the address that was removed");
        // The request that was in flight to it ends as any other.
        pool.ended(0);
        pool.use_only(vec![]);
        assert!(pool.is_retired(1) && !pool.has_idle());
    }

    #[test]
    fn there_are_more_connections_than_the_even_share() {
        assert_eq!(connections_each(30, 1, PowerOfTwoChoices), 30);
        assert_eq!(connections_each(30, 10, PowerOfTwoChoices), 7);
        assert_eq!(connections_each(1, 10, PowerOfTwoChoices), 1);
        assert_eq!(connections_each(3, 100, PowerOfTwoChoices), 2);
    }
}
