//! TLS on a socket that does not block.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use rustls::{ClientConnection, HandshakeKind};

use super::Tls;

/// The state of TLS on one connection.
pub(crate) struct TlsStream {
    session: ClientConnection,
    /// When the handshake began, because the connection below was open.
    began: Option<Instant>,
}

/// A stream that remembers whether the last read has emptied it.
struct Emptied<'a, S> {
    stream: &'a mut S,
    emptied: bool,
}

impl<S: Read> Read for Emptied<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.emptied = read < buffer.len();
        Ok(read)
    }
}

impl TlsStream {
    /// A session that has not begun.
    pub(crate) fn new(tls: &Tls) -> io::Result<Self> {
        let session = ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(io::Error::other)?;
        Ok(Self { session, began: None })
    }

    /// When the handshake began.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// Whether an earlier session was resumed.
    pub(crate) fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the server has agreed to this protocol.
    pub(crate) fn speaks(&self, protocol: &[u8]) -> bool {
        self.session.alpn_protocol() == Some(protocol)
    }

    /// Continues the handshake. The error is [`ErrorKind::WouldBlock`] while it goes on.
    pub(crate) fn handshake(&mut self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.flush(stream)?;
            // The first bytes can be written when the connection is open.
            self.began.get_or_insert_with(Instant::now);
            if self.session.is_handshaking()
                && let Err(error) = self.receive(stream)
            {
                // The server is told why, if that is possible at once.
                let _ = self.flush(stream);
                return Err(error);
            }
        }
        self.flush(stream)
    }

    /// Writes what is encrypted.
    pub(crate) fn flush(&mut self, stream: &mut impl Write) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Encrypts and writes bytes. What cannot be written now is kept, and written before the next bytes or by
    /// [`TlsStream::flush`].
    pub(crate) fn write(&mut self, stream: &mut (impl Read + Write), bytes: &[u8]) -> io::Result<usize> {
        self.handshake(stream)?;
        // All earlier bytes are written by now, so there is room for some.
        let written = self.session.writer().write(bytes)?;
        match self.flush(stream) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(written),
        }
    }

    /// Reads and decrypts. A buffer that is not filled means that the socket is empty.
    pub(crate) fn read(&mut self, stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let (mut filled, mut emptied) = (0, false);
        loop {
            match self.session.reader().read(&mut buffer[filled..]) {
                // The end of the stream, with or without the message that announces it.
                Ok(0) => return Ok(filled),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(filled),
                Ok(read) => filled += read,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                Err(_) if emptied && filled > 0 => return Ok(filled),
                Err(error) if emptied => return Err(error),
                Err(_) => match self.receive(stream) {
                    Ok(now_empty) => emptied = now_empty,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => emptied = true,
                    Err(error) => return Err(error),
                },
            }
            if filled == buffer.len() {
                return Ok(filled);
            }
        }
    }

    /// Reads once from the socket. Returns whether that has emptied it.
    fn receive(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        let mut stream = Emptied { stream, emptied: false };
        let read = loop {
            match self.session.read_tls(&mut stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.session.process_new_packets().map_err(|why| io::Error::new(ErrorKind::InvalidData, why))?;
        if read == 0 && self.session.is_handshaking() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // Only bytes that were read can be the last ones; the end of the stream is seen by the next read.
        Ok(stream.emptied && read > 0)
    }
}
