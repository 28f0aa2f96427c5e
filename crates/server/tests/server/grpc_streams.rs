//! Streams of gRPC: the echo with an interval, the watch of the health, deadlines, and how a drain ends them.

use std::sync::mpsc;

use axum::body::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use nix::sys::signal::Signal;

use crate::grpc::framed;
use crate::http2::{block_on, connect};
use crate::process::wait_until;
use crate::running::Running;

/// The client's side of a call.
struct Call {
    send: SendStream<Bytes>,
    body: RecvStream,
    /// Trailers that came with the head.
    head: HeaderMap,
}

impl Call {
    /// Begins a call with a message.
    async fn begin(client: &mut SendRequest<Bytes>, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Self {
        let request = Request::post(format!("http://test{path}")).header("content-type", "application/grpc");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let mut ready = client.clone().ready().await.unwrap();
        let (response, mut send) = ready.send_request(request.body(()).unwrap(), false).unwrap();
        send.send_data(framed(message).into(), false).unwrap();
        let (head, body) = response.await.unwrap().into_parts();
        assert_eq!(head.status, 200);
        Self { send, body, head: head.headers }
    }

    /// The next bytes.
    async fn data(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let data = self.body.data().await;
        if let Some(Ok(data)) = &data {
            self.body.flow_control().release_capacity(data.len()).unwrap();
        }
        data
    }

    /// The code of the status, after all messages, and how many bytes there were.
    async fn status(mut self) -> (String, usize) {
        let mut length = 0;
        while let Some(data) = self.data().await {
            length += data.unwrap().len();
        }
        let trailers = self.body.trailers().await.unwrap();
        let status = trailers.as_ref().unwrap_or(&self.head)["grpc-status"].to_str().unwrap().to_owned();
        (status, length)
    }
}

/// `EchoStreamRequest`.
fn wish(text: &str, count: u8, interval_ms: u8) -> Vec<u8> {
    [&[0x0a, u8::try_from(text.len()).unwrap()], text.as_bytes(), &[0x18, count, 0x20, interval_ms]].concat()
}

const STREAM: &str = "/evenkeel.v1.Echo/EchoStream";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const UNAVAILABLE: &str = "14";

#[test]
fn a_stream_has_as_many_messages_as_are_asked_for() {
    let server = Running::start(&[]);
    block_on(async {
        let (mut client, _end) = connect(server.address).await.unwrap();
        let call = Call::begin(&mut client, STREAM, &[], &wish("hello", 100, 0)).await;
        assert!(!call.head["x-evenkeel-pod"].is_empty());
        // A prefix, a key and a length before the text.
        assert_eq!(call.status().await, ("0".into(), 100 * (5 + 2 + 5)));
        let message = vec![7; 300_000];
        let long = [&[0x12, 0xe0, 0xa7, 0x12], &message[..], &[0x18, 3]].concat();
        let call = Call::begin(&mut client, STREAM, &[], &long).await;
        assert_eq!(call.status().await, ("0".into(), 3 * (5 + 4 + 300_000)), "longer than the client's window");
        for broken in [&[0x0a, 9, 1][..], &[0xff; 3]] {
            let call = Call::begin(&mut client, STREAM, &[], broken).await;
            assert_eq!(call.status().await, ("3".into(), 0), "INVALID_ARGUMENT");
        }
    });
}

#[test]
fn a_deadline_ends_a_stream_and_a_client_that_resets_it_is_noticed() {
    let server = Running::start(&[]);
    block_on(async {
        let (mut client, end) = connect(server.address).await.unwrap();
        let call = Call::begin(&mut client, STREAM, &[("grpc-timeout", "50m")], &wish("", 0, 10)).await;
        let (status, length) = call.status().await;
        assert_eq!(status, "4", "DEADLINE_EXCEEDED");
        assert!(length > 0);
        let mut call = Call::begin(&mut client, STREAM, &[], &wish("", 0, 1)).await;
        call.data().await.unwrap().unwrap();
        call.send.send_reset(Reason::CANCEL);
        drop((call, client));
        end.await.unwrap().unwrap();
    });
    // Without a call that goes on, the drain has nothing to wait for.
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGINT);
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn messages_are_sent_back_one_by_one() {
    let server = Running::start(&[]);
    block_on(async {
        let (mut client, _end) = connect(server.address).await.unwrap();
        let mut call = Call::begin(&mut client, "/evenkeel.v1.Echo/EchoEach", &[], b"one").await;
        assert_eq!(call.data().await.unwrap().unwrap(), framed(b"one"));
        call.send.send_data(framed(b"two").into(), true).unwrap();
        assert_eq!(call.data().await.unwrap().unwrap(), framed(b"two"));
        assert_eq!(call.status().await, ("0".into(), 0));
    });
}

#[test]
fn the_health_of_unknown_services_is_not_known() {
    let server = Running::start(&[]);
    block_on(async {
        let (mut client, _end) = connect(server.address).await.unwrap();
        let named = |name: &str| [&[0x0a, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
        let check = "/grpc.health.v1.Health/Check";
        for (name, expected) in [("", ("0", 7)), ("evenkeel.v1.Echo", ("0", 7)), ("no.Service", ("5", 0))] {
            let call = Call::begin(&mut client, check, &[], &named(name)).await;
            let (status, length) = call.status().await;
            assert_eq!((status.as_str(), length), expected, "{name:?}");
        }
        let mut call = Call::begin(&mut client, WATCH, &[], &named("no.Service")).await;
        assert_eq!(call.data().await.unwrap().unwrap(), framed(&[8, 3]), "SERVICE_UNKNOWN");
    });
}

#[test]
fn a_drain_finishes_streams_that_end_and_ends_the_others_by_its_deadline() {
    let server = Running::start(&[("DRAIN_SECONDS", "0.6"), ("FINISH_SECONDS", "4")]);
    let (begun, drain) = mpsc::channel();
    let client = std::thread::spawn({
        let address = server.address;
        move || {
            block_on(async {
                let (mut client, end) = connect(address).await.unwrap();
                let mut watch = Call::begin(&mut client, WATCH, &[], b"").await;
                assert_eq!(watch.data().await.unwrap().unwrap(), framed(&[8, 1]), "SERVING");
                let endless = Call::begin(&mut client, STREAM, &[], &wish("", 0, 10)).await;
                // It goes on when the drain is over, and ends by itself soon after.
                let finite = Call::begin(&mut client, STREAM, &[], &wish("", 20, 60)).await;
                // It would go on for 12 s.
                let too_long = Call::begin(&mut client, STREAM, &[], &wish("", 120, 100)).await;
                begun.send(()).unwrap();
                assert_eq!(watch.data().await.unwrap().unwrap(), framed(&[8, 2]), "NOT_SERVING");
                assert_eq!(watch.status().await.0, UNAVAILABLE);
                assert_eq!(endless.status().await.0, UNAVAILABLE);
                assert_eq!(finite.status().await, ("0".into(), 20 * (5 + 2)));
                assert_eq!(too_long.status().await.0, UNAVAILABLE);
                // The server closes the connection, and says that it took no other stream.
                end.await.unwrap().unwrap();
            });
        }
    });
    drain.recv().unwrap();
    server.signal(Signal::SIGTERM);
    client.join().unwrap();
    let (code, log) = server.ended();
    assert_eq!((code, &log.last().unwrap()["cut"]), (Some(0), &0.into()), "no stream was cut");
}

#[test]
fn a_new_call_is_refused_once_the_drain_has_announced_the_end() {
    let server = Running::start(&[("DRAIN_SECONDS", "3600")]);
    block_on(async {
        let (mut client, end) = connect(server.address).await.unwrap();
        let mut watch = Call::begin(&mut client, WATCH, &[], b"").await;
        watch.data().await.unwrap().unwrap();
        server.signal(Signal::SIGTERM);
        wait_until("the server drains", || server.connect().get("/readyz").status == 503);
        assert_eq!(watch.data().await.unwrap().unwrap(), framed(&[8, 2]), "the watch goes on");
        // The client's library refuses it, because of the GOAWAY, so that it can be called elsewhere.
        let refused = async {
            loop {
                let Ok(mut ready) = client.clone().ready().await else { return };
                let request = Request::post("http://test/evenkeel.v1.Echo/Echo").body(()).unwrap();
                let Ok((response, _)) = ready.send_request(request, true) else { return };
                if response.await.is_err() {
                    return;
                }
            }
        };
        refused.await;
        watch.send.send_reset(Reason::CANCEL);
        drop((watch, client));
        end.await.unwrap().unwrap();
    });
}
