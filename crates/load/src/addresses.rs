//! The addresses that load goes to. They may change during a run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The addresses between which the client balances its requests. All clones share one list. When the list is set during
/// a run, the run sends its next requests to the new addresses.
#[derive(Clone, Debug)]
pub struct Addresses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Grows with each change, so that workers need not lock the list to see that it has not changed.
    version: AtomicU64,
    /// How often a connection was opened again.
    reopened: AtomicU64,
    list: Mutex<Arc<[SocketAddr]>>,
}

impl Addresses {
    /// A list with these addresses.
    #[must_use]
    pub fn new(list: &[SocketAddr]) -> Self {
        Self(Arc::new(Inner { version: AtomicU64::new(0), reopened: AtomicU64::new(0), list: Mutex::new(list.into()) }))
    }

    /// Replaces the list. Requests in flight to other addresses are still waited for, but no new ones are sent there.
    /// While the list is empty, no request is sent.
    pub fn set(&self, list: &[SocketAddr]) {
        let mut current = self.0.list.lock().unwrap_or_else(PoisonError::into_inner);
        if **current != *list {
            *current = list.into();
            self.0.version.fetch_add(1, Ordering::Release);
        }
    }

    /// The current list.
    #[must_use]
    pub fn get(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.0.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often a connection to one of the addresses, which had ended or could not be opened, was opened again. A client
    /// that finds the addresses by DNS asks again when this grows.
    #[must_use]
    pub fn reopened(&self) -> u64 {
        self.0.reopened.load(Ordering::Relaxed)
    }

    /// A connection is opened again.
    pub(super) fn count_reopened(&self) {
        self.0.reopened.fetch_add(1, Ordering::Relaxed);
    }

    /// The list, if its version is not `seen` any more; `seen` becomes the current version.
    #[inline]
    pub(super) fn changed_since(&self, seen: &mut u64) -> Option<Arc<[SocketAddr]>> {
        let version = self.0.version.load(Ordering::Acquire);
        (version != *seen).then(|| {
            *seen = version;
            self.get()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let list =
            |ports: &[u16]| ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect::<Vec<_>>();
        let addresses = Addresses::new(&list(&[1, 2]));
        let (mut seen, other) = (0, addresses.clone());
        assert_eq!(addresses.changed_since(&mut seen), None);
        other.set(&list(&[1, 2]));
        assert_eq!(addresses.changed_since(&mut seen), None, "setting the same list is not a change");
        other.set(&list(&[2, 3]));
        assert_eq!(addresses.changed_since(&mut seen).as_deref(), Some(&list(&[2, 3])[..]));
        assert_eq!(addresses.changed_since(&mut seen), None);
    }
}
