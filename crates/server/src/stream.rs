//! The byte stream of a connection, with or without TLS. It records whether a response is due, and ends the connection without a reset.
//!
//! If a server closes a socket while the client still sends, the kernel sends a reset to the client, and the client can
//! lose a response that it has not read yet. So the server first sends a FIN, then reads and discards what still arrives
//! until the client closes its side. It serves none of these bytes, so the client can safely retry elsewhere.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;

use crate::metrics::OpenConnection;
use crate::transport::{Transport, begins_with_tls};

/// How long the server waits for the client to close after its own FIN: longer than bytes that the client has already sent
/// take to arrive.
const LINGER: Duration = Duration::from_secs(1);

/// What a client sends first over HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How many bytes are read to learn the protocol: those of a usual request, so that they are read at once.
const FIRST_READ: usize = 1024;

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 or HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A stream of the server.
pub(super) struct Stream {
    transport: Transport,
    /// Counts the connection as open until the server has ended it.
    open: OpenConnection,
    /// The protocol, once it is known.
    protocol: Option<Protocol>,
    /// Bytes that were read to learn the protocol and are still to be served.
    first: Vec<u8>,
    /// Whether bytes of a request were read, or are expected, and the response is not written yet.
    response_due: bool,
    /// Whether a response was begun and is not flushed yet.
    writing: bool,
    /// Once the FIN is sent: when to stop reading.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    /// Waits for the first byte, and for TLS if the server has a certificate and the client begins to speak it.
    pub(super) async fn accept(tcp: TcpStream, open: OpenConnection, tls: Option<&TlsAcceptor>) -> io::Result<Self> {
        // A client that opens a connection during the drain is about to send a request.
        let response_due = open.server().is_draining();
        let given_up = || !response_due && open.server().is_drain_over();
        let transport = match tls {
            Some(acceptor) if begins_with_tls(&tcp, given_up).await? => {
                Transport::Tls(Box::new(acceptor.accept(tcp).await?))
            }
            _ => Transport::Plain(tcp),
        };
        let first = Vec::new();
        Ok(Self { transport, open, protocol: None, first, response_due, writing: false, linger: None })
    }

    /// Reads until the protocol is known. The bytes are served afterwards. A stream that ends before is HTTP/1.
    pub(super) async fn protocol(&mut self) -> io::Result<Protocol> {
        // Memory is allocated when the first bytes have arrived, so that a silent connection takes none.
        let mut space = [0; FIRST_READ];
        let mut received = Vec::new();
        let protocol = loop {
            let mut buffer = ReadBuf::new(&mut space);
            poll_fn(|cx| Pin::new(&mut *self).poll_read(cx, &mut buffer)).await?;
            received.extend_from_slice(buffer.filled());
            let compared = received.len().min(PREFACE.len());
            match received[..compared] == PREFACE[..compared] {
                true if compared == PREFACE.len() => break Protocol::Http2,
                true if !buffer.filled().is_empty() => {}
                _ => break Protocol::Http1,
            }
        };
        (self.protocol, self.first) = (Some(protocol), received);
        Ok(protocol)
    }

    /// Whether the end of the drain ends the stream. HTTP/2 announces the end to the client instead.
    fn ends_with_drain(&self) -> bool {
        self.protocol != Some(Protocol::Http2) && !self.response_due && self.open.server().is_drain_over()
    }

    /// Reads and discards bytes until the client closes or the time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.transport).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.received_late(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.linger.as_mut().map_or(Poll::Ready(()), |time| time.as_mut().poll(cx))
    }

    /// Counts that the client sent something after the end. With HTTP/2 it is no request, but an acknowledgement or the
    /// client's own farewell, because the client knows which streams the server took.
    fn received_late(&mut self) {
        if self.protocol != Some(Protocol::Http2) {
            self.open.late();
        }
    }
}

impl AsyncRead for Stream {
    /// Once the drain is over, reports the end of the stream to hyper if no response is due and nothing was received.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let read = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..read]);
            self.first.drain(..read);
            if self.first.is_empty() {
                self.first = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.transport).poll_read(cx, buffer) {
            // `Ready` with an empty buffer means the end of the stream.
            Poll::Pending if self.ends_with_drain() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                self.response_due = true;
                Poll::Ready(read)
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writing = true;
        Pin::new(&mut self.transport).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when a response is completely written, and also at times when nothing was written.
        if std::mem::take(&mut self.writing) {
            self.response_due = false;
        }
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.transport).poll_shutdown(cx))?;
            self.open.end();
            // Without a drain, the client asked for the end of the connection and sends nothing more.
            if !self.open.server().is_draining() {
                return Poll::Ready(Ok(()));
            }
            self.linger = Some(Box::pin(sleep(LINGER)));
        }
        self.poll_linger(cx).map(Ok)
    }
}
