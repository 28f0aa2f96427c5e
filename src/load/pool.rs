//! The connections that have nothing to do, and which of them gets the next request.

use std::collections::VecDeque;

use super::balance::{Given, Random, choose};

/// Free connections, those that waited longest first, so that all have their turn.
pub(super) struct Pool {
    /// By address.
    free: Vec<VecDeque<usize>>,
    balance: Option<Balance>,
}

/// What is known of the addresses when each request chooses one.
struct Balance {
    /// Those that take requests.
    in_use: Vec<usize>,
    /// Whether one takes none any more.
    retired: Vec<bool>,
    /// To each, in use or not.
    given: Vec<Given>,
    /// Requests under way, and how many there may be.
    under_way: u32,
    limit: u32,
    random: Random,
}

impl Balance {
    /// A pod that comes late has its share from now on, and need not make up for what the others were sent before.
    fn catch_up(&mut self, addresses: &[usize]) {
        let least = self.in_use.iter().map(|address| self.given[*address].sent).min().unwrap_or(0);
        for address in addresses {
            let sent = &mut self.given[*address].sent;
            *sent = least.max(*sent);
        }
    }
}

impl Pool {
    /// A pool for connections to one address.
    pub(super) fn new() -> Self {
        Self { free: vec![VecDeque::new()], balance: None }
    }

    /// A pool for connections to `addresses`, to which at most `limit` requests are under way at a time.
    pub(super) fn balanced(addresses: usize, limit: u32, seed: u64) -> Self {
        let balance = Balance {
            in_use: Vec::new(),
            retired: Vec::new(),
            given: Vec::new(),
            under_way: 0,
            limit,
            random: Random::new(seed),
        };
        let mut pool = Self { free: Vec::new(), balance: Some(balance) };
        pool.use_only((0..addresses).collect());
        pool
    }

    /// From now on requests are sent to these addresses alone. The connections to others are no longer free.
    pub(super) fn use_only(&mut self, addresses: Vec<usize>) {
        let Some(balance) = &mut self.balance else { return };
        let known = addresses.iter().map(|address| address + 1).max().unwrap_or(0).max(self.free.len());
        self.free.resize(known, VecDeque::new());
        balance.given.resize(known, Given::default());
        balance.catch_up(&addresses);
        balance.retired = (0..known).map(|address| !addresses.contains(&address)).collect();
        for (free, _) in self.free.iter_mut().zip(&balance.retired).filter(|(_, retired)| **retired) {
            free.clear();
        }
        balance.in_use = addresses;
    }

    /// Whether no more requests are sent to `address`.
    pub(super) fn is_retired(&self, address: usize) -> bool {
        self.balance.as_ref().is_some_and(|balance| balance.retired[address])
    }

    /// Whether each request chooses an address.
    pub(super) fn is_balanced(&self) -> bool {
        self.balance.is_some()
    }

    /// A request to `address` is under way.
    #[inline]
    pub(super) fn began(&mut self, address: usize) {
        if let Some(balance) = &mut self.balance {
            balance.given[address].outstanding += 1;
            balance.given[address].sent += 1;
            balance.under_way += 1;
        }
    }

    /// A request to `address` no longer is.
    #[inline]
    pub(super) fn ended(&mut self, address: usize) {
        if let Some(balance) = &mut self.balance {
            balance.given[address].outstanding -= 1;
            balance.under_way -= 1;
        }
    }

    /// A connection to `address` has nothing to do.
    pub(super) fn put(&mut self, address: usize, connection: usize) {
        self.free[address].push_back(connection);
    }

    /// Whether another request may be sent, and there may be a connection for it.
    pub(super) fn has_free(&self) -> bool {
        self.balance.as_ref().is_none_or(|balance| balance.under_way < balance.limit)
            && self.free.iter().any(|free| !free.is_empty())
    }

    /// The connection for the next request: one to the less loaded of two random addresses; where neither has one that
    /// `is_free`, one to any.
    pub(super) fn pick(&mut self, mut is_free: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut pop = |free: &mut VecDeque<usize>| {
            while let Some(connection) = free.pop_front() {
                if is_free(connection) {
                    return Some(connection);
                }
            }
            None
        };
        if let Some(Balance { in_use, given, random, .. }) = &mut self.balance {
            let (better, other) = choose(in_use, given, [random.next(), random.next()])?;
            if let Some(connection) = pop(&mut self.free[better]).or_else(|| pop(&mut self.free[other])) {
                return Some(connection);
            }
        }
        self.free.iter_mut().find_map(pop)
    }
}

/// How many connections to each of `addresses` a worker may hold when `limit` requests are under way at most: twice
/// the even share, since two choices keep the load near it.
pub(super) fn connections_each(limit: u32, addresses: usize) -> usize {
    let limit = limit as usize;
    if addresses < 2 { limit } else { ((2 * limit).div_ceil(addresses) + 1).min(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_free_comes_first_and_stale_ones_are_passed_over() {
        let mut pool = Pool::new();
        (0..4).for_each(|connection| pool.put(0, connection));
        assert_eq!(pool.pick(|connection| connection != 0), Some(1));
        assert_eq!(pool.pick(|connection| connection != 2), Some(3));
        assert!(!pool.has_free() && pool.pick(|_| true).is_none());
    }

    #[test]
    fn requests_go_where_fewer_are_under_way() {
        let mut pool = Pool::balanced(2, 100, 0);
        (0..6).for_each(|connection| pool.put(connection % 2, connection));
        (0..3).for_each(|_| pool.began(0));
        let picked: Vec<_> = (0..3).map(|_| pool.pick(|_| true).unwrap()).collect();
        assert_eq!(picked, [1, 3, 5], "all to the address with none under way");
        assert_eq!(pool.pick(|_| true), Some(0), "and elsewhere when it has no connection left");
    }

    #[test]
    fn an_address_that_comes_late_makes_up_for_nothing() {
        let mut pool = Pool::balanced(2, 100, 0);
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
    fn no_more_than_the_limit_is_under_way() {
        let mut pool = Pool::balanced(2, 2, 0);
        (0..4).for_each(|connection| pool.put(connection % 2, connection));
        pool.began(0);
        assert!(pool.has_free());
        pool.began(1);
        assert!(!pool.has_free());
        pool.ended(0);
        assert!(pool.has_free());
    }

    #[test]
    fn addresses_come_and_go() {
        let mut pool = Pool::balanced(2, 100, 0);
        (0..4).for_each(|connection| pool.put(connection % 2, connection));
        pool.began(0);
        pool.use_only(vec![1, 2]);
        assert!(pool.is_retired(0) && !pool.is_retired(1) && !pool.is_retired(2));
        pool.put(2, 4);
        let mut picked: Vec<_> = std::iter::from_fn(|| pool.pick(|_| true)).collect();
        picked.sort_unstable();
        assert_eq!(picked, [1, 3, 4], "none to the address that has gone");
        // The request that was under way there ends like any other.
        pool.ended(0);
        pool.use_only(vec![]);
        assert!(pool.is_retired(1) && !pool.has_free());
    }

    #[test]
    fn enough_connections_for_an_uneven_moment() {
        assert_eq!(connections_each(30, 1), 30);
        assert_eq!(connections_each(30, 10), 7);
        assert_eq!(connections_each(1, 10), 1);
        assert_eq!(connections_each(3, 100), 2);
    }
}
