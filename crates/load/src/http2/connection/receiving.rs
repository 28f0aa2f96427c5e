//! Receiving responses and counting them.

use std::io::ErrorKind;
use std::time::Instant;

use super::super::super::fault::Fault;
use super::super::super::record::PodIndex;
use super::super::super::shared::Shared;
use super::super::super::socket::Socket;
use super::super::session::{Finished, Messages, Outcome};
use super::{Http2Connection, Phase};

/// How often one connection is read before the others have their turn.
const READS_IN_A_ROW: u32 = 16;

impl Http2Connection {
    pub(super) fn receive(&mut self, drain: bool, shared: &mut Shared) {
        for _ in 0..READS_IN_A_ROW {
            let Some(socket) = &mut self.socket else { return };
            let read = match socket.read(&mut shared.buffer) {
                Ok(0) => return self.closed(shared),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return self.fail(Fault::from(&error), shared, Instant::now()),
            };
            let now = Instant::now();
            if now >= shared.end {
                return;
            }
            self.since = now;
            let received = self.session.receive(&shared.buffer[..read], &shared.requests.http2, &mut shared.record);
            self.count_messages(shared, now);
            self.count_finished(shared, now);
            if let Err(fault) = received {
                let fault = Fault::of_unexpected(&shared.buffer[..read], fault);
                // What the session says about it is written if that is possible at once.
                let _ = socket_write(self.socket.as_mut(), &self.session.output[self.written..]);
                return self.fail(fault, shared, now);
            }
            self.next_requests(shared, now);
            // A read that did not fill the buffer has emptied the socket. There will be an event for further bytes.
            if self.phase != Phase::Open || (read < shared.buffer.len() && !drain) {
                return;
            }
        }
        shared.unfinished.push(self.token);
    }

    /// The server has closed the connection. It may do so after a GOAWAY, and while no request is in flight.
    fn closed(&mut self, shared: &mut Shared) {
        let now = Instant::now();
        let idle = self.session.in_flight() == 0 && (self.state.responses > 0 || self.session.is_going_away());
        if idle || (self.session.in_flight() == 0 && shared.source.is_spent()) {
            self.end();
            return self.next_requests(shared, now);
        }
        self.fail(Fault::Closed, shared, now);
    }

    /// Counts the messages of gRPC that have arrived.
    #[inline]
    fn count_messages(&mut self, shared: &mut Shared, now: Instant) {
        let messages = &mut self.session.messages;
        if messages.count > 0 {
            let Messages { count, bytes, several, .. } = *messages;
            (messages.count, messages.bytes) = (0, 0);
            shared.count_messages((count, bytes, several), messages.first.drain(..), now);
        }
    }

    /// Counts the requests that have ended.
    pub(super) fn count_finished(&mut self, shared: &mut Shared, now: Instant) {
        let mut finished = std::mem::take(&mut self.session.finished);
        for Finished { sent, outcome, pod } in finished.drain(..) {
            shared.source.complete(sent.request);
            shared.pool.ended(self.address);
            let (bytes, fault) = match outcome {
                Outcome::Answered { status, bytes } => (bytes, shared.unexpected(status)),
                Outcome::AnsweredCall { bytes, fault } => (bytes, fault),
                Outcome::Failed(fault) => {
                    if sent.request.counts {
                        shared.count_failed(sent.request, fault, pod, now);
                    }
                    continue;
                }
            };
            let Some(pod) = pod else { continue };
            self.backoff.reset();
            self.state.responses = self.state.responses.saturating_add(1);
            self.thinking += usize::from(shared.think(self.token, now));
            if sent.request.counts {
                shared.count_response(sent.request, sent.since, (bytes, pod, fault), now);
                self.count_pod(pod, shared);
            }
        }
        self.session.finished = finished;
    }

    #[inline]
    fn count_pod(&mut self, pod: PodIndex, shared: &mut Shared) {
        match self.state.pod {
            None => {
                self.state.pod = Some(pod);
                shared.record.connection(pod);
            }
            Some(first) if first != pod && !self.state.mixed => {
                self.state.mixed = true;
                shared.record.mixed += 1;
            }
            _ => {}
        }
    }
}

/// Writes bytes if that is possible at once.
fn socket_write(socket: Option<&mut Socket>, bytes: &[u8]) -> Option<usize> {
    socket?.write(bytes).ok()
}
