//! What all connections of one worker share.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::addresses::Addresses;
use super::balance::ClientBalance;
use super::fault::Fault;
use super::http2::Sent;
use super::part::Part;
use super::plan::LoadPlan;
use super::pod_watch::PodWatches;
use super::pool::ConnectionPool;
use super::prepared::{PreparedRequests, Renderer};
use super::record::{PodIndex, Record};
use super::request_source::{RequestSource, ScheduledRequest};
use super::socket::Socket;
use super::statuses::StatusSet;
use super::think_time::Thinkers;
use super::tls::{Tls, TlsStream};

/// How long the status of a call of gRPC is waited for after its deadline. The server ends the call by then, and says so.
const DEADLINE_GRACE: Duration = Duration::from_millis(200);

/// How many bytes one read returns at most.
const BUFFER: usize = 64 * 1024;

/// What the workers of a run have in common.
pub(super) struct Job<'a> {
    pub(super) addresses: &'a Addresses,
    /// How the client chooses an address for each request; `None` if there is one address.
    pub(super) balance: Option<ClientBalance>,
    pub(super) watches: &'a PodWatches,
    pub(super) plan: &'a LoadPlan,
    pub(super) requests: &'a PreparedRequests,
    /// How to speak TLS, if it is spoken.
    pub(super) tls: Option<&'a Tls>,
    /// When the run begins to be counted.
    pub(super) start: Instant,
    /// When the run ends.
    pub(super) end: Instant,
    /// The part of the plan that is sent.
    pub(super) part: Part,
    /// How many connections each worker has.
    pub(super) shares: Vec<u32>,
}

pub(super) struct Shared {
    pub(super) registry: Registry,
    /// The addresses that are in use.
    pub(super) list: Addresses,
    /// All addresses that were in use since the run began.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) requests: PreparedRequests,
    pub(super) renderer: Renderer,
    pub(super) tls: Option<Tls>,
    /// How many requests a connection over HTTP/2 has in flight at most.
    pub(super) streams: usize,
    /// The statuses that are successes.
    pub(super) expected: StatusSet,
    pub(super) timeout: Duration,
    /// How long the response to a request over HTTP/2 may take.
    pub(super) response_timeout: Duration,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) record: Record,
    pub(super) source: RequestSource,
    pub(super) pool: ConnectionPool,
    /// Who pauses between a response and the next request.
    pub(super) thinkers: Thinkers,
    /// Whether connections are opened before there is a request for them, and kept open.
    pub(super) connect_early: bool,
    /// The number of responses after which a connection is replaced.
    pub(super) responses_per_connection: u32,
    /// Whether responses that name no pod are counted for their connection.
    tells_connections: bool,
    /// Connections that had more to read than one turn allows.
    pub(super) unfinished: Vec<Token>,
    /// Connections that have bytes to write when the requests that are due have been begun.
    pub(super) unflushed: Vec<Token>,
    pub(super) buffer: Vec<u8>,
}

