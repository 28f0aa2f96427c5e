//! A client that keeps its connection and hides nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::DEADLINE;

/// An answer.
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
    /// Length of it all, as sent.
    pub(crate) bytes: usize,
}

impl Response {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// A connection.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Asks and reads the answer.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.ask("GET", path)
    }

    /// Asks with any method.
    pub(crate) fn ask(&mut self, method: &str, path: &str) -> Response {
        self.send(&format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
        self.receive(method)
    }

    /// Sends as it is.
    pub(crate) fn send(&mut self, text: &str) {
        self.stream().write_all(text.as_bytes()).unwrap();
    }

    /// Reads one answer to a request with this method.
    pub(crate) fn receive(&mut self, method: &str) -> Response {
        let mut bytes = 0;
        let mut line = || {
            let mut line = String::new();
            bytes += self.0.read_line(&mut line).unwrap();
            assert!(line.ends_with('\n'), "the connection was closed before its answer was whole: {line:?}");
            line.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: String| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        };
        let headers: Vec<_> = std::iter::from_fn(|| header(line())).collect();
        let mut response = Response { status, headers, body: String::new(), bytes };
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        self.0.read_exact(&mut body).unwrap();
        response.bytes += body.len();
        response.body = String::from_utf8(body).unwrap();
        response
    }

    /// Waits until the other side closes; false when it sends something instead.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }

    /// The stream.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }
}
