//! The bytes of a request for HTTP/2. The same request is sent again and again, so its headers are encoded once.

use super::super::grpc::GrpcReply;
use super::hpack::{OVERHEAD, TABLE_SIZE};
use super::static_table::STATIC_TABLE;

/// A request, ready to be sent on any stream of any connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Http2Request {
    /// The headers for the first request of a connection, which enters them into the server's table.
    pub(super) first: Vec<u8>,
    /// The headers for all later ones, which refer to the table.
    pub(super) again: Vec<u8>,
    /// The headers without use of the table, for servers that allow none.
    pub(super) plain: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) expected: Expected,
}

/// What responses are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// They have no body, because the request is HEAD.
    pub(crate) is_head: bool,
    /// They are of gRPC, so that their trailers have a status.
    pub(crate) grpc: Option<GrpcReply>,
}

impl Http2Request {
    /// Encodes these headers, whose names are in lower case.
    pub(crate) fn new(headers: &[(String, String)], body: Vec<u8>, expected: Expected) -> Self {
        let (mut first, mut again, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        let size = |(name, value): &(String, String)| name.len() + value.len() + OVERHEAD;
        let fits = headers.iter().map(size).sum::<usize>() <= TABLE_SIZE;
        let entered = headers.iter().filter(|header| exact(header).is_none()).count();
        let mut number = 0;
        for header in headers {
            if let Some(index) = exact(header) {
                for block in [&mut first, &mut again, &mut plain] {
                    integer(block, 0x80, 7, index);
                }
                continue;
            }
            literal(&mut plain, 0, 4, header);
            literal(&mut first, 0x40, 6, header);
            // The last one that was entered is the first one in the table.
            integer(&mut again, 0x80, 7, STATIC_TABLE.len() + entered - number);
            number += 1;
        }
        if !fits {
            (first, again) = (plain.clone(), plain.clone());
        }
        Self { first, again, plain, body, expected }
    }
}

impl Http2Request {
    /// The body.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The index of a header that the static table has with its value.
fn exact((name, value): &(String, String)) -> Option<usize> {
    let is = |entry: &(&str, &str)| entry.0 == name && entry.1 == value;
    STATIC_TABLE.iter().position(is).map(|index| index + 1)
}

/// Appends a header with its value, and with its name if the static table does not have it.
fn literal(block: &mut Vec<u8>, pattern: u8, prefix: u32, (name, value): &(String, String)) {
    if let Some(index) = STATIC_TABLE.iter().position(|entry| entry.0 == name) {
        integer(block, pattern, prefix, index + 1);
    } else {
        block.push(pattern);
        string(block, name);
    }
    string(block, value);
}

/// Appends a string as it is.
fn string(block: &mut Vec<u8>, text: &str) {
    integer(block, 0, 7, text.len());
    block.extend_from_slice(text.as_bytes());
}

/// Appends an integer whose first byte has so many bits of it, below `pattern` (RFC 7541, section 5.1).
fn integer(block: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let most = (1_usize << prefix) - 1;
    let byte = |value: usize| u8::try_from(value & 0xff).unwrap_or(u8::MAX);
    if value < most {
        return block.push(pattern | byte(value));
    }
    block.push(pattern | byte(most));
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(0x80 | byte(rest & 0x7f));
        rest >>= 7;
    }
    block.push(byte(rest));
}

#[cfg(test)]
mod tests {
    use super::super::hpack::Decoder;
    use super::*;

    fn headers(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Vec<(String, String)> {
        let mut list = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder.decode(block, |name, value| list.push((text(name), text(value)))).unwrap();
        list
    }

    #[test]
    fn every_block_has_the_same_headers() {
        let long = "x".repeat(1000);
        let list = headers(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/items?page=2"),
            (":authority", "a:80"),
            ("user-agent", "evenkeel"),
            ("x-long", &long),
        ]);
        let request = Http2Request::new(&list, Vec::new(), Expected::default());
        let mut decoder = Decoder::new();
        for block in [&request.first, &request.again, &request.plain, &request.again] {
            assert_eq!(decoded(&mut decoder, block), list);
        }
        assert_eq!(request.again.len(), list.len(), "one byte for each header");
        assert_eq!(decoded(&mut Decoder::new(), &request.plain), list);
    }

    #[test]
    fn headers_that_do_not_fit_into_the_table_are_not_entered() {
        let list = headers(&[(":method", "POST"), ("x-a", &"y".repeat(3000)), ("x-b", &"z".repeat(3000))]);
        let request = Http2Request::new(&list, Vec::new(), Expected::default());
        assert_eq!((&request.first, &request.again), (&request.plain, &request.plain));
        assert_eq!(decoded(&mut Decoder::new(), &request.again), list);
    }
}
