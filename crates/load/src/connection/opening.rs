//! Opening a connection.

use std::io::{self, ErrorKind};
use std::time::Instant;

use mio::Interest;

use super::super::fault::Fault;
use super::super::shared::Shared;
use super::super::socket::Socket;
use super::{Connection, ConnectionPhase, ConnectionState};

impl Connection {
    pub(super) fn open(&mut self, shared: &mut Shared, now: Instant) {
        if std::mem::replace(&mut self.opened, true) {
            shared.list.count_reopened();
        }
        self.reader.restart();
        (self.phase, self.since, self.sent) = (ConnectionPhase::Connecting, now, 0);
        self.state = ConnectionState::default();
        // The old socket is closed first, because its descriptor may be the last one that the process may have.
        self.socket = None;
        match self.connect(shared) {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => return self.fail(Fault::from(&error), shared, now),
        }
        // Within one machine the handshake is usually complete by now, and then the request need not wait for an event.
        if self.request.is_some() {
            self.send(shared, Instant::now());
        }
        self.watch(shared);
    }

    fn connect(&mut self, shared: &Shared) -> io::Result<Socket> {
        let address = shared.addresses[self.address];
        let mut socket = self.spare.take().map_or_else(|| Socket::new(address), Ok)?;
        socket.connect(address, shared.tls.as_ref(), self.request.is_some())?;
        Ok(socket)
    }

    /// Registers the new connection with epoll.
    fn watch(&mut self, shared: &mut Shared) {
        let Some(socket) = &mut self.socket else { return };
        // A connection that has sent its only request needs no event when it is writable.
        let all_sent = self.phase == ConnectionPhase::Receiving && shared.responses_per_connection == 1;
        let interest = if all_sent { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        if let Err(error) = socket.watch(&shared.registry, self.token, interest) {
            self.fail(Fault::from(&error), shared, Instant::now());
        }
    }

    /// Checks whether the connection is open, when there is no request whose write would show it.
    pub(super) fn probe(&mut self, shared: &mut Shared, now: Instant) {
        let Some(socket) = &mut self.socket else { return };
        match socket.is_open() {
            Ok(()) if self.is_self_connected(shared) => self.fail(Fault::Refused, shared, now),
            Ok(()) => {
                self.opened(shared, now);
                self.continue_idle(shared, now);
            }
            Err(error) if error.kind() != ErrorKind::NotConnected => self.fail(Fault::from(&error), shared, now),
            _ => {}
        }
    }

    /// The connection is open.
    pub(super) fn opened(&self, shared: &mut Shared, now: Instant) {
        if let Some(socket) = &self.socket {
            shared.count_opened(socket, self.since, now);
        }
    }

    /// Whether it is connected to itself. On loopback the kernel may choose the very port that is connected to as local port,
    /// when nothing listens there.
    pub(super) fn is_self_connected(&self, shared: &Shared) -> bool {
        let local = self.socket.as_ref().and_then(|socket| socket.local_addr().ok());
        local == Some(shared.addresses[self.address])
    }
}
