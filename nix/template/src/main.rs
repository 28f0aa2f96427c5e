//! A small HTTP/1.1 server whose responses name its pod. It stops without losing a request.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, thread};

/// How long new connections are still served after SIGTERM, until every node has removed the pod from its rules.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the last connections may then take.
const FINISH: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let stopping = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stopping))?;
    let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    let asked_to_stop = Arc::clone(&stopping);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let stopping = Arc::clone(&asked_to_stop);
            thread::spawn(move || serve(&stream, &stopping));
        }
    });
    while !stopping.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(DRAIN + FINISH);
    Ok(())
}

/// Answers the requests of a connection until the client closes it. While the server stops, each response closes its connection.
fn serve(stream: &TcpStream, stopping: &AtomicBool) -> io::Result<()> {
    let pod = env::var("POD_NAME").unwrap_or_else(|_| "unknown".to_owned());
    let body = format!("Hello from {pod}\n");
    let mut requests = BufReader::new(stream);
    while let Some(path) = read_request(&mut requests)? {
        let stops = stopping.load(Ordering::Relaxed);
        let status = if stops && path == "/readyz" { "503 Service Unavailable" } else { "200 OK" };
        let connection = if stops { "close" } else { "keep-alive" };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nx-evenkeel-pod: {pod}\r\nconnection: {connection}\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = stream;
        stream.write_all((head + &body).as_bytes())?;
        if stops {
            break;
        }
    }
    Ok(())
}

/// Reads the head of a request without a body, and returns its path. `None` at the end of the connection.
fn read_request(requests: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut first = String::new();
    requests.read_line(&mut first)?;
    let mut line = first.clone();
    while !line.trim_end().is_empty() {
        line.clear();
        requests.read_line(&mut line)?;
    }
    Ok(first.split(' ').nth(1).map(str::to_owned))
}
