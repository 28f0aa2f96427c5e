//! Finds the end of a chunked body (RFC 9112, section 7.1) and discards its content.

use super::protocol_error::ProtocolError;

/// The longest line with a chunk's size and extensions, and the most bytes of all trailer fields together.
const MAX_LINE: u32 = 8 * 1024;

#[derive(Clone, Copy)]
enum ChunkState {
    /// Before the first digit of a chunk's size.
    SizeStart,
    /// Within the digits of a size.
    Size,
    /// Blanks after a size.
    SizeBlank,
    /// Within chunk extensions, which are ignored.
    Extension,
    /// Before the line feed after a size.
    SizeEnd,
    Data,
    /// Before the line end after a chunk's data.
    DataReturn,
    DataEnd,
    /// At the beginning of a trailer field, or of the empty line that ends the body.
    Trailer,
    TrailerLine,
    LastEnd,
}

/// The position within a chunked body.
#[derive(Clone, Copy)]
pub(super) struct Chunked {
    state: ChunkState,
    /// The size of the current chunk as read so far, then the number of bytes that are left of the chunk.
    size: u64,
    /// How many bytes other than data were read since the last chunk.
    line: u32,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: ChunkState::SizeStart, size: 0, line: 0 }
    }

    /// Reads `input`. Returns what follows the body when the body ends within the input, and `None` when it does not.
    pub(super) fn feed<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, ProtocolError> {
        let mut rest = input;
        while let Some((&byte, after)) = rest.split_first() {
            if let ChunkState::Data = self.state {
                let taken = rest.len().min(usize::try_from(self.size).unwrap_or(usize::MAX));
                self.size -= taken as u64;
                rest = &rest[taken..];
                if self.size == 0 {
                    self.state = ChunkState::DataReturn;
                }
                continue;
            }
            rest = after;
            self.line += 1;
            if self.line > MAX_LINE {
                return Err(ProtocolError);
            }
            if let (ChunkState::LastEnd | ChunkState::Trailer, b'\n') = (self.state, byte) {
                return Ok(Some(rest));
            }
            self.state = self.step(byte)?;
        }
        Ok(None)
    }

    #[inline]
    fn step(&mut self, byte: u8) -> Result<ChunkState, ProtocolError> {
        Ok(match (self.state, byte) {
            (ChunkState::SizeStart | ChunkState::Size, b'0'..=b'9') => self.add_digit(byte - b'0')?,
            (ChunkState::SizeStart | ChunkState::Size, b'a'..=b'f' | b'A'..=b'F') => {
                self.add_digit((byte | 0x20) - b'a' + 10)?
            }
            (ChunkState::Size | ChunkState::SizeBlank | ChunkState::Extension, b'\r') => ChunkState::SizeEnd,
            (ChunkState::Size | ChunkState::SizeBlank, b' ' | b'\t') => ChunkState::SizeBlank,
            // A quoted value of an extension may hold any byte but control characters.
            (ChunkState::Size | ChunkState::SizeBlank, b';')
            | (ChunkState::Extension, b'\t' | b' '..=b'~' | 0x80..) => ChunkState::Extension,
            (ChunkState::SizeEnd, b'\n') if self.size == 0 => ChunkState::Trailer,
            (ChunkState::SizeEnd, b'\n') => ChunkState::Data,
            (ChunkState::DataReturn, b'\r') => ChunkState::DataEnd,
            (ChunkState::DataEnd, b'\n') => {
                *self = Self::new();
                self.state
            }
            (ChunkState::Trailer, b'\r') => ChunkState::LastEnd,
            (ChunkState::TrailerLine, b'\n') => ChunkState::Trailer,
            (ChunkState::Trailer | ChunkState::TrailerLine, 1..) => ChunkState::TrailerLine,
            _ => return Err(ProtocolError),
        })
    }

    /// Zeros may lead, so the number of digits says nothing: what counts is whether the size still fits.
    #[inline]
    fn add_digit(&mut self, digit: u8) -> Result<ChunkState, ProtocolError> {
        if self.size >> 60 != 0 {
            return Err(ProtocolError);
        }
        self.size = self.size << 4 | u64::from(digit);
        Ok(ChunkState::Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows the body, `None` when the body is not complete.
    fn after(body: &str) -> Result<Option<Vec<u8>>, ProtocolError> {
        Chunked::new().feed(body.as_bytes()).map(|rest| rest.map(<[u8]>::to_vec))
    }

    #[test]
    fn complete_bodies() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n000\r\n\r\n",
            "00000000000000000000000005\r\nhello\r\n0\r\n\r\n",
            "5 \t\r\nhello\r\n0\r\n\r\n",
            "5;name\r\nhello\r\n0;name=value\r\n\r\n",
            "5 ; name = \"\u{e9}; \"\r\nhello\r\n0\r\n\r\n",
            "0\r\nTrailer: x\r\nOther: \u{e9}\r\n\r\n",
            "0\r\nTrailer: x\n\n",
            "0\r\n\n",
        ] {
            assert_eq!(after(&format!("{body}more")), Ok(Some(b"more".to_vec())), "{body:?}");
            for end in 0..body.len() {
                assert_eq!(Chunked::new().feed(&body.as_bytes()[..end]), Ok(None), "{body:?} up to {end}");
            }
        }
    }

    #[test]
    fn invalid_bodies() {
        let long = format!("0\r\n{}", "x: y\r\n".repeat(2000));
        for body in [
            "x\r\n",
            "\r\n",
            " 5\r\n",
            "-5\r\n",
            "0x5\r\n",
            "5\nhello",
            "5;name\nhello",
            "5 x\r\nhello",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5\r\nhello!\r\n",
            "10000000000000000\r\n",
            "fffffffffffffffff\r\n",
            "0\r\n\rX",
            "0\r\nTrailer: \0\r\n",
            &long,
        ] {
            assert_eq!(after(body), Err(ProtocolError), "{body:?}");
        }
        assert_eq!(after("ffffffffffffffff\r\n"), Ok(None), "the largest size that there is");
    }
}
