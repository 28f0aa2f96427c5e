//! Finds the end of a chunked body; its content is thrown away.

use super::response::Garbage;

/// The longest line of a chunk's size with its extensions, and the most that all trailers may take together.
const MAX_LINE: u32 = 8 * 1024;

#[derive(Clone, Copy)]
enum At {
    /// The digits of a size; at least one must come.
    Size {
        digits: u8,
    },
    /// What may follow a size: blanks and extensions.
    Extension,
    /// The line feed after a size.
    SizeEnd,
    Data,
    /// The line end after a chunk's data.
    DataReturn,
    DataEnd,
    /// The beginning of a trailer's line, or of the empty line that ends it all.
    Trailer,
    TrailerLine,
    LastEnd,
}

/// Where in a chunked body the reading stands.
#[derive(Clone, Copy)]
pub(super) struct Chunked {
    at: At,
    /// Of the current chunk: the size so far, then what is left of it.
    size: u64,
    /// Bytes that carry no data since the last chunk.
    line: u32,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { at: At::Size { digits: 0 }, size: 0, line: 0 }
    }

    /// Takes what was read; what is left over when the body ends within it, `None` when it goes on.
    pub(super) fn feed<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, Garbage> {
        let mut rest = input;
        while let Some((&byte, after)) = rest.split_first() {
            if let At::Data = self.at {
                let taken = rest.len().min(usize::try_from(self.size).unwrap_or(usize::MAX));
                self.size -= taken as u64;
                rest = &rest[taken..];
                if self.size == 0 {
                    self.at = At::DataReturn;
                }
                continue;
            }
            rest = after;
            self.line += 1;
            if self.line > MAX_LINE {
                return Err(Garbage);
            }
            if let (At::LastEnd, b'\n') = (self.at, byte) {
                return Ok(Some(rest));
            }
            self.at = self.step(byte)?;
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<At, Garbage> {
        Ok(match (self.at, byte) {
            (At::Size { digits }, _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = char::from(byte).to_digit(16).ok_or(Garbage)?;
                self.size = self.size << 4 | u64::from(digit);
                At::Size { digits: digits + 1 }
            }
            (At::Size { digits: 1.. } | At::Extension, b'\r') => At::SizeEnd,
            (At::Size { digits: 1.. }, b';' | b' ' | b'\t') | (At::Extension, b'\t' | b' '..=b'~') => At::Extension,
            (At::SizeEnd, b'\n') if self.size == 0 => At::Trailer,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => {
                *self = Self::new();
                self.at
            }
            (At::Trailer, b'\r') => At::LastEnd,
            (At::TrailerLine, b'\n') => At::Trailer,
            (At::Trailer | At::TrailerLine, 1..) => At::TrailerLine,
            _ => return Err(Garbage),
        })
    }
}
