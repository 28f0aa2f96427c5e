//! A TCP socket that is used for one connection after the other. Creating a socket and registering it with epoll costs more
//! than opening a connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{AddressFamily, connect, connect_unspec};

use super::tls::{Tls, TlsStream};
use crate::platform;

pub(super) struct Socket {
    stream: TcpStream,
    /// The state of TLS, if the connection has it.
    tls: Option<Box<TlsStream>>,
    /// The events that it is registered for.
    watched: Option<Interest>,
}

impl Socket {
    /// Creates a socket for connections to addresses of the same family.
    pub(super) fn new(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let descriptor = platform::stream_socket(family)?;
        platform::cheap_congestion_control(&descriptor);
        Ok(Self { stream: TcpStream::from_std(descriptor.into()), tls: None, watched: None })
    }

    /// Begins to open a connection. When a request follows at once, it is sent in one packet with the last acknowledgement
    /// of the handshake. With `tls`, the connection is open when its handshake is complete.
    pub(super) fn connect(&mut self, address: SocketAddr, tls: Option<&Tls>, request_follows: bool) -> io::Result<()> {
        self.tls = tls.map(|tls| TlsStream::new(tls).map(Box::new)).transpose()?;
        if request_follows {
            platform::delay_acknowledgement(&self.stream);
        }
        match connect(&self.stream, &address) {
            Err(Errno::INPROGRESS) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Registers the socket with epoll for these events and no others.
    pub(super) fn watch(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self.watched {
            Some(watched) if watched == interest => return Ok(()),
            Some(_) => registry.reregister(&mut self.stream, token, interest)?,
            None => registry.register(&mut self.stream, token, interest)?,
        }
        self.watched = Some(interest);
        Ok(())
    }

    /// Writes as many bytes as the send buffer takes.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.write(bytes),
            Some(tls) => tls.write(&mut self.stream, bytes),
        }
    }

    /// Writes what TLS has kept.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => tls.flush(&mut self.stream),
        }
    }

    /// Reads the available bytes, at most as many as fit.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.read(buffer),
            Some(tls) => {
                match tls.flush(&mut self.stream) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
                tls.read(&mut self.stream, buffer)
            }
        }
    }

    /// The state of TLS, if the connection has it.
    pub(super) fn tls(&self) -> Option<&TlsStream> {
        self.tls.as_deref()
    }

    /// Succeeds when the connection is open. Else the error says why it could not be opened, or is
    /// [`io::ErrorKind::NotConnected`] while it is being opened.
    pub(super) fn is_open(&mut self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)?;
        self.stream.peer_addr()?;
        match self.tls.as_mut().map_or(Ok(()), |tls| tls.handshake(&mut self.stream)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::NotConnected.into()),
            other => other,
        }
    }

    /// The local address.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Resets the connection, so that the socket can be used for the next one. A connection that is closed instead keeps its
    /// local port for a minute (`TIME_WAIT`), and at full speed the ports would be used up before.
    pub(super) fn reset(&self) -> io::Result<()> {
        connect_unspec(&self.stream)?;
        // Linux keeps what a router said about the old connection (an ICMP error such as "host unreachable"), and would
        // report it as an error of the next one while that is being opened.
        while self.stream.take_error()?.is_some() {}
        Ok(())
    }

    /// The same where the server does not close the connection by itself: this side is closed before. A node's connection
    /// tracking gives a new connection from the same port to the pod of the old one, unless one of its sides was closed
    /// before the reset (`IP_CT_TCP_FLAG_CLOSE_INIT` in Linux), and that pod may be gone.
    pub(super) fn close_and_reset(&self) -> io::Result<()> {
        if !matches!(self.stream.peek(&mut [0]), Ok(0)) {
            self.stream.shutdown(Shutdown::Write)?;
        }
        self.reset()
    }
}
