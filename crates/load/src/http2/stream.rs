//! One stream: a request and its response.

use super::super::fault::Fault;
use super::super::grpc::{GrpcReply, GrpcStatus, MessageReader};
use super::super::head::{POD_HEADER, decimal};
use super::super::protocol_error::ProtocolError;
use super::super::record::PodIndex;
use super::hpack::Decoder;
use super::request::Expected;
use super::session::Sent;

/// A stream that is open.
pub(super) struct Stream {
    pub(super) sent: Sent,
    /// The status of the response; 0 before.
    pub(super) status: u16,
    /// The status of gRPC in the trailers, or in a head without a body.
    grpc: Option<u64>,
    /// Whether messages of gRPC may be compressed.
    compressed: bool,
    /// The messages of gRPC in the body.
    pub(super) messages: MessageReader,
    /// The pod in the head of the response.
    pub(super) pod: Option<PodIndex>,
    /// The length of all frames of the response.
    pub(super) bytes: u64,
    /// The length of the body so far, and as the head announces it.
    pub(super) received: u64,
    announced: Option<u64>,
    /// Bytes received since the stream's window was last updated.
    pub(super) unannounced: u32,
    /// What the response is.
    pub(super) expected: Expected,
    /// How much of the request's body is left, and how much of it may be sent.
    pub(super) unsent: usize,
    pub(super) send_window: i64,
}

impl Stream {
    pub(super) fn new(sent: Sent, expected: Expected, unsent: usize, send_window: i64) -> Self {
        Self {
            sent,
            expected,
            status: 0,
            grpc: None,
            compressed: false,
            messages: MessageReader::default(),
            pod: None,
            bytes: 0,
            received: 0,
            announced: None,
            unannounced: 0,
            unsent,
            send_window,
        }
    }

    /// Whether the head of the response has arrived.
    pub(super) fn has_head(&self) -> bool {
        self.status != 0
    }

    /// A block of headers has arrived. Fails if it must not come at this place, or is not valid (RFC 9113, section 8.1).
    #[inline]
    pub(super) fn begin_response(&mut self, head: &Head, end_stream: bool) -> Result<(), ProtocolError> {
        self.grpc = head.grpc.or(self.grpc);
        self.compressed |= head.compressed;
        match (self.has_head(), head.status) {
            // Trailers end the response.
            (true, None) if end_stream => Ok(()),
            // A protocol cannot be switched over HTTP/2 (section 8.6).
            (false, Some(status)) if !end_stream && (100..200).contains(&status) && status != 101 => Ok(()),
            (false, Some(status)) if (200..1000).contains(&status) => {
                (self.status, self.announced) = (status, head.length);
                if head.malformed { Err(ProtocolError) } else { Ok(()) }
            }
            _ => Err(ProtocolError),
        }
    }

    /// Reads a part of the body as messages of gRPC. The body of a response that is not of gRPC has none.
    pub(super) fn read_messages(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        if self.status == 200 { self.messages.read(data, self.compressed) } else { Ok(()) }
    }

    /// How a complete response of gRPC failed: `None` if its status is OK. The status of HTTP counts where there is none
    /// of gRPC.
    ///
    /// # Errors
    /// If it is OK and does not have the messages that it must have.
    pub(super) fn grpc_fault(&self, reply: GrpcReply) -> Result<Option<Fault>, ProtocolError> {
        match (self.grpc, self.status) {
            (Some(code), _) => match GrpcStatus::new(code) {
                Some(status) => Ok(Some(Fault::Grpc(status))),
                None if self.messages.is_within() => Err(ProtocolError),
                None if reply == GrpcReply::One && self.messages.complete() != 1 => Err(ProtocolError),
                None => Ok(None),
            },
            (None, 200) => Ok(Some(Fault::Grpc(GrpcStatus::UNKNOWN))),
            (None, status) => Ok(Some(Fault::NotGrpc(status))),
        }
    }

    /// Whether the body is as long as the head announced.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        let any = self.expected.is_head || self.status == 304;
        self.announced.is_none_or(|announced| announced == self.received || (any && self.received == 0))
    }
}

/// What is used of a block of headers.
#[derive(Default)]
pub(super) struct Head {
    /// The status; `None` in trailers.
    pub(super) status: Option<u16>,
    /// The status of gRPC.
    grpc: Option<u64>,
    /// Whether messages of gRPC may be compressed: an encoding is named.
    compressed: bool,
    /// The length of the body.
    length: Option<u64>,
    /// Whether the status or the length is not valid.
    malformed: bool,
    /// Whether the name of the pod is not that of the response before.
    pub(super) new_pod: bool,
    /// The name of the pod, if it is new.
    pub(super) pod: Vec<u8>,
}

impl Head {
    /// Whether it is the head of a response, and not of an interim one or trailers.
    pub(super) fn is_final_response(&self) -> bool {
        self.status.is_some_and(|status| status >= 200)
    }
}

/// Decodes a block of headers. `known` is the name of the pod in the response before.
#[inline]
pub(super) fn head_of(decoder: &mut Decoder, block: &[u8], known: &[u8]) -> Result<Head, ProtocolError> {
    let mut head = Head { new_pod: !known.is_empty(), ..Head::default() };
    decoder.decode(block, |name, value| match name.len() {
        7 if name == b":status" => {
            let status = decimal(value).filter(|_| value.len() == 3).and_then(|status| u16::try_from(status).ok());
            head.malformed |= status.is_none() || head.status.is_some();
            head.status = status.or(Some(999));
        }
        11 if name == b"grpc-status" => head.grpc = decimal(value).or(Some(u64::MAX)),
        13 if name == b"grpc-encoding" => head.compressed = value != b"identity",
        14 if name == POD_HEADER.as_bytes() => {
            head.new_pod = value != known;
            if head.new_pod {
                head.pod = value.to_vec();
            }
        }
        14 if name == b"content-length" => {
            let length = decimal(value);
            head.malformed |= length.is_none() || head.length.is_some_and(|before| Some(before) != length);
            head.length = length;
        }
        _ => {}
    })?;
    Ok(head)
}
