//! One connection: open, send, receive, send again; open anew when it ends.

mod opening;
mod receiving;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mio::Token;
use mio::event::Event;

use super::fault::Fault;
use super::record::PodIndex;
use super::response::Reader;
use super::shared::Shared;
use super::socket::Socket;
use super::supply::Ticket;

/// The pause after a first failure; it doubles with each further one, so that a dead target is asked, not hammered.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not open after a failure; `since` says when to try again.
    Waiting,
    /// Closed, for its address takes no more requests.
    Retired,
    /// Being opened since `since`.
    Connecting,
    /// Nothing to do. It may be open, or be opened with the next request.
    Idle,
    /// A request is partly written; `since` it began.
    Sending,
    /// A request is out; `since` it began.
    Receiving,
}

pub(super) struct Connection {
    token: Token,
    /// Which of the addresses it leads to.
    address: usize,
    /// What it is open, or being opened, on.
    socket: Option<Socket>,
    /// What it was open on, for the next time.
    spare: Option<Socket>,
    phase: Phase,
    since: Instant,
    /// The request it has, or is being opened for.
    ticket: Option<Ticket>,
    sent: usize,
    reader: Reader,
    life: Life,
    failures: u32,
    /// Whether the pool holds it.
    pooled: bool,
}

/// What is known of it since it was last opened.
#[derive(Default)]
struct Life {
    /// The pod the last answer named.
    pod: Option<PodIndex>,
    /// Whether it has been counted for its pod.
    landed: bool,
    /// Whether it has been counted as opened.
    counted: bool,
    /// Whether the other side will send no more than what is already here.
    closing: bool,
    answers: u32,
}

impl Connection {
    pub(super) fn new(token: Token, address: usize, bodiless: bool, now: Instant) -> Self {
        Self {
            token,
            address,
            socket: None,
            spare: None,
            phase: Phase::Waiting,
            since: now,
            ticket: None,
            sent: 0,
            reader: Reader::new(bodiless),
            life: Life::default(),
            failures: 0,
            pooled: false,
        }
    }

    /// Which of the addresses it leads to.
    pub(super) fn address(&self) -> usize {
        self.address
    }

    /// Which addresses are in use has changed: ends if its own no longer is and it has nothing to do, begins again if it
    /// once more is.
    pub(super) fn heed_addresses(&mut self, shared: &mut Shared) {
        let retired = shared.pool.is_retired(self.address);
        match self.phase {
            Phase::Idle | Phase::Waiting if retired => self.retire(shared),
            // The next tick has it look for something to do.
            Phase::Retired if !retired => self.phase = Phase::Waiting,
            _ => {}
        }
    }

    fn retire(&mut self, shared: &mut Shared) {
        shared.record.opened += u64::from(self.is_unused());
        (self.socket, self.spare) = (None, None);
        (self.phase, self.pooled) = (Phase::Retired, false);
    }

