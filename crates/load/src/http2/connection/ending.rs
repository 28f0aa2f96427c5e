//! How connections and requests end.

use std::time::Instant;

use super::super::super::fault::Fault;
use super::super::super::shared::Shared;
use super::super::session::Session;
use super::{ClientConnection, Http2Connection, Phase};

impl Http2Connection {
    /// Closes the connection after its last response.
    pub(super) fn end(&mut self) {
        // A socket that cannot be used again is closed.
        self.spare = self.socket.take().filter(|socket| socket.close_and_reset().is_ok());
        // A server that ends each connection before it has answered anything is not asked without a pause.
        let paused = self.state.responses == 0 && self.session.is_going_away();
        if paused {
            self.since = self.backoff.next(Instant::now());
        }
        (self.phase, self.session) = (if paused { Phase::Waiting } else { Phase::Closed }, Session::new());
    }

    /// Ends requests that took too long. If nothing at all was received for as long, the connection is not used any more.
    pub(super) fn expire(&mut self, shared: &mut Shared, now: Instant) {
        let Some(limit) = now.checked_sub(shared.response_timeout) else { return };
        let silent = self.since <= limit;
        if silent && !self.session.is_settled() {
            return self.fail(Fault::TimedOut, shared, now);
        }
        self.session.expire(limit);
        if self.session.finished.is_empty() {
            return;
        }
        self.count_finished(shared, now);
        if silent {
            self.session.abandon(Fault::TimedOut);
            self.count_finished(shared, now);
            return self.wait(now);
        }
        self.next_requests(shared, now);
    }

    /// Ends the connection. Each request in flight has failed; without any, the connection itself counts as one.
    pub(super) fn fail(&mut self, fault: Fault, shared: &mut Shared, now: Instant) {
        shared.record.opened += u64::from(self.is_unused());
        let pod = self.session.pod();
        let mut any = self.session.counted_in_flight() > 0;
        self.session.abandon(fault);
        self.count_finished(shared, now);
        for request in std::mem::take(&mut self.pending) {
            shared.source.complete(request);
            shared.pool.ended(self.address);
            if request.counts {
                any = true;
                shared.count_failed(request, fault, pod, now);
            }
        }
        if !any && (shared.start..shared.end).contains(&now) && shared.source.take_for_failure() {
            shared.count_failure(fault, pod, now);
        }
        self.wait(now);
    }

    /// Tries again after a pause.
    fn wait(&mut self, now: Instant) {
        self.socket = None;
        (self.phase, self.since) = (Phase::Waiting, self.backoff.next(now));
        self.session = Session::new();
    }
}
