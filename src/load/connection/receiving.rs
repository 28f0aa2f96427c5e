//! From the answer's first byte to what is written down of it.

use std::io::ErrorKind;
use std::time::Instant;

use super::super::fault::Fault;
use super::super::record::PodIndex;
use super::super::response::{Answer, Garbage};
use super::super::shared::Shared;
use super::super::supply::Ticket;
use super::{Connection, Phase};

/// Reads in a row from one connection before the others have their turn.
const READS_IN_A_ROW: u32 = 16;

impl Connection {
    pub(super) fn receive(&mut self, drain: bool, shared: &mut Shared) {
        for _ in 0..READS_IN_A_ROW {
            let Some(socket) = &mut self.socket else { return };
            match socket.read(&mut shared.buffer) {
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
}
