//! What all connections of one worker share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::addresses::Addresses;
use super::fault::Fault;
use super::http2::Http2Request;
use super::plan::LoadPlan;
use super::pod_watch::PodWatches;
use super::pool::ConnectionPool;
use super::record::{PodIndex, Record};
use super::request_source::{RequestSource, ScheduledRequest};
use super::socket::Socket;
use super::statuses::StatusSet;
use super::tls::{Tls, TlsStream};

/// How many bytes one read returns at most.
const BUFFER: usize = 64 * 1024;

/// What the workers of a run have in common.
pub(super) struct Job<'a> {
    pub(super) addresses: &'a Addresses,
    /// Whether the client chooses an address for each request.
    pub(super) balanced: bool,
    pub(super) watches: &'a PodWatches,
    pub(super) plan: &'a LoadPlan,
    /// The bytes of the request over HTTP/1.1.
    pub(super) request: &'a [u8],
    /// The same request over HTTP/2.
    pub(super) http2: &'a Arc<Http2Request>,
    /// How to speak TLS, if it is spoken.
    pub(super) tls: Option<&'a Tls>,
    /// When the run begins to be counted.
    pub(super) start: Instant,
    /// When the run ends.
    pub(super) end: Instant,
    /// How many connections each worker has.
    pub(super) shares: Vec<u32>,
}

pub(super) struct Shared {
    pub(super) registry: Registry,
    /// All addresses that were in use since the run began.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) request: Vec<u8>,
    pub(super) http2: Arc<Http2Request>,
    pub(super) tls: Option<Tls>,
    /// How many requests a connection over HTTP/2 has in flight at most.
    pub(super) streams: usize,
    /// Whether the request is HEAD, so that responses have no body.
    pub(super) is_head: bool,
    /// The statuses that are successes.
    pub(super) expected: StatusSet,
    pub(super) timeout: Duration,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) record: Record,
    pub(super) source: RequestSource,
    pub(super) pool: ConnectionPool,
    /// Whether connections are opened before there is a request for them, and kept open.
    pub(super) connect_early: bool,
    /// The number of responses after which a connection is replaced.
    pub(super) responses_per_connection: u32,
    /// Connections that had more to read than one turn allows.
    pub(super) unfinished: Vec<Token>,
    /// Connections that have bytes to write when the requests that are due have been begun.
    pub(super) unflushed: Vec<Token>,
    pub(super) buffer: Vec<u8>,
}

impl Shared {
    /// The state of worker number `worker`.
    pub(super) fn new(registry: Registry, job: &Job<'_>, worker: usize, record: Record) -> Self {
        let Job { addresses, balanced, plan, request, http2, tls, start, end, shares, .. } = job;
        let streams = plan.streams();
        let wanted = (plan.schedule.as_ref(), plan.requests.map(Into::into));
        let number = (worker as u64, shares.len() as u64);
        let addresses = addresses.get().to_vec();
        let pool = if *balanced {
            ConnectionPool::balanced(addresses.len(), shares[worker].saturating_mul(streams), worker as u64)
        } else {
            ConnectionPool::new()
        };
        Self {
            registry,
            addresses,
            request: request.to_vec(),
            http2: Arc::clone(http2),
            tls: tls.cloned(),
            streams: streams as usize,
            is_head: plan.request.is_head(),
            expected: plan.expected.clone(),
            timeout: plan.timeout,
            start: *start,
            end: *end,
            record,
            source: RequestSource::new(wanted, number, *start, plan.warm_up),
            connect_early: plan.schedule.is_some() && plan.responses_per_connection.is_none() && !pool.is_balanced(),
            pool,
            responses_per_connection: plan.responses_per_connection.map_or(u32::MAX, Into::into),
            unfinished: Vec::new(),
            unflushed: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Counts the response to a request that was sent at `sent`.
    #[inline]
    pub(super) fn count_response(
        &mut self,
        request: ScheduledRequest,
        sent: Instant,
        (status, bytes, pod): (u16, u64, PodIndex),
        now: Instant,
    ) {
        let since = now.saturating_duration_since(self.start);
        let latency = now.saturating_duration_since(sent);
        if let Some(paced) = &mut self.record.paced {
            paced.late.record(sent.saturating_duration_since(request.due));
            paced.uncorrected.record(latency);
            self.record.response(pod, since, now.saturating_duration_since(request.due), bytes);
        } else {
            self.record.response(pod, since, latency, bytes);
        }
        if !self.expected.contains(status) {
            self.record.fault(Fault::Status(status), since, Some(pod));
        }
    }

    /// Counts that `socket`, which began to be opened at `since`, is open.
    pub(super) fn count_opened(&mut self, socket: &Socket, since: Instant, now: Instant) {
        let begun = socket.tls().and_then(TlsStream::began).unwrap_or(now);
        self.record.connect.record(begun.saturating_duration_since(since));
        if let (Some(tls), Some(handshakes)) = (socket.tls(), &mut self.record.handshakes) {
            handshakes.times.record(now.saturating_duration_since(begun));
            handshakes.resumed += u64::from(tls.is_resumed());
        }
    }

    /// Counts a failure.
    pub(super) fn count_failure(&mut self, fault: Fault, pod: Option<PodIndex>, now: Instant) {
        if (self.start..self.end).contains(&now) {
            self.record.fault(fault, now.saturating_duration_since(self.start), pod);
        }
    }
}
