//! From no connection to an open one.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Instant;

use mio::Interest;

use super::super::fault::Fault;
use super::super::shared::Shared;
use super::super::socket::Socket;
use super::{Connection, Life, Phase};

impl Connection {
    pub(super) fn open(&mut self, shared: &mut Shared, now: Instant) {
        self.reader.restart();
        (self.phase, self.since, self.sent) = (Phase::Connecting, now, 0);
        self.life = Life::default();
        // The old socket goes first: its descriptor may be the last there is.
        self.socket = None;
        match self.connect(shared.addresses[self.address]) {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => return self.fail(Fault::from(&error), shared, now),
        }
        // Within one machine the handshake is mostly over by now; then the request need not wait for an event.
        if self.ticket.is_some() {
            self.send(shared, Instant::now());
        }
        self.watch(shared);
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<Socket> {
        let socket = self.spare.take().map_or_else(|| Socket::new(address), Ok)?;
        socket.connect(address, self.ticket.is_some())?;
        Ok(socket)
    }

    /// Has epoll watch the new connection.
    fn watch(&mut self, shared: &mut Shared) {
        let Some(socket) = &mut self.socket else { return };
        // One that has sent all it ever will is not to wake for room to write.
        let all_sent = self.phase == Phase::Receiving && shared.answers_per_connection == 1;
        let interest = if all_sent { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        if let Err(error) = socket.watch(&shared.registry, self.token, interest) {
            self.fail(Fault::from(&error), shared, Instant::now());
        }
    }

    /// Asks whether the connection is open, where no request is there to find out.
    pub(super) fn probe(&mut self, shared: &mut Shared, now: Instant) {
        let Some(socket) = &self.socket else { return };
        match socket.is_open() {
            Ok(()) if self.is_to_itself(shared) => self.fail(Fault::Refused, shared, now),
            Ok(()) => {
                self.opened(shared, now);
                self.go_on(shared, now);
            }
            Err(error) if error.kind() != ErrorKind::NotConnected => self.fail(Fault::from(&error), shared, now),
            _ => {}
        }
    }

    /// The connection is open.
    pub(super) fn opened(&self, shared: &mut Shared, now: Instant) {
        shared.record.connect.record(now.saturating_duration_since(self.since));
    }

    /// Whether it talks to itself: on loopback a socket can be given the very port it connects to, if nobody listens
    /// there.
    pub(super) fn is_to_itself(&self, shared: &Shared) -> bool {
        let local = self.socket.as_ref().and_then(|socket| socket.local_addr().ok());
        local == Some(shared.addresses[self.address])
    }
}
