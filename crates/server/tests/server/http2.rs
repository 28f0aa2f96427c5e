//! HTTP/2 on the same port, by a client of others (the crate h2): the responses, and how a drain ends connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;

use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::http::Connection;
use crate::process::wait_until;
use crate::running::Running;

/// A drain that only a second signal ends, so that the test does not depend on timing.
const FOR_EVER: (&str, &str) = ("DRAIN_SECONDS", "3600");

/// The client's side of a connection, and its end.
pub(crate) type Client = (SendRequest<axum::body::Bytes>, JoinHandle<Result<(), h2::Error>>);

pub(crate) async fn connect(address: SocketAddr) -> Result<Client, h2::Error> {
    over(tokio::net::TcpStream::connect(address).await.unwrap()).await
}

/// Speaks HTTP/2 over any stream.
pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Client, h2::Error> {
    // By default, the client ends a connection with more than a hundred small frames that the test has not read.
    let (send, connection) = h2::client::Builder::new().data_frame_budget(1 << 20).handshake(stream).await?;
    Ok((send, tokio::spawn(connection)))
}

/// A response: its status, headers and body.
pub(crate) type Response = (u16, HeaderMap, String);

/// Sends one request. Fails if the server asked for no more of them on this connection.
pub(crate) async fn ask(
    send: &mut SendRequest<axum::body::Bytes>,
    method: Method,
    path: &str,
) -> Result<Response, h2::Error> {
    let request = Request::builder().method(method).uri(format!("http://test{path}")).body(()).unwrap();
    let mut ready = send.clone().ready().await?;
    let (head, mut body) = ready.send_request(request, true)?.0.await?.into_parts();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    Ok((head.status.as_u16(), head.headers, String::from_utf8(text).unwrap()))
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn every_route_responds_over_both_protocols_on_one_port() {
    let server = Running::start(&[("POD_NAME", "server-1")]);
    let mut http1 = server.connect();
    block_on(async {
        let (mut send, _end) = connect(server.address).await.unwrap();
        for path in ["/", "/?with=query", "/startupz", "/readyz", "/healthz", "/metrics", "/version", "/nothing"] {
            let (status, headers, body) = ask(&mut send, Method::GET, path).await.unwrap();
            let same = http1.get(path);
            assert_eq!(status, same.status, "{path}");
            assert_eq!(headers.get("x-evenkeel-pod").map(|pod| pod.to_str().unwrap()), same.header("x-evenkeel-pod"));
            assert_eq!(headers.get("connection"), None);
            assert!(!body.is_empty(), "{path}");
        }
        assert_eq!(ask(&mut send, Method::POST, "/").await.unwrap().0, 405);
        let head = ask(&mut send, Method::HEAD, "/").await.unwrap();
        assert_eq!((head.0, head.2.as_str(), head.1["x-evenkeel-pod"].to_str().unwrap()), (200, "", "server-1"));
    });
}

#[test]
fn many_streams_of_one_connection_are_answered() {
    let server = Running::start(&[]);
    let mut numbers: Vec<u64> = block_on(async {
        let (send, _end) = connect(server.address).await.unwrap();
        let asked = (0..1000).map(|_| {
            let mut send = send.clone();
            tokio::spawn(async move { ask(&mut send, Method::GET, "/").await.unwrap().2 })
        });
        let mut numbers = Vec::new();
        for asked in asked.collect::<Vec<_>>() {
            let body: Value = serde_json::from_str(&asked.await.unwrap()).unwrap();
            numbers.push(body["request"].as_u64().unwrap());
        }
        numbers
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=1000).collect::<Vec<_>>());
    let mut http1 = server.connect();
    http1.get("/");
    let metrics = http1.get("/metrics").body;
    for line in ["evenkeel_requests_total 1001", "evenkeel_http2_requests_total 1000"] {
        assert!(metrics.lines().any(|given| given == line), "{line} is missing: {metrics}");
    }
}

#[test]
fn a_drain_tells_connections_to_end_and_loses_no_stream() {
    let server = Running::start(&[FOR_EVER]);
    let (answered, answers) = mpsc::channel();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, answered) = (server.address, answered.clone());
            thread::spawn(move || block_on(keep_asking(address, answered)))
        })
        .collect();
    for _ in 0..400 {
        answers.recv().unwrap();
    }
    server.signal(Signal::SIGTERM);
    let asked: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();

    block_on(async {
        let (mut send, end) = connect(server.address).await.unwrap();
        assert_eq!(ask(&mut send, Method::GET, "/readyz").await.unwrap().0, 503);
        assert!(end.await.unwrap().is_ok(), "the connection ends after its request");
    });
    server.signal(Signal::SIGTERM);
    let (status, log) = server.ended();
    let last = log.last().unwrap();
    assert_eq!(
        (status, &last["requests"], &last["cut"], &last["late"]),
        (Some(0), &asked.into(), &0.into(), &0.into())
    );
}

