//! The frames of HTTP/2 (RFC 9113, sections 4 and 6).

use super::super::protocol_error::ProtocolError;

/// What a client sends first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of a frame's head.
pub(super) const HEAD: usize = 9;
/// The longest payload that both sides may always send. This side accepts no longer one.
pub(super) const LONGEST_PAYLOAD: usize = 16_384;
/// The largest stream identifier and window.
pub(super) const MAX_31_BITS: u32 = 0x7fff_ffff;

/// The types of frames.
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const PRIORITY: u8 = 2;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PUSH_PROMISE: u8 = 5;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const WINDOW_UPDATE: u8 = 8;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// The flags of frames.
pub(super) mod flag {
    pub(in super::super) const ACK: u8 = 0x1;
    pub(in super::super) const END_STREAM: u8 = 0x1;
    pub(in super::super) const END_HEADERS: u8 = 0x4;
    pub(in super::super) const PADDED: u8 = 0x8;
    pub(in super::super) const PRIORITY: u8 = 0x20;
}

/// The identifiers of settings.
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// The codes of errors that this side sends or treats apart.
pub(super) mod code {
    pub(in super::super) const PROTOCOL_ERROR: u32 = 1;
    pub(in super::super) const REFUSED_STREAM: u32 = 7;
    pub(in super::super) const CANCEL: u32 = 8;
}

/// A complete frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// The identifier of the stream; 0 is the connection.
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// The length of the frame that begins with these bytes, with its head; `None` while its head is incomplete.
#[inline]
pub(super) fn frame_length(bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let Some(&[high, middle, low]) = bytes.first_chunk() else { return Ok(None) };
    let payload = u32::from_be_bytes([0, high, middle, low]) as usize;
    if payload > LONGEST_PAYLOAD { Err(ProtocolError) } else { Ok(Some(HEAD + payload)) }
}

impl<'a> Frame<'a> {
    /// The frame that these bytes are, head and payload.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ProtocolError> {
        let (&[_, _, _, kind, flags, a, b, c, d], payload) = bytes.split_first_chunk().ok_or(ProtocolError)?;
        Ok(Self { kind, flags, stream: u32::from_be_bytes([a, b, c, d]) & MAX_31_BITS, payload })
    }

    #[inline]
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without padding, and without the priority that HEADERS may have.
    #[inline]
    pub(super) fn content(&self) -> Result<&'a [u8], ProtocolError> {
        let mut content = self.payload;
        if self.has(flag::PADDED) {
            let (padding, rest) = content.split_first().ok_or(ProtocolError)?;
            content =
                rest.get(..rest.len().checked_sub(usize::from(*padding)).ok_or(ProtocolError)?).ok_or(ProtocolError)?;
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            content = content.get(5..).ok_or(ProtocolError)?;
        }
        Ok(content)
    }

    /// The payload, which must be one number of 32 bits.
    pub(super) fn number(&self) -> Result<u32, ProtocolError> {
        self.payload.try_into().map(u32::from_be_bytes).map_err(|_| ProtocolError)
    }
}

/// Appends a frame.
#[inline]
pub(super) fn write(output: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // Payloads are at most `LONGEST_PAYLOAD` long, so the highest byte is 0.
    let [_, high, middle, low] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let [a, b, c, d] = stream.to_be_bytes();
    output.extend_from_slice(&[high, middle, low, kind, flags, a, b, c, d]);
    output.extend_from_slice(payload);
}

/// Appends a frame whose payload is one number.
pub(super) fn write_number(output: &mut Vec<u8>, kind: u8, stream: u32, number: u32) {
    write(output, kind, 0, stream, &number.to_be_bytes());
}

/// Appends a block of headers: one frame, or several if it is long.
#[inline]
pub(super) fn write_headers(output: &mut Vec<u8>, flags: u8, stream: u32, block: &[u8]) {
    if block.len() <= LONGEST_PAYLOAD {
        return write(output, kind::HEADERS, flags | flag::END_HEADERS, stream, block);
    }
    let pieces = block.len().div_ceil(LONGEST_PAYLOAD);
    for (number, piece) in block.chunks(LONGEST_PAYLOAD).enumerate() {
        let (kind, flags) = if number == 0 { (kind::HEADERS, flags) } else { (kind::CONTINUATION, 0) };
        let last = if number + 1 == pieces { flag::END_HEADERS } else { 0 };
        write(output, kind, flags | last, stream, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        write(&mut bytes, kind::DATA, flag::END_STREAM, 5, b"abc");
        assert_eq!(frame_length(&bytes), Ok(Some(12)));
        assert_eq!(frame_length(&bytes[..2]), Ok(None));
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!((frame.kind, frame.flags, frame.stream, frame.payload), (0, 1, 5, &b"abc"[..]));
        assert_eq!(frame_length(&[0, 0x40, 1]), Err(ProtocolError), "longer than allowed");
    }

    #[test]
    fn padding_and_priority_are_removed() {
        let frame = |kind, flags, payload| Frame { kind, flags, stream: 1, payload };
        assert_eq!(frame(kind::DATA, flag::PADDED, b"\x02abc\0\0").content(), Ok(&b"abc"[..]));
        assert_eq!(
            frame(kind::HEADERS, flag::PADDED | flag::PRIORITY, b"\x01\0\0\0\0\0abc\0").content(),
            Ok(&b"abc"[..])
        );
        for broken in [frame(kind::DATA, flag::PADDED, b""), frame(kind::DATA, flag::PADDED, b"\x04abc")] {
            assert_eq!(broken.content(), Err(ProtocolError), "{broken:?}");
        }
        assert_eq!(frame(kind::HEADERS, flag::PRIORITY, b"\0\0\0").content(), Err(ProtocolError));
    }

    #[test]
    fn a_long_block_is_continued() {
        let mut bytes = Vec::new();
        write_headers(&mut bytes, flag::END_STREAM, 1, &vec![7; 2 * LONGEST_PAYLOAD + 1]);
        let mut frames = Vec::new();
        let mut rest = &bytes[..];
        while let Some(length) = frame_length(rest).unwrap() {
            let frame = Frame::parse(&rest[..length]).unwrap();
            frames.push((frame.kind, frame.flags, frame.payload.len()));
            rest = &rest[length..];
        }
        assert_eq!(frames, [(1, 1, LONGEST_PAYLOAD), (9, 0, LONGEST_PAYLOAD), (9, 4, 1)]);
    }
}