impl Shared {
    /// The state of worker number `worker`.
    pub(super) fn new(registry: Registry, job: &Job<'_>, worker: usize, record: Record) -> Self {
        let Job { addresses: list, balance, plan, requests, tls, start, end, shares, part, .. } = job;
        let streams = plan.streams();
        let wanted = (plan.schedule.as_ref(), plan.requests.map(Into::into));
        let number = part.number(worker, shares.len());
        let addresses = list.get().to_vec();
        let in_flight = shares[worker].saturating_mul(streams);
        let pool = match balance {
            Some(balance) => ConnectionPool::balanced(addresses.len(), in_flight, worker, *balance),
            None => ConnectionPool::new(),
        };
        Self {
            registry,
            list: Addresses::clone(list),
            addresses,
            requests: (*requests).clone(),
            renderer: Renderer::new(number, plan.seed),
            tls: tls.cloned(),
            streams: streams as usize,
            expected: plan.expected.clone(),
            timeout: plan.timeout,
            response_timeout: plan.timeout + if plan.request.is_grpc() { DEADLINE_GRACE } else { Duration::ZERO },
            start: *start,
            end: *end,
            record,
            source: RequestSource::new(wanted, plan.deal(number), number, *start, plan.warm_up),
            connect_early: plan.schedule.is_some() && plan.responses_per_connection.is_none() && !pool.is_balanced(),
            pool,
            thinkers: Thinkers::new(
                plan.think_time.filter(|_| plan.schedule.is_none()),
                plan.seed.wrapping_add(worker as u64),
            ),
            responses_per_connection: plan.responses_per_connection.map_or(u32::MAX, Into::into),
            tells_connections: plan.tells_connections,
            unfinished: Vec::new(),
            unflushed: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Begins a pause after a response on the connection with this token, if there are pauses. Where the client balances,
    /// any connection may send the next request, so it is the request that pauses. Returns whether the connection does.
    #[inline]
    pub(super) fn think(&mut self, token: Token, now: Instant) -> bool {
        if !self.thinkers.begin(token, now) {
            return false;
        }
        self.pool.think();
        !self.pool.is_balanced()
    }

    /// This machine's end of a connection, if responses that name no pod are counted for it.
    pub(super) fn client_of(&self, socket: Option<&Socket>) -> Option<SocketAddr> {
        socket.filter(|_| self.tells_connections)?.local_addr().ok()
    }

    /// The fault of a response with this status; `None` if it is a success.
    #[inline]
    pub(super) fn unexpected(&self, status: u16) -> Option<Fault> {
        (!self.expected.contains(status)).then_some(Fault::Status(status))
    }

    /// Counts the response to a request that was sent at `sent`, and its fault.
    #[inline]
    pub(super) fn count_response(
        &mut self,
        request: ScheduledRequest,
        sent: Instant,
        (bytes, pod, fault): (u64, PodIndex, Option<Fault>),
        now: Instant,
    ) {
        let since = now.saturating_duration_since(self.start);
        let latency = now.saturating_duration_since(sent);
        if let Some(paced) = &mut self.record.paced {
            paced.late.record(sent.saturating_duration_since(request.due));
            paced.uncorrected.record(latency);
            let latency = now.saturating_duration_since(request.due);
            self.record.response(pod, since, latency, bytes);
            self.record.request_answered(request.index, latency);
        } else {
            self.record.response(pod, since, latency, bytes);
            self.record.request_answered(request.index, latency);
        }
        if let Some(fault) = fault {
            self.record.request_failed(request.index);
            self.record.fault(fault, since, Some(pod));
        }
    }

    /// Counts messages of gRPC, also those of calls that the warm-up began, because a call may last as long as the run. For
    /// the calls in `first` it was the first message. `several` is whether a response had more than one.
    pub(super) fn count_messages(
        &mut self,
        (count, bytes, several): (u64, u64, bool),
        first: impl Iterator<Item = Sent>,
        now: Instant,
    ) {
        let paced = self.record.paced.is_some();
        let (Some(messages), true) = (&mut self.record.messages, (self.start..self.end).contains(&now)) else { return };
        let second = usize::try_from(now.saturating_duration_since(self.start).as_secs()).unwrap_or(usize::MAX);
        if let Some(messages) = messages.seconds.get_mut(second) {
            *messages += count;
        }
        if let Some(second) = self.record.seconds.get_mut(second) {
            second.bytes += bytes;
        }
        messages.several |= several;
        for Sent { request, since } in first.filter(|sent| sent.request.counts) {
            let since = if paced { request.due } else { since };
            messages.first.record(now.saturating_duration_since(since));
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

    /// Counts a failure of a request.
    pub(super) fn count_failed(
        &mut self,
        request: ScheduledRequest,
        fault: Fault,
        pod: Option<PodIndex>,
        now: Instant,
    ) {
        if (self.start..self.end).contains(&now) {
            self.record.request_failed(request.index);
        }
        self.count_failure(fault, pod, now);
    }

    /// Counts a failure of a connection without a request.
    pub(super) fn count_failure(&mut self, fault: Fault, pod: Option<PodIndex>, now: Instant) {
        if (self.start..self.end).contains(&now) {
            self.record.fault(fault, now.saturating_duration_since(self.start), pod);
        }
    }
}