/// How many connections of a client are ended by the server before it stops.
const ENDS: u64 = 10;

/// Keeps ten requests in flight on one connection until the server ends it, then on a new one. Returns how many requests
/// there were; each is answered, or was not sent because the server had said that it takes no more.
async fn keep_asking(address: SocketAddr, answered: mpsc::Sender<()>) -> u64 {
    let mut asked = 0;
    for _ in 0..ENDS {
        let (send, end) = connect(address).await.unwrap();
        let streams: Vec<_> =
            (0..10).map(|_| tokio::spawn(ask_until_the_end(send.clone(), answered.clone()))).collect();
        for stream in streams {
            asked += stream.await.unwrap();
        }
        end.await.unwrap().unwrap();
    }
    asked
}

async fn ask_until_the_end(mut send: SendRequest<axum::body::Bytes>, answered: mpsc::Sender<()>) -> u64 {
    for asked in 0.. {
        match ask(&mut send, Method::GET, "/").await {
            Ok((status, ..)) => assert_eq!(status, 200),
            Err(error) => {
                // A stream that the server does not name in its last GOAWAY was not served.
                assert!(error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR), "{error:?}");
                return asked;
            }
        }
        // The test stops receiving after 400 responses.
        let _ = answered.send(());
    }
    unreachable!()
}

#[test]
fn idle_connections_are_told_at_once_and_silent_ones_after_their_request() {
    let server = Running::start(&[FOR_EVER]);
    block_on(async {
        let (mut used, used_end) = connect(server.address).await.unwrap();
        ask(&mut used, Method::GET, "/").await.unwrap();
        let (mut silent, silent_end) = connect(server.address).await.unwrap();
        // The server has read the preface when it answers on a connection that was opened later.
        server.connect().get("/");
        server.signal(Signal::SIGTERM);
        assert!(used_end.await.unwrap().is_ok());
        assert_eq!(ask(&mut silent, Method::GET, "/").await.unwrap().0, 200);
        assert!(silent_end.await.unwrap().is_ok());
    });
}

#[test]
fn the_end_of_the_drain_closes_silent_connections() {
    let server = Running::start(&[("DRAIN_SECONDS", "0.1"), ("FINISH_SECONDS", "3600")]);
    let end = block_on(async {
        let (_send, end) = connect(server.address).await.unwrap();
        server.connect().get("/");
        server.signal(Signal::SIGTERM);
        end.await.unwrap()
    });
    assert!(end.is_ok());
    let (status, log) = server.ended();
    assert_eq!((status, &log.last().unwrap()["cut"]), (Some(0), &0.into()));
}

#[test]
fn a_preface_may_arrive_in_pieces_also_during_the_drain() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let server = Running::start(&[FOR_EVER]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&PREFACE[..10]).unwrap();
    server.connect().get("/");
    server.signal(Signal::SIGTERM);
    wait_until("the server drains", || server.connect().get("/readyz").status == 503);
    // Settings, and a request: GET, http, / and a:.
    let request =
        [&PREFACE[10..], b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a"].concat();
    for byte in &request {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    while !said.windows(8).any(|window| window == b"{\"pod\":\"") {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "closed after {said:?}");
        said.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn a_method_that_begins_like_the_preface_is_http_1() {
    let server = Running::start(&[]);
    for method in ["P", "PR", "PRI", "PUT", "POST"] {
        assert_eq!(Connection::open(server.address).request(method, "/").status, 405, "{method}");
    }
}

#[test]
fn a_broken_connection_does_not_affect_others() {
    let server = Running::start(&[]);
    let mut broken = TcpStream::connect(server.address).unwrap();
    broken.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame, and is as long as one").unwrap();
    let mut said = Vec::new();
    // It ends with a GOAWAY, or with a reset because not all was read.
    let _ = broken.read_to_end(&mut said);
    assert_eq!(server.connect().get("/").status, 200);
}
