//! The messages that a client sends.

use axum::body::Bytes;
use h2::RecvStream;

use super::status::Status;

/// The longest message that is accepted.
const LONGEST_MESSAGE: usize = 1 << 20;
/// The length of the prefix of a message.
const PREFIX: usize = 5;

/// Why there is no message.
#[derive(Debug)]
pub(super) enum Failure {
    /// The call ends with this status.
    Status(Status),
    /// The client has reset the stream, or has gone.
    Gone,
}

/// The messages of one call.
pub(super) struct Messages {
    body: RecvStream,
    received: Vec<u8>,
}

impl Messages {
    pub(super) fn new(body: RecvStream) -> Self {
        Self { body, received: Vec::new() }
    }

    /// The next message with its prefix; `None` at the end.
    pub(super) async fn framed(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(&[compressed, a, b, c, d]) = self.received.first_chunk() {
                let length = u32::from_be_bytes([a, b, c, d]) as usize;
                if compressed != 0 {
                    return Err(Failure::Status(Status::Unimplemented));
                }
                if length > LONGEST_MESSAGE {
                    return Err(Failure::Status(Status::ResourceExhausted));
                }
                if self.received.len() >= PREFIX + length {
                    let rest = self.received.split_off(PREFIX + length);
                    return Ok(Some(std::mem::replace(&mut self.received, rest).into()));
                }
            }
            match self.body.data().await {
                Some(Ok(data)) => {
                    // Where this fails, the next read does, too.
                    let _ = self.body.flow_control().release_capacity(data.len());
                    self.received.extend_from_slice(&data);
                }
                Some(Err(_)) => return Err(Failure::Gone),
                None if self.received.is_empty() => return Ok(None),
                None => return Err(Failure::Status(Status::InvalidArgument)),
            }
        }
    }

    /// The next message; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        Ok(self.framed().await?.map(|framed| framed.slice(PREFIX..)))
    }

    /// The only message of a call.
    pub(super) async fn one(&mut self) -> Result<Bytes, Failure> {
        self.next().await?.ok_or(Failure::Status(Status::InvalidArgument))
    }
}

/// A message with its prefix: not compressed, and its length.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat().into()
}
