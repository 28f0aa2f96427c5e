//! What a run does: how many connections, for how long, when requests are sent, and what is given up on.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::request::Request;
use super::schedule::Schedule;

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Connections, each with one request on its way at most. With several addresses: requests on their way at most,
    /// whatever connections they take.
    pub connections: NonZeroU32,
    /// How long is measured at most.
    pub duration: Duration,
    /// How long a request, or a connection being opened, may take before it counts as timed out.
    pub timeout: Duration,
    /// How long the load runs on the same connections before anything is counted.
    pub warm_up: Duration,
    /// Threads that share the connections.
    pub threads: NonZeroU32,
    /// When requests are due: an open loop. Without it, a closed one: each connection sends its next request when the
    /// last one is answered.
    pub schedule: Option<Schedule>,
    /// After so many requests, answered or failed, the run ends.
    pub requests: Option<NonZeroU64>,
    /// After so many answers a connection is replaced; without it, connections are kept.
    pub answers_per_connection: Option<NonZeroU32>,
    /// What is asked.
    pub request: Request,
}

impl Plan {
    /// A closed loop: GET on `connections` kept for `duration`, on one thread, with autocannon's ten seconds of
    /// patience and no warm-up.
    #[must_use]
    pub fn new(connections: NonZeroU32, duration: Duration) -> Self {
        Self {
            connections,
            duration,
            timeout: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            threads: NonZeroU32::MIN,
            schedule: None,
            requests: None,
            answers_per_connection: None,
            request: Request::default(),
        }
    }

    /// The same with a new connection for every request, which says so to the server.
    #[must_use]
    pub fn without_keepalive(self) -> Self {
        Self { answers_per_connection: Some(NonZeroU32::MIN), request: self.request.close(), ..self }
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
