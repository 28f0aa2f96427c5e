//! A server on the loopback address whose responses come from many pods.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::Result;

/// Starts it. Each connection is answered by the pods in turn; the threads end with the process.
pub(crate) fn start(pods: u32) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, pods));
        }
    });
    Ok(address)
}

/// Answers until the client is gone. The load is closed and never pipelined, so each read is one request.
fn answer(mut stream: TcpStream, pods: u32) {
    let mut buffer = [0; 4096];
    for pod in (0..pods).cycle() {
        let response =
            format!("HTTP/1.1 200 OK\r\nx-evenkeel-pod: server-7c9f8d6b5-{pod:05}\r\ncontent-length: 2\r\n\r\nok");
        if !stream.read(&mut buffer).is_ok_and(|read| read > 0) || stream.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}
