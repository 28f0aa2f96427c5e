//! One connection: open, send, receive, send again; open anew when it ends.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Token};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use super::fault::Fault;
use super::record::PodIndex;
use super::response::{Answer, Garbage, Reader};
use super::shared::Shared;
use super::supply::Ticket;

/// The pause after a first failure; it doubles with each further one, so that a dead target is asked, not hammered.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// Reads in a row from one connection before the others have their turn.
const READS_IN_A_ROW: u32 = 16;

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
    stream: Option<TcpStream>,
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
            stream: None,
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
        self.stream = None;
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
        self.phase == Phase::Idle && self.stream.is_some() && !self.life.counted
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
        if self.stream.is_some() {
            self.begin(shared, now);
            self.send(shared, now);
        } else {
            self.open(shared, now);
        }
    }

    /// Has nothing to do, and looks for it.
    #[inline]
    fn go_on(&mut self, shared: &mut Shared, now: Instant) {
        if shared.ahead && self.stream.is_none() && !shared.supply.is_spent() {
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

    fn open(&mut self, shared: &mut Shared, now: Instant) {
        self.reader.restart();
        (self.phase, self.since, self.sent) = (Phase::Connecting, now, 0);
        self.life = Life::default();
        // The old socket goes first: its descriptor may be the last there is.
        self.stream = None;
        match TcpStream::connect(shared.addresses[self.address]) {
            Ok(stream) => self.stream = Some(stream),
            Err(error) => return self.fail(Fault::from(&error), shared, now),
        }
        // Within one machine the handshake is mostly over by now; then the request need not wait for an event.
        if self.ticket.is_some() {
            self.send(shared, Instant::now());
        }
        self.register(shared);
    }

    /// Has epoll watch the new connection.
    fn register(&mut self, shared: &mut Shared) {
        let Some(stream) = &mut self.stream else { return };
        // One that has sent all it ever will is not to wake for room to write.
        let all_sent = self.phase == Phase::Receiving && shared.answers_per_connection == 1;
        let interest = if all_sent { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        if let Err(error) = shared.registry.register(stream, self.token, interest) {
            self.fail(Fault::from(&error), shared, Instant::now());
        }
    }

    /// Asks whether the connection is open, where no request is there to find out.
    fn probe(&mut self, shared: &mut Shared, now: Instant) {
        let Some(stream) = &self.stream else { return };
        let asked = stream.take_error().and_then(|error| error.map_or(Ok(()), Err)).and_then(|()| stream.peer_addr());
        match asked {
            Ok(_) if self.is_to_itself(shared) => self.fail(Fault::Refused, shared, now),
            Ok(_) => {
                self.opened(shared, now);
                self.go_on(shared, now);
            }
            Err(error) if error.kind() != ErrorKind::NotConnected => self.fail(Fault::from(&error), shared, now),
            _ => {}
        }
    }

    /// Writes what is left of the request. The first byte that goes out also shows that the connection is open: until
    /// then the socket answers "not yet", or says what went wrong with opening it.
    fn send(&mut self, shared: &mut Shared, now: Instant) {
        while let Some(stream) = &mut self.stream {
            match stream.write(&shared.request[self.sent..]) {
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

    /// The connection is open.
    fn opened(&self, shared: &mut Shared, now: Instant) {
        shared.record.connect.record(now.saturating_duration_since(self.since));
    }

    /// Whether it talks to itself: on loopback a socket can be given the very port it connects to, if nobody listens
    /// there.
    fn is_to_itself(&self, shared: &Shared) -> bool {
        let local = self.stream.as_ref().and_then(|stream| stream.local_addr().ok());
        local == Some(shared.addresses[self.address])
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

    fn receive(&mut self, drain: bool, shared: &mut Shared) {
        for _ in 0..READS_IN_A_ROW {
            let Some(stream) = &mut self.stream else { return };
            match stream.read(&mut shared.buffer) {
                Ok(0) => {
                    return match self.reader.end() {
                        Some(answer) => self.answered(answer, shared),
                        None => self.fail(Fault::Closed, shared, Instant::now()),
                    };
                }
                Ok(read) => match self.reader.feed(&shared.buffer[..read]) {
                    Ok(Some(answer)) => return self.answered(answer, shared),
                    // A read that leaves room has emptied the socket, and what comes next is a new event.
                    Ok(None) if read < shared.buffer.len() && !drain => return,
                    Ok(None) => {}
                    Err(Garbage) => {
                        // Who talks to itself hears its own request.
                        let fault = if self.is_to_itself(shared) { Fault::Refused } else { Fault::Garbage };
                        return self.fail(fault, shared, Instant::now());
                    }
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(Fault::from(&error), shared, Instant::now()),
            }
        }
        shared.again.push(self.token);
    }

    #[inline]
    fn answered(&mut self, answer: Answer, shared: &mut Shared) {
        let now = Instant::now();
        if now >= shared.end {
            return;
        }
        self.failures = 0;
        self.life.answers += 1;
        let pod = match self.life.pod {
            Some(pod) if !answer.new_pod => pod,
            _ => *self.life.pod.insert(shared.record.pod(self.reader.pod())),
        };
        if let Some(ticket) = self.finish(shared).filter(|ticket| ticket.counts) {
            self.count(answer, pod, ticket, shared, now);
        }
        // A server that closes after its answer, announced or not, has lost nothing: no request was out. One that
        // answers before it has the whole request cannot be given another.
        let ends = answer.close || self.life.closing || self.phase == Phase::Sending;
        if ends || self.life.answers >= shared.answers_per_connection {
            self.end();
        }
        self.go_on(shared, now);
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

    #[inline]
    fn count(&mut self, answer: Answer, pod: PodIndex, ticket: Ticket, shared: &mut Shared, now: Instant) {
        let since = now.saturating_duration_since(shared.start);
        let latency = now.saturating_duration_since(self.since);
        if let Some(paced) = &mut shared.record.paced {
            paced.late.record(self.since.saturating_duration_since(ticket.due));
            paced.uncorrected.record(latency);
            shared.record.answer(pod, since, now.saturating_duration_since(ticket.due), answer.bytes);
        } else {
            shared.record.answer(pod, since, latency, answer.bytes);
        }
        if !self.life.landed {
            self.life.landed = true;
            shared.record.landed(pod);
        }
        if !(200..300).contains(&answer.status) {
            shared.record.fault(Fault::Status(answer.status), since, Some(pod));
        }
    }

    /// Ends the connection after a whole answer, by a reset: whoever closes first would else keep the address for a
    /// minute (`TIME_WAIT`), and a minute at full speed needs more addresses than there are.
    fn end(&mut self) {
        if let Some(stream) = self.stream.take() {
            // Without it the connection ends all the same.
            let _ = setsockopt(&stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
        }
    }

    /// Something came while no request was out. A server may close a connection that nobody uses; anything else, or
    /// one that has never answered, is a fault.
    fn disturbed(&mut self, shared: &mut Shared) {
        let Some(stream) = &mut self.stream else { return };
        let fault = match stream.read(&mut shared.buffer) {
            Ok(0) => Fault::Closed,
            Ok(_) => Fault::Garbage,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(error) => Fault::from(&error),
        };
        let now = Instant::now();
        if shared.supply.is_spent() || (self.life.answers > 0 && matches!(fault, Fault::Closed | Fault::Reset)) {
            self.stream = None;
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
        self.stream = None;
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(self.failures.min(16)));
        (self.phase, self.since) = (Phase::Waiting, now + pause);
        self.failures += 1;
    }
}
