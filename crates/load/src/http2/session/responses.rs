//! The frames of responses: HEADERS, CONTINUATION and DATA (RFC 9113, sections 6.1, 6.2 and 6.10).

use super::super::super::fault::Fault;
use super::super::super::grpc::GrpcReply;
use super::super::super::protocol_error::ProtocolError;
use super::super::super::record::Record;
use super::super::frame::{self, Frame, code, flag, kind};
use super::super::hpack::LONGEST_LIST;
use super::super::stream::{Stream, head_of};
use super::{CONNECTION_WINDOW, Finished, Messages, OpenBlock, Outcome, STREAM_WINDOW, Session};

impl Session {
    pub(super) fn headers(&mut self, frame: Frame<'_>, record: &mut Record) -> Result<(), ProtocolError> {
        self.check_opened(frame.stream)?;
        if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.bytes += (frame::HEAD + frame.payload.len()) as u64;
        }
        let (stream, end_stream) = (frame.stream, frame.has(flag::END_STREAM));
        if frame.has(flag::END_HEADERS) {
            return self.head(stream, end_stream, frame.content()?, record);
        }
        self.block = Some(OpenBlock { stream, end_stream, bytes: frame.content()?.to_vec() });
        Ok(())
    }

    pub(super) fn continuation(&mut self, frame: Frame<'_>, record: &mut Record) -> Result<(), ProtocolError> {
        let block = self.block.as_mut().filter(|block| block.stream == frame.stream).ok_or(ProtocolError)?;
        block.bytes.extend_from_slice(frame.payload);
        if block.bytes.len() > LONGEST_LIST {
            return Err(ProtocolError);
        }
        if frame.has(flag::END_HEADERS)
            && let Some(OpenBlock { stream, end_stream, bytes }) = self.block.take()
        {
            self.head(stream, end_stream, &bytes, record)?;
        }
        Ok(())
    }

    /// A complete block of headers: the head of a response, an interim one, or trailers.
    fn head(&mut self, id: u32, end_stream: bool, block: &[u8], record: &mut Record) -> Result<(), ProtocolError> {
        let Self { decoder, pod: (name, index), client, streams, .. } = self;
        let mut head = head_of(decoder, block, name)?;
        let Some(stream) = streams.get_mut(&id) else { return Ok(()) };
        if stream.begin_response(&head, end_stream).is_err() {
            self.malformed(id);
            return Ok(());
        }
        if head.is_final_response() {
            stream.pod = match *index {
                Some(index) if !head.new_pod => Some(index),
                _ => {
                    std::mem::swap(name, &mut head.pod);
                    Some(*index.insert(record.pod_or_connection(name, *client)))
                }
            };
        }
        if end_stream {
            self.end(id);
        }
        Ok(())
    }

    pub(super) fn data(&mut self, frame: Frame<'_>) -> Result<(), ProtocolError> {
        self.check_opened(frame.stream)?;
        let length = u32::try_from(frame.payload.len()).map_err(|_| ProtocolError)?;
        self.unannounced += length;
        if self.unannounced > CONNECTION_WINDOW {
            return Err(ProtocolError);
        }
        if self.unannounced >= CONNECTION_WINDOW / 2 {
            frame::write_number(&mut self.output, kind::WINDOW_UPDATE, 0, self.unannounced);
            self.unannounced = 0;
        }
        let content = frame.content()?;
        let Some(stream) = self.streams.get_mut(&frame.stream) else { return Ok(()) };
        stream.bytes += (frame::HEAD + frame.payload.len()) as u64;
        stream.received += content.len() as u64;
        stream.unannounced += length;
        if !stream.has_head() || stream.unannounced > STREAM_WINDOW {
            self.malformed(frame.stream);
        } else if let Some(reply) = stream.expected.grpc
            && count_messages(stream, content, reply, &mut self.messages).is_err()
        {
            self.malformed(frame.stream);
        } else if frame.has(flag::END_STREAM) {
            self.end(frame.stream);
        } else if stream.unannounced >= STREAM_WINDOW / 2 {
            let update = std::mem::take(&mut stream.unannounced);
            frame::write_number(&mut self.output, kind::WINDOW_UPDATE, frame.stream, update);
        }
        Ok(())
    }

    /// The server has sent the whole response.
    fn end(&mut self, id: u32) {
        let Some(stream) = self.streams.remove(&id) else { return };
        if stream.unsent > 0 {
            // The server does not need the rest of the request.
            frame::write_number(&mut self.output, kind::RST_STREAM, id, code::CANCEL);
        }
        let fault = stream.expected.grpc.map(|reply| stream.grpc_fault(reply)).transpose();
        let outcome = match fault {
            Ok(fault) if stream.is_complete() => match fault {
                None => Outcome::Answered { status: stream.status, bytes: stream.bytes },
                Some(fault) => Outcome::AnsweredCall { bytes: stream.bytes, fault },
            },
            _ => Outcome::Failed(Fault::ProtocolError),
        };
        self.finished.push(Finished { sent: stream.sent, outcome, pod: stream.pod });
    }
}

/// Reads a part of the body of a response of gRPC, and counts the messages that are complete with it.
#[inline]
fn count_messages(
    stream: &mut Stream,
    content: &[u8],
    reply: GrpcReply,
    messages: &mut Messages,
) -> Result<(), ProtocolError> {
    let before = stream.messages.complete();
    stream.read_messages(content)?;
    let after = stream.messages.complete();
    if reply != GrpcReply::One && after > before {
        messages.count += after - before;
        messages.bytes += std::mem::take(&mut stream.bytes);
        messages.several |= after > 1;
        if before == 0 {
            messages.first.push(stream.sent);
        }
    }
    Ok(())
}
