//! What is said on one connection over HTTP/2 (RFC 9113). It does no I/O: it reads bytes that were received, and appends
//! bytes that are to be sent.

mod control;
mod responses;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::time::Instant;

use super::super::fault::Fault;
use super::super::protocol_error::ProtocolError;
use super::super::record::{PodIndex, Record};
use super::super::request_source::ScheduledRequest;
use super::frame::{self, Frame, LONGEST_PAYLOAD, MAX_31_BITS, PREFACE, code, flag, frame_length, kind, setting};
use super::hpack::{Decoder, LONGEST_LIST};
use super::request::{Http2Request, RenderedHeaders};
use super::stream::Stream;

/// How many bytes the server may send on a stream, and on the connection, before it has to wait for an update.
const STREAM_WINDOW: u32 = 16 << 20;
const CONNECTION_WINDOW: u32 = 64 << 20;
/// The window that both sides begin with.
const FIRST_WINDOW: u32 = 65_535;
/// Bodies of requests are appended only while less than this is unsent.
const ENOUGH_UNSENT: usize = 128 * 1024;
/// A server for which more than this is unsent asks for answers that it does not read.
const MOST_UNSENT: usize = 4 << 20;

/// A change of the server's table of headers to no size (RFC 7541, section 6.3).
const EMPTY_TABLE: u8 = 0x20;

/// A request that was sent, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) request: ScheduledRequest,
    pub(crate) since: Instant,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// With a complete response: its status and its bytes.
    Answered { status: u16, bytes: u64 },
    /// With a complete response of gRPC: its bytes, and what failed.
    AnsweredCall { bytes: u64, fault: Option<Fault> },
    /// Without one.
    Failed(Fault),
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub(super) sent: Sent,
    pub(super) outcome: Outcome,
    /// The pod in the head of the response.
    pub(super) pod: Option<PodIndex>,
}

/// Messages of gRPC that have arrived.
#[derive(Default)]
pub(super) struct Messages {
    pub(super) count: u64,
    /// The bytes of the responses so far, which are not counted again at their end.
    pub(super) bytes: u64,
    pub(super) first: Vec<Sent>,
    /// Whether a response had more than one.
    pub(super) several: bool,
}

/// Stream identifiers are consecutive, so one multiplication distributes them.
#[derive(Default)]
pub(super) struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A block of headers whose frames are not complete yet.
struct OpenBlock {
    stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
}

/// The state of one connection.
pub(super) struct Session {
    /// Bytes to send.
    pub(super) output: Vec<u8>,
    /// Requests that have ended since the last look.
    pub(super) finished: Vec<Finished>,
    /// Messages of gRPC that have arrived since the last look, and the requests whose first message is among them. It is not
    /// used where each response has one message.
    pub(super) messages: Messages,
    streams: HashMap<u32, Stream, BuildHasherDefault<StreamHasher>>,
    /// The identifier of the next stream.
    next: u32,
    /// The beginning of an incomplete frame.
    partial: Vec<u8>,
    block: Option<OpenBlock>,
    decoder: Decoder,
    encoding: Encoding,
    /// Whether the server's settings have arrived.
    settled: bool,
    going_away: bool,
    /// How many streams the server allows at the same time.
    max_streams: u32,
    /// How many bytes may be sent on the connection, and on a stream at its begin.
    send_window: i64,
    first_send_window: i64,
    /// Bytes received on the connection since its window was last updated.
    unannounced: u32,
    /// Streams whose request body is not sent yet, in turn.
    sending: VecDeque<u32>,
    /// The bodies among them that had placeholders.
    bodies: HashMap<u32, Vec<u8>>,
    /// The name of the pod in the last response.
    pod: (Vec<u8>, Option<PodIndex>),
    /// This machine's end of the connection, if responses that name no pod are counted for it.
    pub(super) client: Option<SocketAddr>,
}

/// How the headers of the next request are encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// They enter the server's table.
    First,
    /// They refer to the table.
    Again,
    /// The server's table is smaller than that of the standard. It is emptied, and not used any more.
    Shrink,
    Plain,
}

