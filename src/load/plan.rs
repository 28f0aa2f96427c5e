//! What a run does: how many connections, for how long, and what is given up on.

use std::num::NonZeroU32;
use std::time::Duration;

/// One run of the closed loop: each connection sends its next request when the last one is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Keep-alive connections, open all through the run.
    pub connections: NonZeroU32,
    /// How long is measured.
    pub duration: Duration,
    /// How long a request, or a connection being opened, may take before it counts as timed out.
    pub timeout: Duration,
    /// How long the load runs on the same connections before anything is counted.
    pub warm_up: Duration,
    /// Threads that share the connections.
    pub threads: NonZeroU32,
}

impl Plan {
    /// `connections` for `duration` on one thread, with autocannon's ten seconds of patience and no warm-up.
    #[must_use]
    pub fn new(connections: NonZeroU32, duration: Duration) -> Self {
        Self {
            connections,
            duration,
            timeout: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            threads: NonZeroU32::MIN,
        }
    }

    /// How many connections each thread holds: as even as it gets, none of them empty.
    pub(super) fn shares(&self) -> Vec<u32> {
        let connections = self.connections.get();
        let threads = self.threads.get().min(connections);
        (0..threads).map(|thread| connections / threads + u32::from(thread < connections % threads)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_none_is_empty() {
        let shares = |connections, threads| {
            let mut plan = Plan::new(NonZeroU32::new(connections).unwrap(), Duration::from_secs(1));
            plan.threads = NonZeroU32::new(threads).unwrap();
            plan.shares()
        };
        assert_eq!(shares(30, 1), [30]);
        assert_eq!(shares(30, 4), [8, 8, 7, 7]);
        assert_eq!(shares(2, 8), [1, 1]);
    }
}
