//! gRPC on the port of HTTP/2: an echo, and the health that probes ask for. Neither needs to know how messages are encoded: the
//! echo sends back what it received, and a health has two possible messages.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};

use crate::{POD_HEADER, Server};

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");
const RESOURCE_EXHAUSTED: HeaderValue = HeaderValue::from_static("8");
const UNIMPLEMENTED: HeaderValue = HeaderValue::from_static("12");

/// The longest message that is sent back.
const LONGEST_MESSAGE: usize = 1 << 20;

/// A message of `grpc.health.v1.HealthCheckResponse` with its prefix: `SERVING` and `NOT_SERVING`.
const SERVING: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 0x08, 1]);
const NOT_SERVING: Bytes = Bytes::from_static(&[0, 0, 0, 0, 2, 0x08, 2]);

/// Whether a request is one of gRPC.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|given| given.as_bytes().starts_with(GRPC.as_bytes()))
}

/// Answers a request of gRPC.
pub(super) async fn answer(server: Arc<Server>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, body) = request.into_parts();
    let (message, status) = match head.uri.path() {
        "/evenkeel.v1.Echo/Echo" => {
            server.metrics().request(Version::HTTP_2);
            match received(body).await {
                Ok(Some(message)) => (message, OK),
                Ok(None) => (Bytes::new(), RESOURCE_EXHAUSTED),
                Err(_) => return respond.send_reset(Reason::CANCEL),
            }
        }
        "/grpc.health.v1.Health/Check" if server.is_draining() => (NOT_SERVING, OK),
        "/grpc.health.v1.Health/Check" => (SERVING, OK),
        _ => (Bytes::new(), UNIMPLEMENTED),
    };
    // Where this fails, the client has reset the stream or has gone.
    let _ = send(&server, &mut respond, message, status);
}

/// Sends a message and its status; without a message, the status alone.
fn send(
    server: &Server,
    respond: &mut SendResponse<Bytes>,
    message: Bytes,
    status: HeaderValue,
) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response.headers_mut().insert(POD_HEADER, server.greeting.pod());
    if message.is_empty() {
        response.headers_mut().insert(STATUS, status);
        return respond.send_response(response, true).map(drop);
    }
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(message, false)?;
    stream.send_trailers(HeaderMap::from_iter([(STATUS, status)]))
}

/// The whole body of a request; `None` if it is too long.
async fn received(mut body: RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
        if all.len() > LONGEST_MESSAGE {
            return Ok(None);
        }
    }
    Ok(Some(all.into()))
}