impl Session {
    pub(super) fn new() -> Self {
        let mut output = PREFACE.to_vec();
        let settings = [
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (setting::MAX_HEADER_LIST_SIZE, u32::try_from(LONGEST_LIST).unwrap_or(u32::MAX)),
        ];
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes())).collect();
        frame::write(&mut output, kind::SETTINGS, 0, 0, &payload);
        frame::write_number(&mut output, kind::WINDOW_UPDATE, 0, CONNECTION_WINDOW - FIRST_WINDOW);
        Self {
            output,
            finished: Vec::new(),
            messages: Messages::default(),
            streams: HashMap::default(),
            next: 1,
            partial: Vec::new(),
            block: None,
            decoder: Decoder::new(),
            encoding: Encoding::First,
            settled: false,
            going_away: false,
            // Until its settings have arrived, any server takes one.
            max_streams: 1,
            send_window: FIRST_WINDOW.into(),
            first_send_window: FIRST_WINDOW.into(),
            unannounced: 0,
            sending: VecDeque::new(),
            bodies: HashMap::new(),
            pod: (Vec::new(), None),
            client: None,
        }
    }

    /// Whether the server's settings have arrived.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether no further request may be sent.
    pub(super) fn is_going_away(&self) -> bool {
        self.going_away
    }

    /// How many requests are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.streams.len()
    }

    /// How many of the requests in flight are counted.
    pub(super) fn counted_in_flight(&self) -> u64 {
        self.streams.values().filter(|stream| stream.sent.request.counts).count() as u64
    }

    /// How many requests the server allows at the same time.
    pub(super) fn max_streams(&self) -> usize {
        self.max_streams as usize
    }

    /// The pod in the last response.
    pub(super) fn pod(&self) -> Option<PodIndex> {
        self.pod.1
    }

    /// Sends one of the requests of the run on a new stream; `rendered` is what has placeholders in it.
    #[inline]
    pub(super) fn begin(&mut self, requests: &[Http2Request], rendered: Option<Box<RenderedHeaders>>, sent: Sent) {
        let Some(request) = requests.get(sent.request.index as usize) else { return };
        let id = self.next;
        self.next += 2;
        self.going_away |= self.next > MAX_31_BITS;
        let body = rendered.as_ref().map_or(&request.body, |rendered| &rendered.body).len();
        let end = if body == 0 { flag::END_STREAM } else { 0 };
        let (block, next) = match self.encoding {
            Encoding::First => (&request.first, Encoding::Again),
            Encoding::Again => (&request.again, Encoding::Again),
            Encoding::Plain | Encoding::Shrink => (&request.plain, Encoding::Plain),
        };
        let shrinks = std::mem::replace(&mut self.encoding, next) == Encoding::Shrink;
        if rendered.is_none() && !shrinks {
            frame::write_headers(&mut self.output, end, id, block);
        } else {
            let shrink: &[u8] = if shrinks { &[EMPTY_TABLE] } else { &[] };
            let rendered = rendered.unwrap_or_default();
            let block = [shrink, &rendered.before, block, &rendered.behind].concat();
            frame::write_headers(&mut self.output, end, id, &block);
            if !rendered.body.is_empty() {
                self.bodies.insert(id, rendered.body);
            }
        }
        self.streams.insert(id, Stream::new(sent, request.expected, body, self.first_send_window));
        if body > 0 {
            self.sending.push_back(id);
            self.send_bodies(requests);
        }
    }

    /// Appends as much of the requests' bodies as the server's windows allow. `requests` are all those of the run.
    pub(super) fn send_bodies(&mut self, requests: &[Http2Request]) {
        for _ in 0..self.sending.len() {
            let Some(id) = self.sending.pop_front() else { return };
            let stream = self.streams.get_mut(&id);
            let request = stream.as_ref().and_then(|stream| requests.get(stream.sent.request.index as usize));
            let (Some(stream), Some(request)) = (stream, request) else {
                self.bodies.remove(&id);
                continue;
            };
            let body = self.bodies.get(&id).unwrap_or(&request.body);
            while stream.unsent > 0 && self.output.len() < ENOUGH_UNSENT {
                let window = usize::try_from(self.send_window.min(stream.send_window)).unwrap_or(0);
                let length = stream.unsent.min(window).min(LONGEST_PAYLOAD);
                let Some(used) = i64::try_from(length).ok().filter(|used| *used > 0) else { break };
                let begin = body.len() - stream.unsent;
                stream.unsent -= length;
                stream.send_window -= used;
                self.send_window -= used;
                let end = if stream.unsent == 0 { flag::END_STREAM } else { 0 };
                frame::write(&mut self.output, kind::DATA, end, id, &body[begin..begin + length]);
            }
            if stream.unsent > 0 {
                self.sending.push_back(id);
            } else {
                self.bodies.remove(&id);
            }
        }
    }

    /// Reads what was received.
    ///
    /// # Errors
    /// When the connection cannot be used any more.
    pub(super) fn receive(
        &mut self,
        input: &[u8],
        requests: &[Http2Request],
        record: &mut Record,
    ) -> Result<(), Fault> {
        let read = self.read(input, record);
        self.send_bodies(requests);
        match read {
            Ok(()) if self.output.len() <= MOST_UNSENT => Ok(()),
            // The server has not even begun to speak HTTP/2.
            Err(ProtocolError) if !self.settled => Err(Fault::NotHttp2),
            _ => {
                self.close(code::PROTOCOL_ERROR);
                Err(Fault::ProtocolError)
            }
        }
    }

    fn read(&mut self, mut rest: &[u8], record: &mut Record) -> Result<(), ProtocolError> {
        if !self.partial.is_empty() {
            let mut partial = std::mem::take(&mut self.partial);
            loop {
                let wanted = frame_length(&partial)?;
                if wanted == Some(partial.len()) {
                    break;
                }
                if rest.is_empty() {
                    self.partial = partial;
                    return Ok(());
                }
                // Before its length is known, the rest of the head is wanted.
                let missing = wanted.unwrap_or(frame::HEAD) - partial.len();
                let (more, left) = rest.split_at(rest.len().min(missing));
                partial.extend_from_slice(more);
                rest = left;
            }
            self.frame(Frame::parse(&partial)?, record)?;
            partial.clear();
            self.partial = partial;
        }
        while let Some(length) = frame_length(rest)?.filter(|length| rest.len() >= *length) {
            let (bytes, left) = rest.split_at(length);
            self.frame(Frame::parse(bytes)?, record)?;
            rest = left;
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    #[inline]
    fn frame(&mut self, frame: Frame<'_>, record: &mut Record) -> Result<(), ProtocolError> {
        let first = !self.settled && (frame.kind != kind::SETTINGS || frame.has(flag::ACK));
        let interleaved = self.block.is_some() && frame.kind != kind::CONTINUATION;
        if first || interleaved {
            return Err(ProtocolError);
        }
        match frame.kind {
            kind::DATA => self.data(frame),
            kind::HEADERS => self.headers(frame, record),
            kind::CONTINUATION => self.continuation(frame, record),
            kind::SETTINGS => self.settings(frame),
            kind::WINDOW_UPDATE => self.window_update(frame),
            kind::RST_STREAM => self.reset(frame),
            kind::PING => self.ping(frame),
            kind::GOAWAY => self.goaway(frame),
            // It was switched off.
            kind::PUSH_PROMISE => Err(ProtocolError),
            kind::PRIORITY if frame.stream == 0 => Err(ProtocolError),
            _ => Ok(()),
        }
    }

    /// Whether the server may speak of this stream: it was opened, and may have ended since.
    fn check_opened(&self, id: u32) -> Result<(), ProtocolError> {
        if id % 2 == 1 && id < self.next { Ok(()) } else { Err(ProtocolError) }
    }

    /// Ends a stream whose response is not valid. Other streams are not affected (section 8.1.1).
    fn malformed(&mut self, id: u32) {
        frame::write_number(&mut self.output, kind::RST_STREAM, id, code::PROTOCOL_ERROR);
        self.fail(id, Fault::ProtocolError);
    }

    fn fail(&mut self, id: u32, fault: Fault) {
        if let Some(stream) = self.streams.remove(&id) {
            let pod = stream.pod.or(self.pod.1);
            self.finished.push(Finished { sent: stream.sent, outcome: Outcome::Failed(fault), pod });
        }
    }

    /// Ends all streams that `which` applies to.
    fn fail_all(&mut self, fault: Fault, which: impl Fn(u32, &Stream) -> bool) -> Vec<u32> {
        let ids: Vec<u32> = self.streams.iter().filter(|(id, stream)| which(**id, stream)).map(|(id, _)| *id).collect();
        for id in &ids {
            self.fail(*id, fault);
        }
        ids
    }

    /// Ends all requests, because the connection has ended.
    pub(super) fn abandon(&mut self, fault: Fault) {
        self.fail_all(fault, |_, _| true);
    }

    /// Ends the requests that were sent before `limit`, and tells the server.
    pub(super) fn expire(&mut self, limit: Instant) {
        for id in self.fail_all(Fault::TimedOut, |_, stream| stream.sent.since <= limit) {
            frame::write_number(&mut self.output, kind::RST_STREAM, id, code::CANCEL);
        }
    }

    /// Tells the server why the connection ends.
    fn close(&mut self, code: u32) {
        let mut payload = [0; 8];
        payload[4..].copy_from_slice(&code.to_be_bytes());
        frame::write(&mut self.output, kind::GOAWAY, 0, 0, &payload);
    }
}

#[cfg(test)]
mod tests;
