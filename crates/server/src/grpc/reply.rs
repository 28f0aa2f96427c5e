//! What the server sends in a call: messages, and a status at the end.

use std::future::poll_fn;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use h2::server::SendResponse;
use h2::{Reason, SendStream};

use super::messages::Failure;
use super::status::Status;
use crate::POD_HEADER;

pub(super) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The client has reset the stream, or has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// The reply to a call. Its head is sent with the first message.
pub(super) struct Reply {
    pod: HeaderValue,
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
}

impl Reply {
    pub(super) fn new(pod: HeaderValue, respond: SendResponse<Bytes>) -> Self {
        Self { pod, respond, stream: None }
    }

    fn head(&self) -> Response<()> {
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        response.headers_mut().insert(POD_HEADER, self.pod.clone());
        response
    }

    /// The stream of messages, which is opened if it is not open yet.
    fn stream(&mut self) -> Result<&mut SendStream<Bytes>, Gone> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.respond.send_response(self.head(), false).map_err(|_| Gone)?,
        };
        Ok(self.stream.insert(stream))
    }

    /// Sends a message with its prefix, without waiting for the client to take it.
    pub(super) fn send(&mut self, framed: Bytes) -> Result<(), Gone> {
        self.stream()?.send_data(framed, false).map_err(|_| Gone)
    }

    /// Sends a message with its prefix as the client takes it.
    pub(super) async fn send_when_taken(&mut self, mut framed: Bytes) -> Result<(), Gone> {
        let stream = self.stream()?;
        while !framed.is_empty() {
            stream.reserve_capacity(framed.len());
            let capacity = match stream.capacity() {
                0 => match poll_fn(|cx| stream.poll_capacity(cx)).await {
                    Some(Ok(capacity)) => capacity,
                    Some(Err(_)) | None => return Err(Gone),
                },
                capacity => capacity,
            };
            stream.send_data(framed.split_to(capacity.min(framed.len())), false).map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Waits until the client has reset the stream or has gone.
    pub(super) async fn gone(&mut self) -> Gone {
        match &mut self.stream {
            Some(stream) => poll_fn(|cx| stream.poll_reset(cx)).await.map_or(Gone, |_| Gone),
            None => poll_fn(|cx| self.respond.poll_reset(cx)).await.map_or(Gone, |_| Gone),
        }
    }

    /// Ends the call. Where this fails, the client has reset the stream or has gone.
    pub(super) fn end(mut self, status: Status) {
        let mut headers = HeaderMap::new();
        headers.insert(STATUS, status.code());
        if let Some(message) = status.message() {
            headers.insert(MESSAGE, message);
        }
        let _ = if let Some(mut stream) = self.stream.take() {
            stream.send_trailers(headers)
        } else {
            let mut response = self.head();
            response.headers_mut().extend(headers);
            self.respond.send_response(response, true).map(drop)
        };
    }

    /// Tells a client that is not there any more that nothing follows.
    pub(super) fn cancel(mut self) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(Reason::CANCEL),
            None => self.respond.send_reset(Reason::CANCEL),
        }
    }
}
