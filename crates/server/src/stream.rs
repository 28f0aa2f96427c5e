//! The byte stream of a connection. It records whether a response is due, and ends the connection without a reset.
//!
//! If a server closes a socket while the client still sends, the kernel sends a reset to the client, and the client can
//! lose a response that it has not read yet. So the server first sends a FIN, then reads and discards what still arrives
//! until the client closes its side. It serves none of these bytes, so the client can safely retry elsewhere.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::metrics::OpenConnection;

/// How long the server waits for the client to close after its own FIN: longer than bytes that the client has already sent
/// take to arrive.
const LINGER: Duration = Duration::from_secs(1);

/// A TCP stream of the server.
pub(super) struct Stream {
    tcp: TokioIo<TcpStream>,
    /// Counts the connection as open until the server has ended it.
    open: OpenConnection,
    /// Whether bytes of a request were read, or are expected, and the response is not written yet.
    response_due: bool,
    /// Whether a response was begun and is not flushed yet.
    writing: bool,
    /// Once the FIN is sent: when to stop reading.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, open: OpenConnection) -> Self {
        // A client that opens a connection during the drain is about to send a request.
        let response_due = open.server().is_draining();
        Self { tcp: TokioIo::new(tcp), open, response_due, writing: false, linger: None }
    }

    /// Reads and discards bytes until the client closes or the time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.tcp).poll_read(cx, buffer.unfilled()) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.open.late(),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.linger.as_mut().map_or(Poll::Ready(()), |time| time.as_mut().poll(cx))
    }
}

impl Read for Stream {
    /// Once the drain is over, reports the end of the stream to hyper if no response is due and nothing was received.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.tcp).poll_read(cx, buffer) {
            // `Ready` with an empty buffer means the end of the stream.
            Poll::Pending if !self.response_due && self.open.server().is_drain_over() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                self.response_due = true;
                Poll::Ready(read)
            }
        }
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writing = true;
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when a response is completely written, and also at times when nothing was written.
        if std::mem::take(&mut self.writing) {
            self.response_due = false;
        }
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
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
