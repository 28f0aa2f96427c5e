//! A minimal HTTP client that keeps its connection open and returns every part of the response.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::DEADLINE;

/// A response.
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// Names (in lower case) and values.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: String,
    /// The length of the whole response, head and body.
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

    /// Sends a GET request and reads the response.
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path)
    }

    /// Sends a request with any method and reads the response.
    pub(crate) fn request(&mut self, method: &str, path: &str) -> Response {
        self.send(&format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
        self.receive(method)
    }

    /// Sends the text unchanged.
    pub(crate) fn send(&mut self, text: &str) {
        self.stream().write_all(text.as_bytes()).unwrap();
    }

    /// Reads the response to a request with this method.
    pub(crate) fn receive(&mut self, method: &str) -> Response {
        let mut bytes = 0;
        let mut line = || {
            let mut line = String::new();
            bytes += self.0.read_line(&mut line).unwrap();
            assert!(line.ends_with('\n'), "the connection was closed in the middle of a response: {line:?}");
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

    /// Waits until the server closes the connection. Returns false if the server sends something instead.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }

    /// The stream.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }
}