    /// Whether it waits for its next try.
    pub(super) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// Whether a request that counts is on its way.
    pub(super) fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Sending | Phase::Receiving) && self.ticket.is_some_and(|ticket| ticket.counts)
    }

    /// Whether a request that counts waits for it to be open.
    pub(super) fn holds_unsent(&self) -> bool {
        self.phase == Phase::Connecting && self.ticket.is_some_and(|ticket| ticket.counts)
    }

    /// Whether it is open and has never carried a request that counts.
    pub(super) fn is_unused(&self) -> bool {
        self.phase == Phase::Idle && self.socket.is_some() && !self.life.counted
    }

    /// The pool has given it away; whether it has nothing to do.
    pub(super) fn leave_pool(&mut self) -> bool {
        self.pooled = false;
        self.phase == Phase::Idle
    }

    /// Does what is due: opens what has waited long enough, gives up on what took too long.
    pub(super) fn tick(&mut self, shared: &mut Shared, now: Instant) {
        match self.phase {
            Phase::Waiting if now >= self.since => self.go_on(shared, now),
            Phase::Waiting | Phase::Idle | Phase::Retired => {}
            _ if now.saturating_duration_since(self.since) >= shared.timeout => {
                self.fail(Fault::TimedOut, shared, now);
            }
            _ => {}
        }
    }

    /// The socket is ready for something.
    pub(super) fn ready(&mut self, event: &Event, shared: &mut Shared) {
        self.life.closing |= event.is_read_closed();
        let before = self.phase;
        match before {
            Phase::Waiting | Phase::Idle | Phase::Retired => {}
            Phase::Connecting if self.ticket.is_none() => self.probe(shared, Instant::now()),
            Phase::Connecting => self.send(shared, Instant::now()),
            Phase::Sending => {
                self.send(shared, Instant::now());
                if matches!(self.phase, Phase::Sending | Phase::Receiving) {
                    self.receive(self.life.closing, shared);
                }
            }
            Phase::Receiving => self.receive(self.life.closing, shared),
        }
        let heard = self.life.closing || event.is_readable();
        if heard && self.phase == Phase::Idle && matches!(before, Phase::Idle | Phase::Connecting) {
            self.disturbed(shared);
        }
    }

    /// Reads on where its turn ended; its last event is spent, so it reads until there is no more.
    pub(super) fn resume(&mut self, shared: &mut Shared) {
        if matches!(self.phase, Phase::Sending | Phase::Receiving) {
            self.receive(true, shared);
        }
    }

    /// Sends a request, over a new connection if there is none.
    #[inline]
    pub(super) fn start(&mut self, ticket: Ticket, shared: &mut Shared, now: Instant) {
        self.ticket = Some(ticket);
        shared.pool.began(self.address);
        if self.socket.is_some() {
            self.begin(shared, now);
            self.send(shared, now);
        } else {
            self.open(shared, now);
        }
    }

    /// Has nothing to do, and looks for it.
    #[inline]
    fn go_on(&mut self, shared: &mut Shared, now: Instant) {
        if shared.ahead && self.socket.is_none() && !shared.supply.is_spent() {
            return self.open(shared, now);
        }
        if !shared.pool.is_balanced()
            && let Some(ticket) = shared.supply.take(now)
        {
            return self.start(ticket, shared, now);
        }
        if shared.pool.is_retired(self.address) {
            return self.retire(shared);
        }
        self.phase = Phase::Idle;
        if !self.pooled {
            self.pooled = true;
            shared.pool.put(self.address, self.token.0);
        }
    }

    /// Writes what is left of the request. The first byte that goes out also shows that the connection is open: until
    /// then the socket answers "not yet", or says what went wrong with opening it.
    fn send(&mut self, shared: &mut Shared, now: Instant) {
        while let Some(socket) = &mut self.socket {
            match socket.write(&shared.request[self.sent..]) {
                Ok(written) => {
                    if self.phase == Phase::Connecting {
                        self.opened(shared, now);
                        self.begin(shared, now);
                    }
                    self.sent += written;
                    if self.sent >= shared.request.len() {
                        self.phase = Phase::Receiving;
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(Fault::from(&error), shared, now),
            }
        }
    }

    #[inline]
    fn begin(&mut self, shared: &mut Shared, now: Instant) {
        (self.phase, self.since, self.sent) = (Phase::Sending, now, 0);
        if self.ticket.is_some_and(|ticket| ticket.counts) {
            shared.record.sent += 1;
            if !self.life.counted {
                self.life.counted = true;
                shared.record.opened += 1;
            }
        }
    }

    /// The request has come to its end.
    #[inline]
    fn finish(&mut self, shared: &mut Shared) -> Option<Ticket> {
        let ticket = self.ticket.take();
        if let Some(ticket) = ticket {
            shared.supply.settle(ticket);
            shared.pool.ended(self.address);
        }
        ticket
    }

    /// Ends the connection after a whole answer.
    fn end(&mut self) {
        // One that cannot be used again is closed.
        self.spare = self.socket.take().filter(|socket| socket.reset().is_ok());
    }

    /// Something came while no request was out. A server may close a connection that nobody uses; anything else, or
    /// one that has never answered, is a fault.
    fn disturbed(&mut self, shared: &mut Shared) {
        let Some(socket) = &mut self.socket else { return };
        let fault = match socket.read(&mut shared.buffer) {
            Ok(0) => Fault::Closed,
            Ok(_) => Fault::Garbage,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(error) => Fault::from(&error),
        };
        let now = Instant::now();
        if shared.supply.is_spent() || (self.life.answers > 0 && matches!(fault, Fault::Closed | Fault::Reset)) {
            self.socket = None;
            self.go_on(shared, now);
        } else {
            self.fail(fault, shared, now);
        }
    }

    fn fail(&mut self, fault: Fault, shared: &mut Shared, now: Instant) {
        shared.record.opened += u64::from(self.is_unused());
        let counts = self.finish(shared).is_some_and(|ticket| ticket.counts);
        if (shared.start..shared.end).contains(&now) && (counts || shared.supply.claim()) {
            shared.record.fault(fault, now.saturating_duration_since(shared.start), self.life.pod);
        }
        self.socket = None;
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(self.failures.min(16)));
        (self.phase, self.since) = (Phase::Waiting, now + pause);
        self.failures += 1;
    }
}
