//! gRPC, by a client of others (the crate h2): the echo, the health, and what is not there.

use axum::body::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use nix::sys::signal::Signal;

use crate::http2::{block_on, connect};
use crate::running::Running;

/// A response: its head, its body, and its trailers.
type Response = (HeaderMap, Vec<u8>, Option<HeaderMap>);

/// Calls a method with a message that has its prefix.
async fn call(send: &mut SendRequest<Bytes>, path: &str, message: Vec<u8>) -> Response {
    let request = Request::post(format!("http://test{path}")).header("content-type", "application/grpc");
    let mut ready = send.clone().ready().await.unwrap();
    let (response, mut stream) = ready.send_request(request.body(()).unwrap(), false).unwrap();
    stream.send_data(message.into(), true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    assert_eq!((head.status.as_u16(), head.headers["content-type"].to_str().unwrap()), (200, "application/grpc"));
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        all.extend_from_slice(&data);
    }
    (head.headers, all, body.trailers().await.unwrap())
}

/// A message with its prefix.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

#[test]
fn messages_are_sent_back_and_name_the_pod() {
    let server = Running::start(&[("POD_NAME", "server-1")]);
    block_on(async {
        let (mut send, _end) = connect(server.address).await.unwrap();
        for length in [0, 5, 200_000] {
            let message = framed(&vec![7; length]);
            let (head, body, trailers) = call(&mut send, "/evenkeel.v1.Echo/Echo", message.clone()).await;
            assert!(body == message, "{length}");
            assert_eq!((&head["x-evenkeel-pod"], head.get("grpc-status")), (&"server-1".parse().unwrap(), None));
            assert_eq!(trailers.unwrap()["grpc-status"], "0");
        }
        let (head, body, _) = call(&mut send, "/evenkeel.v1.Echo/Echo", framed(&vec![7; 2 << 20])).await;
        assert_eq!((&head["grpc-status"], body.len()), (&"8".parse().unwrap(), 0), "RESOURCE_EXHAUSTED");
        let (head, body, trailers) = call(&mut send, "/no.Service/Method", framed(b"")).await;
        assert_eq!((&head["grpc-status"], body.len(), trailers), (&"12".parse().unwrap(), 0, None), "UNIMPLEMENTED");
    });
    assert!(server.connect().get("/metrics").body.contains("\nevenkeel_http2_requests_total 4\n"));
}

/// As grpc-js does, the end of the stream is a frame of its own. All frames arrive before the server reads the first message.
#[test]
fn many_small_messages_at_once_do_not_end_the_connection() {
    let server = Running::start(&[]);
    block_on(async {
        let (mut send, _end) = connect(server.address).await.unwrap();
        // The server's settings have arrived, so all calls are sent at once.
        call(&mut send, "/evenkeel.v1.Echo/Echo", framed(b"first")).await;
        let mut responses = Vec::new();
        for _ in 0..200 {
            let request = Request::post("http://test/evenkeel.v1.Echo/Echo").header("content-type", "application/grpc");
            send = send.ready().await.unwrap();
            let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
            stream.send_data(framed(b"small").into(), false).unwrap();
            stream.send_data(Bytes::new(), true).unwrap();
            responses.push(response);
        }
        for response in responses {
            let mut body = response.await.unwrap().into_body();
            while body.data().await.is_some_and(|data| data.is_ok()) {}
            assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
        }
    });
}

#[test]
fn the_health_follows_the_drain() {
    let server = Running::start(&[("DRAIN_SECONDS", "3600")]);
    let health = async || {
        let (mut send, _end) = connect(server.address).await.unwrap();
        let (_, body, trailers) = call(&mut send, "/grpc.health.v1.Health/Check", framed(b"")).await;
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
        body
    };
    block_on(async {
        assert_eq!(health().await, framed(&[8, 1]), "SERVING");
        server.signal(Signal::SIGTERM);
        crate::process::wait_until("the server drains", || server.connect().get("/readyz").status == 503);
        assert_eq!(health().await, framed(&[8, 2]), "NOT_SERVING");
    });
}
