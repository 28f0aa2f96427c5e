//! One connection of the plan: it is opened, sends and receives, and is opened again when it ends.

mod opening;
mod receiving;

use std::io::ErrorKind;
use std::time::Instant;

use mio::Token;
use mio::event::Event;

use super::backoff::Backoff;
use super::client_connection::ClientConnection;
use super::fault::Fault;
use super::record::PodIndex;
use super::request_source::ScheduledRequest;
use super::response::ResponseReader;
use super::shared::Shared;
use super::socket::Socket;

#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionPhase {
    /// Not open after a failure; `since` is when to try again.
    Waiting,
    /// Closed, because no requests are sent to its address any more.
    Retired,
    /// Being opened; `since` is when that began.
    Connecting,
    /// Idle. It is open, or is opened with the next request.
    Idle,
    /// A request is partly written; `since` is when that began.
    Sending,
    /// A request is written; `since` is when that began.
    Receiving,
}

pub(super) struct Connection {
    token: Token,
    /// The index of the address that it leads to.
    address: usize,
    /// The socket that is open or being opened.
    socket: Option<Socket>,
    /// A socket that was reset, to use again.
    spare: Option<Socket>,
    phase: ConnectionPhase,
    since: Instant,
    /// The request in flight, or that the connection is opened for.
    request: Option<ScheduledRequest>,
    /// Which of the requests of the run it is, and its bytes if it has placeholders.
    index: usize,
    rendered: Vec<u8>,
    sent: usize,
    reader: ResponseReader,
    state: ConnectionState,
    backoff: Backoff,
    /// Whether it is in the pool.
    pooled: bool,
    /// Whether it has been opened before.
    opened: bool,
    /// Whether it pauses after a response. It is idle, and not in the pool.
    thinking: bool,
}

/// The state since the connection was last opened.
#[derive(Default)]
struct ConnectionState {
    /// The pod in the last response.
    pod: Option<PodIndex>,
    /// Whether the connection has been counted for its pod.
    counted_for_pod: bool,
    /// Whether the connection has been counted as opened.
    counted: bool,
    /// Whether the server has closed its side, so that nothing follows what is already received.
    closing: bool,
    responses: u32,
}

impl ClientConnection for Connection {
    fn new(token: Token, address: usize, _: &Shared, now: Instant) -> Self {
        Self {
            token,
            address,
            socket: None,
            spare: None,
            phase: ConnectionPhase::Waiting,
            since: now,
            request: None,
            index: 0,
            rendered: Vec::new(),
            sent: 0,
            reader: ResponseReader::new(false),
            state: ConnectionState::default(),
            backoff: Backoff::default(),
            pooled: false,
            opened: false,
            thinking: false,
        }
    }

    fn address(&self) -> usize {
        self.address
    }

    fn addresses_changed(&mut self, shared: &mut Shared) {
        let retired = shared.pool.is_retired(self.address);
        match self.phase {
            ConnectionPhase::Idle | ConnectionPhase::Waiting if retired => self.retire(shared),
            // The next tick continues from here.
            ConnectionPhase::Retired if !retired => self.phase = ConnectionPhase::Waiting,
            _ => {}
        }
    }

    fn is_waiting(&self) -> bool {
        self.phase == ConnectionPhase::Waiting
    }

    fn in_flight(&self) -> u64 {
        let in_flight = matches!(self.phase, ConnectionPhase::Sending | ConnectionPhase::Receiving);
        u64::from(in_flight && self.request.is_some_and(|request| request.counts))
    }

    fn unsent(&self) -> u64 {
        u64::from(self.phase == ConnectionPhase::Connecting && self.request.is_some_and(|request| request.counts))
    }

    fn is_unused(&self) -> bool {
        self.phase == ConnectionPhase::Idle && self.socket.is_some() && !self.state.counted
    }

    fn leave_pool(&mut self) -> bool {
        self.pooled = false;
        self.phase == ConnectionPhase::Idle
    }

    fn tick(&mut self, shared: &mut Shared, now: Instant) {
        match self.phase {
            ConnectionPhase::Waiting if now >= self.since => self.continue_idle(shared, now),
            ConnectionPhase::Waiting | ConnectionPhase::Idle | ConnectionPhase::Retired => {}
            _ if now.saturating_duration_since(self.since) >= shared.timeout => {
                self.fail(Fault::TimedOut, shared, now);
            }
            _ => {}
        }
    }

    fn ready(&mut self, event: &Event, shared: &mut Shared) {
        self.state.closing |= event.is_read_closed();
        let before = self.phase;
        match before {
            ConnectionPhase::Waiting | ConnectionPhase::Idle | ConnectionPhase::Retired => {}
            ConnectionPhase::Connecting if self.request.is_none() => self.probe(shared, Instant::now()),
            ConnectionPhase::Connecting => self.send(shared, Instant::now()),
            ConnectionPhase::Sending => {
                self.send(shared, Instant::now());
                if matches!(self.phase, ConnectionPhase::Sending | ConnectionPhase::Receiving) {
                    self.receive(self.state.closing, shared);
                }
            }
            ConnectionPhase::Receiving => self.receive(self.state.closing, shared),
        }
        let received = self.state.closing || event.is_readable();
        if received
            && self.phase == ConnectionPhase::Idle
            && matches!(before, ConnectionPhase::Idle | ConnectionPhase::Connecting)
        {
            self.received_while_idle(shared);
        }
    }

