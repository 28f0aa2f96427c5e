//! A connection over HTTP/2: its socket, and which requests it sends.

mod ending;
mod receiving;

use std::io::ErrorKind;
use std::time::Instant;

use mio::event::Event;
use mio::{Interest, Token};

use super::super::backoff::Backoff;
use super::super::client_connection::ClientConnection;
use super::super::fault::Fault;
use super::super::record::PodIndex;
use super::super::request_source::ScheduledRequest;
use super::super::shared::Shared;
use super::super::socket::Socket;
use super::session::{Sent, Session};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not open after a failure; `since` is when to try again.
    Waiting,
    /// Closed, because no requests are sent to its address any more.
    Retired,
    /// Closed. It is opened with the next request.
    Closed,
    /// Being opened; `since` is when that began.
    Connecting,
    /// Open. `since` is when something was last received, or when it was opened.
    Open,
}

pub(crate) struct Http2Connection {
    token: Token,
    address: usize,
    /// How many requests it has in flight at most, and how many it sends before it is replaced.
    streams: usize,
    requests: u32,
    phase: Phase,
    since: Instant,
    socket: Option<Socket>,
    /// A socket that was reset, to use again.
    spare: Option<Socket>,
    session: Session,
    /// How much of the session's output is written.
    written: usize,
    /// Requests that wait for the connection to be open.
    pending: Vec<ScheduledRequest>,
    /// How many times it is in the pool: once for each request that it could send.
    pooled: usize,
    /// How many requests it does not send because of a pause after a response.
    thinking: usize,
    /// Whether it is among the connections that are flushed later.
    unflushed: bool,
    /// Whether it has been opened before.
    opened: bool,
    backoff: Backoff,
    state: ConnectionState,
}

/// The state since the connection was last opened.
#[derive(Default)]
struct ConnectionState {
    /// Requests sent, and responses.
    sent: u32,
    responses: u32,
    /// The most requests that were in flight at the same time and are counted.
    streams: u64,
    /// Whether the connection has been counted as opened.
    counted: bool,
    /// The pod of the first response that is counted.
    pod: Option<PodIndex>,
    /// Whether responses came from more than one pod.
    mixed: bool,
    /// Whether the server has closed its side, so that nothing follows what is already received.
    closing: bool,
}

impl ClientConnection for Http2Connection {
    fn new(token: Token, address: usize, shared: &Shared, now: Instant) -> Self {
        Self {
            token,
            address,
            streams: shared.streams,
            requests: shared.responses_per_connection,
            phase: Phase::Waiting,
            since: now,
            socket: None,
            spare: None,
            session: Session::new(),
            written: 0,
            pending: Vec::new(),
            pooled: 0,
            thinking: 0,
            unflushed: false,
            opened: false,
            backoff: Backoff::default(),
            state: ConnectionState::default(),
        }
    }

    fn address(&self) -> usize {
        self.address
    }

    fn addresses_changed(&mut self, shared: &mut Shared) {
        let retired = shared.pool.is_retired(self.address);
        match self.phase {
            Phase::Open if retired && self.session.in_flight() > 0 => {}
            Phase::Waiting | Phase::Closed | Phase::Open if retired => self.retire(shared),
            // The next tick continues from here.
            Phase::Retired if !retired => self.phase = Phase::Waiting,
            _ => {}
        }
    }

    fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    fn in_flight(&self) -> u64 {
        self.session.counted_in_flight()
    }

    fn unsent(&self) -> u64 {
        self.pending.iter().filter(|request| request.counts).count() as u64
    }

    fn is_unused(&self) -> bool {
        self.phase == Phase::Open && !self.state.counted
    }

    fn leave_pool(&mut self) -> bool {
        self.pooled = self.pooled.saturating_sub(1);
        // It may have taken requests since it entered the pool.
        self.free() > 0
    }

    fn tick(&mut self, shared: &mut Shared, now: Instant) {
        match self.phase {
            Phase::Waiting if now >= self.since => {
                self.phase = Phase::Closed;
                self.next_requests(shared, now);
            }
            Phase::Connecting if now.saturating_duration_since(self.since) >= shared.timeout => {
                self.fail(Fault::TimedOut, shared, now);
            }
            Phase::Open => self.expire(shared, now),
            _ => {}
        }
    }

    fn ready(&mut self, event: &Event, shared: &mut Shared) {
        self.state.closing |= event.is_read_closed();
        if self.phase == Phase::Connecting {
            self.probe(shared, Instant::now());
        }
        if self.phase == Phase::Open {
            if event.is_readable() || self.state.closing {
                self.receive(self.state.closing, shared);
            } else {
                self.write(shared);
            }
        }
    }

    fn resume(&mut self, shared: &mut Shared) {
        if self.phase == Phase::Open {
            self.receive(true, shared);
        }
    }

    fn thought(&mut self, shared: &mut Shared, now: Instant) {
        self.thinking = self.thinking.saturating_sub(1);
        if matches!(self.phase, Phase::Open | Phase::Closed) {
            self.next_requests(shared, now);
        }
    }

    fn start(&mut self, request: ScheduledRequest, shared: &mut Shared, now: Instant) {
        shared.pool.began(self.address);
        if self.phase == Phase::Open {
            self.begin(request, shared, now);
            if !self.unflushed {
                self.unflushed = true;
                shared.unflushed.push(self.token);
            }
        } else {
            self.pending.push(request);
            self.open(shared, now);
        }
    }

