//! The messages in the body of a response. They are counted, and their content is not kept.

use super::super::protocol_error::ProtocolError;

/// The length of the prefix of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Reads the body of one response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MessageReader {
    prefix: [u8; PREFIX],
    /// How much of the prefix has arrived.
    known: usize,
    /// How much of the message is missing, once its prefix is complete.
    missing: usize,
    /// Messages that have arrived completely.
    complete: u64,
}

impl MessageReader {
    /// Messages that have arrived completely.
    pub(crate) fn complete(&self) -> u64 {
        self.complete
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn is_within(&self) -> bool {
        self.known > 0
    }

    /// Reads a part of the body. A message may be compressed only where the head of the response names an encoding.
    #[inline]
    pub(crate) fn read(&mut self, mut data: &[u8], may_be_compressed: bool) -> Result<(), ProtocolError> {
        while !data.is_empty() {
            if self.known < PREFIX {
                let (more, rest) = data.split_at(data.len().min(PREFIX - self.known));
                self.prefix[self.known..self.known + more.len()].copy_from_slice(more);
                self.known += more.len();
                data = rest;
                if self.known < PREFIX {
                    return Ok(());
                }
                let [compressed, a, b, c, d] = self.prefix;
                if compressed > u8::from(may_be_compressed) {
                    return Err(ProtocolError);
                }
                self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
            }
            let used = data.len().min(self.missing);
            data = &data[used..];
            self.missing -= used;
            if self.missing == 0 {
                self.known = 0;
                self.complete += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let body = [&[0, 0, 0, 0, 2, 7, 7][..], &[0, 0, 0, 0, 0], &[0, 0, 0, 1, 0], &[9; 256]].concat();
        for piece in [1, 2, 3, 5, 7, 100, body.len()] {
            let mut reader = MessageReader::default();
            for part in body.chunks(piece) {
                reader.read(part, false).unwrap();
            }
            assert_eq!((reader.complete(), reader.is_within()), (3, false), "pieces of {piece}");
            reader.read(&body[..3], false).unwrap();
            assert!(reader.is_within());
        }
    }

    #[test]
    fn an_empty_message_is_complete_with_its_prefix() {
        let mut reader = MessageReader::default();
        reader.read(&[0; 5], false).unwrap();
        assert_eq!((reader.complete(), reader.is_within()), (1, false));
    }

    #[test]
    fn compressed_messages_need_an_encoding() {
        let message = [1, 0, 0, 0, 1, 7];
        assert_eq!(MessageReader::default().read(&message, false), Err(ProtocolError));
        assert_eq!(MessageReader::default().read(&message, true), Ok(()));
        assert_eq!(MessageReader::default().read(&[2, 0, 0, 0, 0], true), Err(ProtocolError));
    }
}