    fn resume(&mut self, shared: &mut Shared) {
        if matches!(self.phase, ConnectionPhase::Sending | ConnectionPhase::Receiving) {
            self.receive(true, shared);
        }
    }

    fn thought(&mut self, shared: &mut Shared, now: Instant) {
        self.thinking = false;
        if self.phase == ConnectionPhase::Idle {
            self.continue_idle(shared, now);
        }
    }

    #[inline]
    fn start(&mut self, request: ScheduledRequest, shared: &mut Shared, now: Instant) {
        self.request = Some(request);
        self.prepare(request.index as usize, shared);
        shared.pool.began(self.address);
        if self.socket.is_some() {
            self.begin(shared, now);
            self.send(shared, now);
        } else {
            self.open(shared, now);
        }
    }

    /// Requests are written at once.
    fn flush(&mut self, _: &mut Shared) {}
}

impl Connection {
    fn retire(&mut self, shared: &mut Shared) {
        shared.record.opened += u64::from(self.is_unused());
        (self.socket, self.spare) = (None, None);
        (self.phase, self.pooled) = (ConnectionPhase::Retired, false);
    }

    /// Takes the next request if there is one; else the connection becomes idle.
    #[inline]
    fn continue_idle(&mut self, shared: &mut Shared, now: Instant) {
        if self.thinking {
            self.phase = ConnectionPhase::Idle;
            return;
        }
        if shared.connect_early && self.socket.is_none() && !shared.source.is_spent() {
            return self.open(shared, now);
        }
        if !shared.pool.is_balanced()
            && let Some(request) = shared.source.take(now)
        {
            return self.start(request, shared, now);
        }
        if shared.pool.is_retired(self.address) {
            return self.retire(shared);
        }
        self.phase = ConnectionPhase::Idle;
        if !self.pooled {
            self.pooled = true;
            shared.pool.put(self.address, self.token.0);
        }
    }

    /// Writes what is left of the request. The first byte that is written also shows that the connection is open: before,
    /// writing would block, or fails with the reason why the connection could not be opened.
    fn send(&mut self, shared: &mut Shared, now: Instant) {
        while let Some(socket) = &mut self.socket {
            let bytes = shared.requests.http1[self.index].as_literal().unwrap_or(&self.rendered);
            let length = bytes.len();
            match socket.write(&bytes[self.sent..]) {
                Ok(written) => {
                    if self.phase == ConnectionPhase::Connecting {
                        self.opened(shared, now);
                        self.begin(shared, now);
                    }
                    self.sent += written;
                    if self.sent >= length {
                        self.phase = ConnectionPhase::Receiving;
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(Fault::from(&error), shared, now),
            }
        }
    }

    /// Prepares the bytes of the request with this index, and the reader for its response.
    #[inline]
    fn prepare(&mut self, index: usize, shared: &mut Shared) {
        let request = &shared.requests.http1[index];
        shared.renderer.http1(request, &mut self.rendered);
        self.reader.expect(request.is_head);
        self.index = index;
    }

    #[inline]
    fn begin(&mut self, shared: &mut Shared, now: Instant) {
        (self.phase, self.since, self.sent) = (ConnectionPhase::Sending, now, 0);
        if self.request.is_some_and(|request| request.counts) {
            shared.record.sent += 1;
            if !self.state.counted {
                self.state.counted = true;
                shared.record.opened += 1;
            }
        }
    }

    /// The request has been answered, or has failed.
    #[inline]
    fn finish(&mut self, shared: &mut Shared) -> Option<ScheduledRequest> {
        let request = self.request.take();
        if let Some(request) = request {
            shared.source.complete(request);
            shared.pool.ended(self.address);
        }
        request
    }

    /// Ends the connection after a complete response.
    fn end(&mut self) {
        // A socket that cannot be used again is closed.
        self.spare = self.socket.take().filter(|socket| socket.reset().is_ok());
    }

    /// The socket is readable while no request is in flight. The server may close an idle connection that has been used, and
    /// may have sent a body after a response that must not have one. Anything else is a fault.
    fn received_while_idle(&mut self, shared: &mut Shared) {
        let Some(socket) = &mut self.socket else { return };
        let fault = match socket.read(&mut shared.buffer) {
            Ok(0) => Fault::Closed,
            Ok(_) => Fault::ProtocolError,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(error) => Fault::from(&error),
        };
        let now = Instant::now();
        let allowed = match fault {
            Fault::Closed | Fault::Reset => self.state.responses > 0,
            _ => self.reader.is_body_forbidden(),
        };
        if shared.source.is_spent() || allowed {
            self.socket = None;
            self.continue_idle(shared, now);
        } else {
            self.fail(fault, shared, now);
        }
    }

    fn fail(&mut self, fault: Fault, shared: &mut Shared, now: Instant) {
        shared.record.opened += u64::from(self.is_unused());
        match self.finish(shared).filter(|request| request.counts) {
            Some(request) => shared.count_failed(request, fault, self.state.pod, now),
            None if (shared.start..shared.end).contains(&now) && shared.source.take_for_failure() => {
                shared.count_failure(fault, self.state.pod, now);
            }
            None => {}
        }
        self.socket = None;
        (self.phase, self.since) = (ConnectionPhase::Waiting, self.backoff.next(now));
    }
}