    fn flush(&mut self, shared: &mut Shared) {
        self.unflushed = false;
        if self.phase == Phase::Open {
            self.write(shared);
        }
    }
}

impl Http2Connection {
    fn retire(&mut self, shared: &mut Shared) {
        shared.record.opened += u64::from(self.is_unused());
        (self.socket, self.spare) = (None, None);
        (self.phase, self.session) = (Phase::Retired, Session::new());
    }

    fn open(&mut self, shared: &mut Shared, now: Instant) {
        if std::mem::replace(&mut self.opened, true) {
            shared.list.count_reopened();
        }
        (self.session, self.written) = (Session::new(), 0);
        (self.phase, self.since) = (Phase::Connecting, now);
        self.state = ConnectionState::default();
        // The old socket is closed first, because its descriptor may be the last one that the process may have.
        self.socket = None;
        let address = shared.addresses[self.address];
        let opened = self.spare.take().map_or_else(|| Socket::new(address), Ok).and_then(|mut socket| {
            socket.connect(address, shared.tls.as_ref(), !self.pending.is_empty())?;
            socket.watch(&shared.registry, self.token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => self.fail(Fault::from(&error), shared, now),
        }
    }

    /// Checks whether the connection is open, and sends the requests that wait for it.
    fn probe(&mut self, shared: &mut Shared, now: Instant) {
        let Some(socket) = &mut self.socket else { return };
        match socket.is_open() {
            // On loopback the kernel may connect a socket to itself.
            Ok(()) if socket.local_addr().ok() == Some(shared.addresses[self.address]) => {
                self.fail(Fault::Refused, shared, now);
            }
            Ok(()) if socket.tls().is_some_and(|tls| !tls.speaks(b"h2")) => self.fail(Fault::NoAlpn, shared, now),
            Ok(()) => {
                shared.count_opened(socket, self.since, now);
                self.session.client = shared.client_of(Some(socket));
                (self.phase, self.since) = (Phase::Open, now);
                for request in std::mem::take(&mut self.pending) {
                    self.begin(request, shared, now);
                }
                self.next_requests(shared, now);
            }
            Err(error) if error.kind() != ErrorKind::NotConnected => self.fail(Fault::from(&error), shared, now),
            _ => {}
        }
    }

    /// How many more requests it could send.
    fn free(&self) -> usize {
        let streams = match self.phase {
            Phase::Closed => return usize::from(self.pending.is_empty() && self.thinking < self.streams),
            Phase::Open if !self.session.is_going_away() => self.streams.min(self.session.max_streams()),
            _ => return 0,
        };
        let left = self.requests.saturating_sub(self.state.sent) as usize;
        streams.saturating_sub(self.session.in_flight() + self.thinking).min(left)
    }

    /// Sends as many requests as there are and as it can; for further ones it enters the pool. A connection that can send
    /// none any more is closed when its last response has arrived.
    fn next_requests(&mut self, shared: &mut Shared, now: Instant) {
        if self.phase == Phase::Open && self.session.in_flight() == 0 && self.is_used_up(shared) {
            self.end();
        }
        if self.phase == Phase::Closed && shared.pool.is_retired(self.address) {
            return self.retire(shared);
        }
        if self.phase == Phase::Closed && shared.connect_early && !shared.source.is_spent() {
            return self.open(shared, now);
        }
        while !shared.pool.is_balanced() && self.free() > 0 {
            let Some(request) = shared.source.take(now) else { break };
            if self.phase != Phase::Open {
                return self.start(request, shared, now);
            }
            shared.pool.began(self.address);
            self.begin(request, shared, now);
        }
        if self.phase == Phase::Open {
            self.write(shared);
        }
        if !shared.pool.is_retired(self.address) {
            while self.pooled < self.free() {
                self.pooled += 1;
                shared.pool.put(self.address, self.token.0);
            }
        }
    }

    fn is_used_up(&self, shared: &Shared) -> bool {
        self.session.is_going_away() || self.state.sent >= self.requests || shared.pool.is_retired(self.address)
    }

    #[inline]
    fn begin(&mut self, request: ScheduledRequest, shared: &mut Shared, now: Instant) {
        let requests = &shared.requests.http2;
        let rendered = shared.renderer.http2(&requests[request.index as usize]);
        self.session.begin(requests, rendered, Sent { request, since: now });
        self.state.sent = self.state.sent.saturating_add(1);
        if !request.counts {
            return;
        }
        shared.record.sent += 1;
        if !self.state.counted {
            self.state.counted = true;
            shared.record.opened += 1;
        }
        let streams = self.session.in_flight() as u64;
        if streams > self.state.streams {
            shared.record.streams += streams - self.state.streams;
            self.state.streams = streams;
        }
    }

    /// Writes the session's output.
    fn write(&mut self, shared: &mut Shared) {
        loop {
            let Some(socket) = &mut self.socket else { return };
            if self.written >= self.session.output.len() {
                self.session.output.clear();
                self.written = 0;
                self.session.send_bodies(&shared.requests.http2);
                if self.session.output.is_empty() {
                    return match socket.flush() {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => {
                            self.fail(Fault::from(&error), shared, Instant::now());
                        }
                        _ => {}
                    };
                }
            }
            match socket.write(&self.session.output[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(Fault::from(&error), shared, Instant::now()),
            }
        }
        self.session.output.drain(..self.written);
        self.written = 0;
    }
}
