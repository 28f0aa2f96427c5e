//! Test servers on loopback. A closure decides how each connection is served.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// One connection as the server sees it.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// The connection's number, from 0.
    pub(crate) number: u64,
    requests: Arc<AtomicU64>,
}

impl Peer {
    /// Reads one request and counts it. Returns false if the client has closed.
    pub(crate) fn request(&mut self) -> bool {
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return false,
                Ok(read) => seen.extend_from_slice(&buffer[..read]),
            }
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// Reads `length` bytes as one request and counts it. Returns `None` if the client has closed.
    pub(crate) fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).ok()?;
        self.requests.fetch_add(1, Ordering::SeqCst);
        Some(bytes)
    }

    /// Writes `text`. Returns false if the client has closed.
    pub(crate) fn say(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).is_ok()
    }

    /// Sends `answer` to every request.
    pub(crate) fn answer_all(mut self, answer: &str) {
        while self.request() && self.say(answer) {}
    }

    /// Sends `answer` to the first bytes, whatever they are, and waits until the client closes.
    pub(crate) fn answer_anything(mut self, answer: &str) {
        if self.stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) && self.say(answer) {
            self.wait();
        }
    }

    /// Waits until the client closes.
    pub(crate) fn wait(mut self) {
        while self.stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Server {
    /// Starts a server that calls `treat` for each connection, on its own thread.
    pub(crate) fn start(treat: impl Fn(Peer) + Clone + Send + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), treat)
    }

    /// Like [`Server::start`], with this listener.
    pub(crate) fn start_on(listener: TcpListener, treat: impl Fn(Peer) + Clone + Send + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming().flatten()) {
                let (treat, requests) = (treat.clone(), Arc::clone(&counter));
                stream.set_nodelay(true).unwrap();
                thread::spawn(move || treat(Peer { stream, number, requests }));
            }
        });
        Self { address, requests }
    }

    /// Starts a server that sends `answer` to every request.
    pub(crate) fn answering(answer: String) -> Self {
        Self::start(move |peer| peer.answer_all(&answer))
    }

    /// The number of requests that the server has read.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

/// A response with status 200 from this pod.
pub(crate) fn from_pod(pod: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nx-evenkeel-pod: {pod}\r\ncontent-length: 5\r\n\r\nhello")
}

/// An address on which no program listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
