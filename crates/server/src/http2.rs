//! Serves a connection over HTTP/2.
//!
//! When the server drains, it announces the end of each connection and loses no stream (RFC 9113, section 6.8): a first
//! GOAWAY asks for no new streams and refuses none, a PING finds out when the client has read it, and only then a second
//! GOAWAY names the last stream that is served. Streams under way are finished, then the connection is closed. A client
//! that opens a connection during the drain is about to send a request, so the GOAWAY waits for it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http_body_util::{BodyExt, Collected};
use tokio::sync::watch;
use tower_service::Service;
use tracing::debug;

use crate::connections::Phase;
use crate::stream::Stream;
use crate::{Server, grpc, routes};

/// How many streams of a connection may be open at the same time.
const STREAMS: u32 = 256;

/// The longest list of headers that is accepted, in bytes.
const LONGEST_HEADERS: u32 = 16 * 1024;

/// How many bytes of a connection's responses wait to be written. Streams of messages wait for less.
const SEND_BUFFER: usize = 64 * 1024;

/// How much memory small frames of messages may take that have arrived and are not read yet, as h2 counts it: up to 256
/// bytes for each. With h2's own limit, a client that sends 128 small messages at once would lose its connection.
const SMALL_FRAMES: usize = 4 * 256 * STREAMS as usize;

/// How many requests are taken before they are answered. Their responses are written at once.
const BATCH: usize = 64;

/// A request, and where its response goes.
type Exchange = (Request<RecvStream>, SendResponse<Bytes>);

/// What a connection waits for.
enum Event {
    /// Requests have arrived.
    Requests,
    /// The connection has ended.
    End,
    /// The server is in another phase.
    Phase,
}

/// Serves until the connection ends.
pub(super) async fn serve(
    stream: Stream,
    server: &Arc<Server>,
    router: &Router,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), h2::Error> {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(STREAMS).max_header_list_size(LONGEST_HEADERS).max_send_buffer_size(SEND_BUFFER);
    builder.data_frame_budget(SMALL_FRAMES);
    let mut connection = builder.handshake::<_, Bytes>(stream).await?;
    let mut used = false;
    let mut requests = Vec::new();
    loop {
        match next(&mut connection, &mut requests, &mut phase).await? {
            Event::End => return Ok(()),
            Event::Requests => used = true,
            Event::Phase => {}
        }
        for (request, respond) in requests.drain(..) {
            answer(server, router, (request, respond), &phase);
        }
        // h2 sends the announcement once, however often it is asked to.
        match *phase.borrow() {
            Phase::Draining if used => connection.graceful_shutdown(),
            Phase::DrainOver | Phase::Ending => connection.graceful_shutdown(),
            _ => {}
        }
    }
}

/// Waits for requests, or for another phase.
async fn next(
    connection: &mut Connection<Stream, Bytes>,
    requests: &mut Vec<Exchange>,
    phase: &mut watch::Receiver<Phase>,
) -> Result<Event, h2::Error> {
    let accept = poll_fn(|cx| {
        while requests.len() < BATCH {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(exchange))) => requests.push(exchange),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) if requests.is_empty() => return Poll::Ready(Ok(Event::End)),
                Poll::Pending if requests.is_empty() => return Poll::Pending,
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(Event::Requests))
    });
    tokio::select! {
        biased;
        event = accept => event,
        // The sender outlives all connections.
        Ok(()) = phase.changed() => Ok(Event::Phase),
    }
}

/// Answers a request: at once where the response is prepared, else in a task of its own.
fn answer(server: &Arc<Server>, router: &Router, (mut request, mut respond): Exchange, phase: &watch::Receiver<Phase>) {
    if let Some(response) = routes::prepared(server, &mut request) {
        send(&mut respond, response);
        return;
    }
    if grpc::is_grpc(&request) {
        return grpc::answer(server, request, respond, phase);
    }
    let is_head = request.method() == Method::HEAD;
    // No route reads a body.
    let response = router.clone().call(request.map(|_| Body::empty()));
    tokio::spawn(async move {
        let Ok(response) = response.await;
        let (head, body) = response.into_parts();
        // A body in memory has no errors.
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let body = if is_head { Bytes::new() } else { body };
        send(&mut respond, Response::from_parts(head, body));
    });
}

/// Sends a response. Where that fails, the client has reset the stream or has gone.
fn send(respond: &mut SendResponse<Bytes>, response: Response<Bytes>) {
    let (head, body) = response.into_parts();
    let ends = body.is_empty();
    let sent = respond.send_response(Response::from_parts(head, ()), ends);
    let sent = sent.and_then(|mut stream| if ends { Ok(()) } else { stream.send_data(body, true) });
    if let Err(error) = sent {
        debug!(%error, "response not sent");
    }
}
