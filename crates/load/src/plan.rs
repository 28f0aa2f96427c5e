//! What a run does: how many connections, for how long, which requests and when.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mix::{Deal, RequestMix, RequestOrder};
use super::part::Part;
use super::request::RequestTemplate;
use super::schedule::Schedule;
use super::statuses::StatusSet;
use super::target::Target;
use super::think_time::ThinkTime;

/// How requests are sent over a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1: one request after the other.
    #[default]
    Http1,
    /// HTTP/2, without asking the server first (prior knowledge).
    Http2 {
        /// How many requests each connection has in flight at most. A server may allow fewer.
        streams: NonZeroU32,
    },
}

/// The plan of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadPlan {
    /// How requests are sent over a connection.
    pub protocol: Protocol,
    /// The number of connections, each with at most one request in flight over HTTP/1.1. When the client balances between several
    /// addresses, it is the number of requests in flight at most, and there are more connections.
    pub connections: NonZeroU32,
    /// How long the run is measured at most.
    pub duration: Duration,
    /// How long a request, or opening a connection, may take before it counts as timed out.
    pub timeout: Duration,
    /// How long load is sent over the same connections before anything is counted.
    pub warm_up: Duration,
    /// The number of threads, between which the connections are divided.
    pub threads: NonZeroU32,
    /// When requests are due (an open loop). Without a schedule each connection sends its next request when the last one
    /// is answered (a closed loop).
    pub schedule: Option<Schedule>,
    /// The pause of a connection or stream between a response and its next request, in a closed loop.
    pub think_time: Option<ThinkTime>,
    /// The number of requests, answered or failed, after which the run ends.
    pub requests: Option<NonZeroU64>,
    /// The number of responses after which a connection is replaced; without it, connections are kept.
    pub responses_per_connection: Option<NonZeroU32>,
    /// Whether responses that name no pod are counted for each connection, so that another source can tell its pod.
    #[serde(default)]
    pub tells_connections: bool,
    /// The request that is sent, unless there are several.
    pub request: RequestTemplate,
    /// The requests that are sent, if there are several.
    pub mix: Option<RequestMix>,
    /// From which random orders and random numbers follow, so that a run can be repeated.
    pub seed: u64,
    /// The statuses that are successes. A response with another one is counted as a response and as a fault.
    pub expected: StatusSet,
}

impl LoadPlan {
    /// A closed loop: GET over `connections` that are kept, for `duration`, on one thread, with a timeout of ten seconds (as
    /// autocannon has) and no warm-up. Statuses of the class 2xx are successes.
    #[must_use]
    pub fn new(connections: NonZeroU32, duration: Duration) -> Self {
        Self {
            protocol: Protocol::Http1,
            connections,
            duration,
            timeout: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            threads: NonZeroU32::MIN,
            schedule: None,
            think_time: None,
            requests: None,
            responses_per_connection: None,
            tells_connections: false,
            request: RequestTemplate::default(),
            mix: None,
            seed: 0,
            expected: StatusSet::default(),
        }
    }

    /// The plan of a result that was received without it.
    pub(super) fn unknown() -> Self {
        Self::new(NonZeroU32::MIN, Duration::ZERO)
    }

    /// The same plan with a new connection for every request, and `Connection: close` in the request.
    #[must_use]
    pub fn without_keepalive(self) -> Self {
        let mix = self.mix.map(|mix| mix.map(RequestTemplate::close));
        Self { responses_per_connection: Some(NonZeroU32::MIN), request: self.request.close(), mix, ..self }
    }

    /// How many requests each connection has in flight at most.
    #[must_use]
    pub fn streams(&self) -> u32 {
        match self.protocol {
            Protocol::Http1 => 1,
            Protocol::Http2 { streams } => streams.get(),
        }
    }

    /// The requests that are sent. There is at least one.
    #[must_use]
    pub fn templates(&self) -> &[RequestTemplate] {
        self.mix.as_ref().map_or(std::slice::from_ref(&self.request), RequestMix::requests)
    }

    /// Replaces the requests by as many others.
    pub fn replace_templates(&mut self, templates: Vec<RequestTemplate>) {
        match &mut self.mix {
            Some(mix) => mix.replace(templates),
            None => templates.into_iter().take(1).for_each(|template| self.request = template),
        }
    }

    /// The URL that is requested from `target`. For several requests it has no path, and their number.
    #[must_use]
    pub fn url(&self, target: &Target) -> String {
        match self.templates() {
            [only] => only.url(target),
            several => format!("{}://{} (mix of {} requests)", target.scheme(), target.host, several.len()),
        }
    }

    /// Which requests worker number `worker` of `workers` sends.
    pub(super) fn deal(&self, (worker, workers): (u64, u64)) -> Deal {
        let count = u32::try_from(self.templates().len()).unwrap_or(u32::MAX);
        let order = self.mix.as_ref().map_or(RequestOrder::InOrder, |mix| mix.order);
        Deal::new((count, order, self.seed), (worker, workers))
    }

    /// How many connections each thread of this part has: as even as possible, and at least one. All parts have as many
    /// threads.
    pub(super) fn shares(&self, part: Part) -> Vec<u32> {
        let connections = part.of(self.connections.get());
        let fewest = self.connections.get() / part.count();
        let threads = self.threads.get().min(fewest).max(1);
        (0..threads).map(|thread| connections / threads + u32::from(thread < connections % threads)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_none_is_empty() {
        let shares = |connections, threads| {
            let mut plan = LoadPlan::new(NonZeroU32::new(connections).unwrap(), Duration::from_secs(1));
            plan.threads = NonZeroU32::new(threads).unwrap();
            plan.shares(Part::WHOLE)
        };
        assert_eq!(shares(30, 1), [30]);
        assert_eq!(shares(30, 4), [8, 8, 7, 7]);
        assert_eq!(shares(2, 8), [1, 1]);
    }
}
