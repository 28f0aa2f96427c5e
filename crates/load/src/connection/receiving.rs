//! Receiving a response and counting it.

use std::io::ErrorKind;
use std::time::Instant;

use super::super::fault::Fault;
use super::super::protocol_error::ProtocolError;
use super::super::record::PodIndex;
use super::super::request_source::ScheduledRequest;
use super::super::response::Response;
use super::super::shared::Shared;
use super::{Connection, ConnectionPhase};

/// How often one connection is read before the others have their turn.
const READS_IN_A_ROW: u32 = 16;

impl Connection {
    pub(super) fn receive(&mut self, drain: bool, shared: &mut Shared) {
        for _ in 0..READS_IN_A_ROW {
            let Some(socket) = &mut self.socket else { return };
            match socket.read(&mut shared.buffer) {
                Ok(0) => {
                    return match self.reader.end() {
                        Some(response) => self.received(response, shared),
                        None => self.fail(Fault::Closed, shared, Instant::now()),
                    };
                }
                Ok(read) => match self.reader.feed(&shared.buffer[..read]) {
                    Ok(Some(response)) => return self.received(response, shared),
                    // A read that did not fill the buffer has emptied the socket. There will be an event for further bytes.
                    Ok(None) if read < shared.buffer.len() && !drain => return,
                    Ok(None) => {}
                    Err(ProtocolError) => {
                        // A connection to itself receives its own request.
                        let itself = self.is_self_connected(shared);
                        let unexpected = Fault::of_unexpected(&shared.buffer[..read], Fault::ProtocolError);
                        let fault = if itself { Fault::Refused } else { unexpected };
                        return self.fail(fault, shared, Instant::now());
                    }
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(Fault::from(&error), shared, Instant::now()),
            }
        }
        shared.unfinished.push(self.token);
    }

    #[inline]
    fn received(&mut self, response: Response, shared: &mut Shared) {
        let now = Instant::now();
        if now >= shared.end {
            return;
        }
        self.backoff.reset();
        self.state.responses += 1;
        let pod = match self.state.pod {
            Some(pod) if !response.new_pod => pod,
            _ => {
                let client = shared.client_of(self.socket.as_ref());
                *self.state.pod.insert(shared.record.pod_or_connection(self.reader.pod(), client))
            }
        };
        if let Some(request) = self.finish(shared).filter(|request| request.counts) {
            self.count(response, pod, request, shared, now);
        }
        // A server that closes the connection after its response, announced or not, has lost no request. One that responds
        // before it has the whole request cannot be sent another one.
        let ends = response.close || self.state.closing || self.phase == ConnectionPhase::Sending;
        if ends || self.state.responses >= shared.responses_per_connection {
            self.end();
        }
        self.thinking = shared.think(self.token, now);
        self.continue_idle(shared, now);
    }

    #[inline]
    fn count(
        &mut self,
        response: Response,
        pod: PodIndex,
        request: ScheduledRequest,
        shared: &mut Shared,
        now: Instant,
    ) {
        let fault = shared.unexpected(response.status);
        shared.count_response(request, self.since, (response.bytes, pod, fault), now);
        if !self.state.counted_for_pod {
            self.state.counted_for_pod = true;
            shared.record.connection(pod);
        }
    }
}
