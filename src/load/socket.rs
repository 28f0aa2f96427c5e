//! A TCP socket that carries one connection after the other: making a socket anew, and having epoll watch it, costs more
//! than the connection.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::sockopt::{set_tcp_congestion, set_tcp_quickack};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, connect_unspec, socket_with};

/// The one that every kernel has, and that does the least for each packet.
const CONGESTION_CONTROL: &str = "reno";

pub(super) struct Socket {
    stream: TcpStream,
    /// What epoll watches it for.
    watched: Option<Interest>,
}

impl Socket {
    /// A socket for connections to addresses like this one.
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let descriptor = socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
        // A request never fills a window, so what a costlier algorithm finds out about the path (BBR paces every packet) is of
        // no use. Without it requests cost a little more.
        let _ = set_tcp_congestion(&descriptor, CONGESTION_CONTROL);
        Ok(Self { stream: TcpStream::from_std(descriptor.into()), watched: None })
    }

    /// Begins to open a connection. Where a request follows at once, the handshake's last packet waits for it and goes out
    /// as one with it.
    pub(super) fn connect(&self, address: SocketAddr, request_follows: bool) -> io::Result<()> {
        if request_follows {
            // Without it there is one more packet.
            let _ = set_tcp_quickack(&self.stream, false);
        }
        match connect(&self.stream, &address) {
            Err(Errno::INPROGRESS) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Has epoll watch it for this and nothing else.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self.watched {
            Some(watched) if watched == interest => return Ok(()),
            Some(_) => registry.reregister(&mut self.stream, token, interest)?,
            None => registry.register(&mut self.stream, token, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }

    /// Writes as much as there is room for.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    /// Reads what is there, as far as it fits.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Whether its connection is open; what went wrong with opening it, or [`io::ErrorKind::NotConnected`], if not.
    pub(super) fn is_open(&self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)?;
        self.stream.peer_addr().map(|_| ())
    }

    /// Where its own end is.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Ends the connection by a reset, and is ready for the next one: whoever closes first would else keep the address for
    /// a minute (`TIME_WAIT`), and a minute at full speed needs more addresses than there are.
    pub(super) fn reset(&self) -> io::Result<()> {
        Ok(connect_unspec(&self.stream)?)
    }
}
