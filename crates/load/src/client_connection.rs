//! What a worker asks of its connections, for every protocol.

use std::time::Instant;

use mio::Token;
use mio::event::Event;

use super::request_source::ScheduledRequest;
use super::shared::Shared;

/// One connection of the plan: it is opened, sends and receives, and is opened again when it ends.
pub(super) trait ClientConnection {
    /// A connection to the address with this index, which is opened when there is a request for it.
    fn new(token: Token, address: usize, shared: &Shared, now: Instant) -> Self;

    /// The index of the address that it leads to.
    fn address(&self) -> usize;

    /// The addresses have changed. An idle connection to one that is no longer used is closed, and one to an address that is
    /// used again is opened.
    fn addresses_changed(&mut self, shared: &mut Shared);

    /// Whether it waits for its next attempt.
    fn is_waiting(&self) -> bool;

    /// How many requests that are counted are in flight.
    fn in_flight(&self) -> u64;

    /// How many requests that are counted wait for it to be open.
    fn unsent(&self) -> u64;

    /// Whether it is open and has not sent a request that is counted.
    fn is_unused(&self) -> bool;

    /// The pool has removed it. Returns whether it can send a request.
    fn leave_pool(&mut self) -> bool;

    /// Opens a connection that has waited long enough, and ends what took too long.
    fn tick(&mut self, shared: &mut Shared, now: Instant);

    /// Handles an event of the socket.
    fn ready(&mut self, event: &Event, shared: &mut Shared);

    /// Continues to read after its turn had ended. There is no new event, so it reads until the socket is empty.
    fn resume(&mut self, shared: &mut Shared);

    /// A pause after one of its responses has ended.
    fn thought(&mut self, shared: &mut Shared, now: Instant);

    /// Sends a request, over a new connection if none is open. It may be written later, by [`ClientConnection::flush`].
    fn start(&mut self, request: ScheduledRequest, shared: &mut Shared, now: Instant);

    /// Writes what [`ClientConnection::start`] has not written. It is called for the tokens in [`Shared::unflushed`].
    fn flush(&mut self, shared: &mut Shared);
}
