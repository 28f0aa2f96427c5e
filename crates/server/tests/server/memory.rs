//! The memory of the server's process after a load.

use axum::body::Bytes;
use http::{Method, Request};

use crate::http2::{block_on, connect};
use crate::process::wait_until;
use crate::running::Running;

/// `EchoStreamRequest` with its prefix: `interval_ms` is 3,600,000, and the stream has no end.
const HOURLY: &[u8] = &[0, 0, 0, 0, 5, 0x20, 0x80, 0xdd, 0xdb, 0x01];

#[test]
fn the_memory_of_streams_is_returned_when_they_have_ended() {
    let server = Running::start(&[]);
    let held = block_on(async {
        let mut clients = Vec::new();
        let mut streams = Vec::new();
        for _ in 0..80 {
            let (mut send, end) = connect(server.address).await.unwrap();
            for _ in 0..50 {
                let request = Request::builder().method(Method::POST).header("content-type", "application/grpc");
                let request = request.uri("http://test/evenkeel.v1.Echo/EchoStream").body(()).unwrap();
                send = send.ready().await.unwrap();
                let (response, mut body) = send.send_request(request, false).unwrap();
                body.send_data(Bytes::from_static(HOURLY), true).unwrap();
                streams.push(response);
            }
            clients.push((send, end));
        }
        let mut open = Vec::new();
        for response in streams {
            let mut body = response.await.unwrap().into_body();
            body.data().await.unwrap().unwrap();
            open.push(body);
        }
        let held = server.private_kilobytes();
        for (_, end) in &clients {
            end.abort();
        }
        held
    });
    assert!(held > 4_000, "4,000 streams took {held} kB, so this test would see no difference");
    wait_until("the memory is returned", || server.private_kilobytes() < held / 4);
}
