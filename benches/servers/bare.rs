//! A bare server on one thread, as the upper limit for the benches: it reads, looks for the end of each request, writes the
//! same bytes for each, and waits in epoll. It does not implement HTTP beyond that; do not use it for anything else.

#![allow(clippy::unwrap_used, reason = "a bench may fail by panic")]

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
const END: &[u8; 4] = b"\r\n\r\n";

/// A connection, and how many bytes of the end of a request were read last.
struct Connection {
    stream: TcpStream,
    seen: usize,
}

fn main() {
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let address = if env::var_os("LOOPBACK").is_some() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let mut listener = TcpListener::bind(SocketAddr::from((address, port))).unwrap();
    let answer = answer(&env::var("POD_NAME").unwrap_or_else(|_| "bare".into()));
    let mut poll = Poll::new().unwrap();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        while poll.poll(&mut events, None).is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections);
            } else if let Some(slot) = connections.get_mut(event.token().0)
                && slot.as_mut().is_some_and(|connection| !serve(connection, &answer, &mut buffer))
            {
                *slot = None;
            }
        }
    }
}

/// A response as long as that of Evenkeel's server, with the same header for the pod.
fn answer(pod: &str) -> Vec<u8> {
    let body = format!("{{\"pod\":\"{pod}\",\"node\":\"lab-0\",\"request\":1234567}}\n");
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let date = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    format!("{head}x-evenkeel-pod: {pod}\r\ncontent-length: {length}\r\n{date}\r\n{body}").into_bytes()
}

fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Vec<Option<Connection>>) {
    while let Ok((mut stream, _)) = listener.accept() {
        let free = connections.iter().position(Option::is_none).unwrap_or(connections.len());
        if free == connections.len() {
            connections.push(None);
        }
        let _ = stream.set_nodelay(true);
        if poll.registry().register(&mut stream, Token(free), Interest::READABLE).is_ok() {
            connections[free] = Some(Connection { stream, seen: 0 });
        }
    }
}

/// Answers the requests that have arrived. Returns false if the connection is closed or broken.
fn serve(connection: &mut Connection, answer: &[u8], buffer: &mut [u8]) -> bool {
    loop {
        let read = match connection.stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return false,
        };
        for &byte in &buffer[..read] {
            connection.seen =
                if byte == END[connection.seen] { connection.seen + 1 } else { usize::from(byte == b'\r') };
            if connection.seen == END.len() {
                connection.seen = 0;
                // The response is short enough for the socket's buffer, unless the client does not read.
                if !matches!(connection.stream.write(answer), Ok(written) if written == answer.len()) {
                    return false;
                }
            }
        }
        // A read that does not fill the buffer has emptied the socket.
        if read < buffer.len() {
            return true;
        }
    }
}
