//! Decodes lists of headers (HPACK, RFC 7541).

use std::collections::VecDeque;

use super::super::protocol_error::ProtocolError;
use super::huffman;
use super::static_table::STATIC_TABLE;

/// The size of the dynamic table that both sides begin with, and that this side keeps.
pub(super) const TABLE_SIZE: usize = 4096;
/// The longest list of headers that is accepted, counted as in the table.
pub(super) const LONGEST_LIST: usize = 64 * 1024;
/// What each header counts in addition to its name and value.
pub(super) const OVERHEAD: usize = 32;

/// A header in the dynamic table.
struct Entry {
    /// The name, and the value behind it.
    text: Box<[u8]>,
    name_length: usize,
}

/// The decoder of one connection.
pub(super) struct Decoder {
    /// The latest entry first.
    table: VecDeque<Entry>,
    /// The size of all entries, and the largest one that is allowed.
    size: usize,
    limit: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { table: VecDeque::new(), size: 0, limit: TABLE_SIZE, name: Vec::new(), value: Vec::new() }
    }

    /// Decodes a complete block and passes each header to `visit`. An error ends the connection, because the table is then
    /// unknown.
    pub(super) fn decode(&mut self, block: &[u8], mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), ProtocolError> {
        let mut rest = Input(block);
        let (mut total, mut begun) = (0, false);
        while let Some(first) = rest.0.first().copied() {
            if first & 0xe0 == 0x20 {
                // A change of the table's size is allowed before the first header only.
                let limit = rest.integer(5)?;
                if begun || limit > TABLE_SIZE {
                    return Err(ProtocolError);
                }
                self.limit = limit;
                self.evict(0);
                continue;
            }
            begun = true;
            if first & 0x80 != 0 {
                let (name, value) = self.header(rest.integer(7)?)?;
                total += name.len() + value.len() + OVERHEAD;
                visit(name, value);
            } else {
                let indexed = first & 0x40 != 0;
                self.literal(&mut rest, if indexed { 6 } else { 4 })?;
                total += self.name.len() + self.value.len() + OVERHEAD;
                visit(&self.name, &self.value);
                if indexed {
                    self.insert();
                }
            }
            if total > LONGEST_LIST {
                return Err(ProtocolError);
            }
        }
        Ok(())
    }

    /// The header with this index.
    #[inline]
    fn header(&self, index: usize) -> Result<(&[u8], &[u8]), ProtocolError> {
        let index = index.checked_sub(1).ok_or(ProtocolError)?;
        if let Some((name, value)) = STATIC_TABLE.get(index) {
            return Ok((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.table.get(index - STATIC_TABLE.len()).ok_or(ProtocolError)?;
        Ok(entry.text.split_at(entry.name_length))
    }

    /// Reads a header whose value is not in the table into `name` and `value`.
    fn literal(&mut self, rest: &mut Input<'_>, prefix: u32) -> Result<(), ProtocolError> {
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        match rest.integer(prefix)? {
            0 => rest.string(&mut name)?,
            index => name.extend_from_slice(self.header(index)?.0),
        }
        self.name = name;
        self.value.clear();
        rest.string(&mut self.value)
    }

    fn insert(&mut self) {
        let size = self.name.len() + self.value.len() + OVERHEAD;
        self.evict(size);
        // A header that is larger than the table empties it.
        if size <= self.limit {
            let text = [&self.name[..], &self.value].concat().into();
            self.table.push_front(Entry { text, name_length: self.name.len() });
            self.size += size;
        }
    }

    /// Removes the oldest entries until there is room for `more`.
    fn evict(&mut self, more: usize) {
        while self.size + more > self.limit {
            let Some(entry) = self.table.pop_back() else { return };
            self.size -= entry.text.len() + OVERHEAD;
        }
    }
}

/// What is left of a block.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Result<u8, ProtocolError> {
        let (first, rest) = self.0.split_first().ok_or(ProtocolError)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer whose first byte has so many bits of it (section 5.1).
    #[inline]
    fn integer(&mut self, prefix: u32) -> Result<usize, ProtocolError> {
        let most = (1_usize << prefix) - 1;
        let first = usize::from(self.byte()?) & most;
        if first < most {
            return Ok(first);
        }
        let mut value = most;
        // Three further bytes are enough for all that can be valid.
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtocolError)
    }

    /// Appends a string (section 5.2).
    fn string(&mut self, output: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let compressed = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(ProtocolError)?;
        self.0 = rest;
        if compressed {
            return huffman::decode(string, output);
        }
        output.extend_from_slice(string);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
        digits.chunks(2).map(|two| u8::from_str_radix(&two.iter().collect::<String>(), 16).unwrap()).collect()
    }

    fn list(decoder: &mut Decoder, hex: &str) -> Result<Vec<String>, ProtocolError> {
        let mut list = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder.decode(&bytes(hex), |name, value| list.push(format!("{}: {}", text(name), text(value))))?;
        Ok(list)
    }

    #[test]
    fn the_responses_of_the_standard_with_evictions() {
        // RFC 7541, appendix C.6, with a table of 256 bytes.
        let mut decoder = Decoder::new();
        let first = "3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d \
                     29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3";
        let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
        let location = "location: https://www.example.com";
        assert_eq!(list(&mut decoder, first).unwrap(), [":status: 302", "cache-control: private", date, location]);
        assert_eq!(decoder.size, 222);
        let second = list(&mut decoder, "4883 640e ffc1 c0bf").unwrap();
        assert_eq!(second, [":status: 307", "cache-control: private", date, location]);
        assert_eq!((decoder.size, decoder.table.len()), (222, 4));
        let third = "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 \
                     e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07";
        let third = list(&mut decoder, third).unwrap();
        assert_eq!(third[4], "content-encoding: gzip");
        assert_eq!(third[5], "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
        assert_eq!((decoder.size, decoder.table.len()), (215, 3));
    }

    #[test]
    fn literals_that_are_not_indexed_leave_the_table_as_it_is() {
        let mut decoder = Decoder::new();
        let never = "1008 7061 7373 776f 7264 0673 6563 7265 74";
        let without = "040c 2f73 616d 706c 652f 7061 7468";
        assert_eq!(list(&mut decoder, never).unwrap(), ["password: secret"]);
        assert_eq!(list(&mut decoder, without).unwrap(), [":path: /sample/path"]);
        assert!(decoder.table.is_empty());
    }

    #[test]
    fn broken_blocks_are_refused() {
        let broken = [
            ("index 0", "80"),
            ("an index beyond the tables", "be"),
            ("a name beyond the tables", "7e 01 61"),
            ("a string that is longer than the block", "4803 3230"),
            ("no value", "48"),
            ("an integer without an end", "ffff ffff ffff ffff"),
            ("a table that is larger than allowed", "3fe2 1f 88"),
            ("a table size after a header", "8820"),
            ("a string with wrong padding", "4882 64ff ff"),
        ];
        for (what, hex) in broken {
            assert!(list(&mut Decoder::new(), hex).is_err(), "{what}");
        }
    }

    #[test]
    fn a_list_that_expands_without_end_is_refused() {
        let mut decoder = Decoder::new();
        // One header of 4000 bytes, that is then repeated.
        let mut block = vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
        block.extend([b'x'; 4000]);
        decoder.decode(&block, |_, _| {}).unwrap();
        assert_eq!(decoder.table.len(), 1);
        let mut visited = 0;
        assert!(decoder.decode(&[0xbe; 1000], |_, _| visited += 1).is_err());
        assert!(visited < 20, "{visited}");
    }
}
