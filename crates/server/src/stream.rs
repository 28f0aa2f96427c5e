//! A connection's bytes: knows whether its client is owed an answer, and ends it without a reset.
//!
//! Closing a socket while its client sends answers the client with a reset, which can even destroy an answer on its way.
//! So the end is said first (a FIN: "nothing more will come"), and what still comes is read and thrown away until the
//! client closes, too. Nothing of it is served, so that a client may safely ask again elsewhere.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::metrics::OpenConnection;

/// How long a client may take to close after the server did: longer than what it sent by then needs to arrive.
const LINGER: Duration = Duration::from_secs(1);

/// A TCP stream of the server.
pub(super) struct Stream {
    tcp: TokioIo<TcpStream>,
    /// Counted as open until the server has ended it.
    open: OpenConnection,
    /// Something was read, or must be on its way, and is not answered.
    owed: bool,
    /// Something was written, and the end of it not yet.
    writing: bool,
    /// After the end was said: when to stop reading.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, open: OpenConnection) -> Self {
        // Who connects to a server that is about to stop does so to ask.
        let owed = open.server().is_draining();
        Self { tcp: TokioIo::new(tcp), open, owed, writing: false, linger: None }
    }

    /// Reads what comes after the end, until the client closes or time is up.
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
    /// After the last call, a client that is owed nothing and has sent nothing has closed, as far as hyper hears.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.tcp).poll_read(cx, buffer) {
            // Nothing was put into the buffer, which is how the end is told.
            Poll::Pending if !self.owed && self.open.server().is_last_call() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                self.owed = true;
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
        // hyper flushes when all of an answer is written; and at other times, when nothing is.
        if std::mem::take(&mut self.writing) {
            self.owed = false;
        }
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
            self.open.end();
            // Otherwise it was the client who asked for the end, and it sends nothing more.
            if !self.open.server().is_draining() {
                return Poll::Ready(Ok(()));
            }
            self.linger = Some(Box::pin(sleep(LINGER)));
        }
        self.poll_linger(cx).map(Ok)
    }
}
