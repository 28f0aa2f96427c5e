//! Where load goes, when that may change while it runs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The addresses among which the client balances. All clones are the same list: whoever holds one may set another list,
/// and a run that goes on sends its next requests there.
#[derive(Clone, Debug)]
pub struct Addresses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Grows with each change, so that nobody need look at the list to see that it is the same.
    version: AtomicU64,
    list: Mutex<Arc<[SocketAddr]>>,
}

impl Addresses {
    /// These, for now.
    #[must_use]
    pub fn new(list: &[SocketAddr]) -> Self {
        Self(Arc::new(Inner { version: AtomicU64::new(0), list: Mutex::new(list.into()) }))
    }

    /// From now on these. Requests that are under way to others are waited for; no new ones are sent there. With none,
    /// no request is sent until there are some again.
    pub fn set(&self, list: &[SocketAddr]) {
        let mut held = self.0.list.lock().unwrap_or_else(PoisonError::into_inner);
        if **held != *list {
            *held = list.into();
            self.0.version.fetch_add(1, Ordering::Release);
        }
    }

    /// As they are.
    #[must_use]
    pub fn get(&self) -> Arc<[SocketAddr]> {
        Arc::clone(&self.0.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The list, if it has changed since `seen`, which is set to the present version.
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
        assert_eq!(addresses.changed_since(&mut seen), None, "the same again is no change");
        other.set(&list(&[2, 3]));
        assert_eq!(addresses.changed_since(&mut seen).as_deref(), Some(&list(&[2, 3])[..]));
        assert_eq!(addresses.changed_since(&mut seen), None);
    }
}
