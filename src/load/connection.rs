//! One connection of the closed loop: open, send, receive, send again; open anew when it ends.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::fault::Fault;
use super::record::{PodIndex, Record};
use super::response::{Answer, Garbage, Reader};

/// The pause after a first failure; it doubles with each further one, so that a dead target is asked, not hammered.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(640);
/// Reads in a row from one connection before the others have their turn.
const READS_IN_A_ROW: u32 = 16;
/// What one read takes at most.
const BUFFER: usize = 64 * 1024;

/// What all connections of a worker share.
pub(super) struct Shared {
    pub(super) registry: Registry,
    pub(super) address: SocketAddr,
    pub(super) request: Vec<u8>,
    pub(super) timeout: Duration,
    /// From here on it counts.
    pub(super) start: Instant,
    /// From here on it no longer does.
    pub(super) end: Instant,
    pub(super) record: Record,
    /// Connections that have more to read than their turn allowed.
    pub(super) again: Vec<Token>,
    buffer: Vec<u8>,
}

impl Shared {
    pub(super) fn new(
        registry: Registry,
        address: SocketAddr,
        request: Vec<u8>,
        timeout: Duration,
        window: (Instant, Instant),
        record: Record,
    ) -> Self {
        let (start, end) = window;
        let (again, buffer) = (Vec::new(), vec![0; BUFFER]);
        Self { registry, address, request, timeout, start, end, record, again, buffer }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not open; `since` says when to try again.
    Waiting,
    /// Being opened since `since`.
    Connecting,
    /// A request is partly written; `since` it began.
    Sending,
    /// A request is out; `since` it began.
    Receiving,
}

pub(super) struct Connection {
    token: Token,
    stream: Option<TcpStream>,
    phase: Phase,
    since: Instant,
    sent: usize,
    reader: Reader,
    /// The pod the last answer on this connection named.
    pod: Option<PodIndex>,
    /// Whether the connection has been counted for its pod.
    landed: bool,
    /// Whether the other side will send no more than what is already here.
    closing: bool,
    failures: u32,
}

impl Connection {
    pub(super) fn new(token: Token, now: Instant) -> Self {
        Self {
            token,
            stream: None,
            phase: Phase::Waiting,
            since: now,
            sent: 0,
            reader: Reader::new(),
            pod: None,
            landed: false,
            closing: false,
            failures: 0,
        }
    }

    /// Whether it waits for its next try.
    pub(super) fn is_waiting(&self) -> bool {
        self.phase == Phase::Waiting
    }

    /// Whether a request that counts is on its way.
    pub(super) fn is_in_flight(&self, shared: &Shared) -> bool {
        matches!(self.phase, Phase::Sending | Phase::Receiving) && self.since >= shared.start
    }

    /// Does what is due: opens what has waited long enough, gives up on what took too long.
    pub(super) fn tick(&mut self, shared: &mut Shared, now: Instant) {
        if self.phase == Phase::Waiting {
            if now >= self.since {
                self.open(shared, now);
            }
        } else if now.saturating_duration_since(self.since) >= shared.timeout {
            self.fail(Fault::TimedOut, shared, now);
        }
    }

    /// The socket is ready for something; `closed` when the other side will send no more.
    pub(super) fn ready(&mut self, closed: bool, shared: &mut Shared) {
        self.closing |= closed;
        match self.phase {
            Phase::Waiting => {}
            Phase::Connecting => self.send(shared, Instant::now()),
            Phase::Sending => {
                self.send(shared, Instant::now());
                if matches!(self.phase, Phase::Sending | Phase::Receiving) {
                    self.receive(self.closing, shared);
                }
            }
            Phase::Receiving => self.receive(self.closing, shared),
        }
    }

    /// Reads on where its turn ended; its last event is spent, so it reads until there is no more.
    pub(super) fn resume(&mut self, shared: &mut Shared) {
        if matches!(self.phase, Phase::Sending | Phase::Receiving) {
            self.receive(true, shared);
        }
    }

    fn open(&mut self, shared: &mut Shared, now: Instant) {
        self.reader.restart();
        (self.phase, self.since, self.sent) = (Phase::Connecting, now, 0);
        (self.pod, self.landed, self.closing) = (None, false, false);
        // The old socket goes first: its descriptor may be the last there is.
        self.stream = None;
        let opened = TcpStream::connect(shared.address).and_then(|mut stream| {
            shared.registry.register(&mut stream, self.token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        });
        match opened {
            Ok(stream) => self.stream = Some(stream),
            Err(error) => self.fail(Fault::from(&error), shared, now),
        }
    }

    /// Writes what is left of the request. The first byte that goes out also shows that the connection is open: until
    /// then the socket answers "not yet", or says what went wrong with opening it.
    fn send(&mut self, shared: &mut Shared, now: Instant) {
        while let Some(stream) = &mut self.stream {
            match stream.write(&shared.request[self.sent..]) {
                Ok(written) => {
                    if self.phase == Phase::Connecting && !self.opened(shared, now) {
                        return;
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

    /// The connection is open and its first request begins; false if it turns out to be none.
    fn opened(&mut self, shared: &mut Shared, now: Instant) -> bool {
        // On loopback a socket can be given the very port it connects to, and then it talks to itself.
        let local = self.stream.as_ref().and_then(|stream| stream.local_addr().ok());
        if local == Some(shared.address) {
            self.fail(Fault::Refused, shared, now);
            return false;
        }
        shared.record.connect.record(now.saturating_duration_since(self.since));
        self.begin(shared, now);
        true
    }

    fn begin(&mut self, shared: &mut Shared, now: Instant) {
        (self.phase, self.since, self.sent) = (Phase::Sending, now, 0);
        shared.record.sent += u64::from(now >= shared.start);
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
                    Err(Garbage) => return self.fail(Fault::Garbage, shared, Instant::now()),
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
        let pod = match self.pod {
            Some(pod) if !answer.new_pod => pod,
            _ => *self.pod.insert(shared.record.pod(self.reader.pod())),
        };
        if self.since >= shared.start {
            self.count(answer, pod, shared, now);
        }
        // A server that closes after its answer, announced or not, has lost nothing: no request was out.
        if answer.close || self.closing {
            self.open(shared, now);
        } else {
            self.begin(shared, now);
            self.send(shared, now);
        }
    }

    #[inline]
    fn count(&mut self, answer: Answer, pod: PodIndex, shared: &mut Shared, now: Instant) {
        let since = now.saturating_duration_since(shared.start);
        shared.record.answer(pod, since, now.saturating_duration_since(self.since), answer.bytes);
        if !self.landed {
            self.landed = true;
            shared.record.landed(pod);
        }
        if !(200..300).contains(&answer.status) {
            shared.record.fault(Fault::Status(answer.status), since, Some(pod));
        }
    }

    fn fail(&mut self, fault: Fault, shared: &mut Shared, now: Instant) {
        if (shared.start..shared.end).contains(&now) {
            shared.record.fault(fault, now.saturating_duration_since(shared.start), self.pod);
        }
        self.stream = None;
        let pause = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.pow(self.failures.min(16)));
        (self.phase, self.since) = (Phase::Waiting, now + pause);
        self.failures += 1;
    }
}
