//! The bytes of a request for HTTP/2. The same requests are sent again and again, so their headers are encoded once.
//!
//! Headers that all requests of a run have enter the server's table with the first request of a connection, whichever of
//! them that is; later requests refer to the table. All others are literals that do not enter it.

use super::super::grpc::GrpcReply;
use super::super::template::{Template, Values};
use super::hpack::{OVERHEAD, TABLE_SIZE};
use super::static_table::STATIC_TABLE;

/// A header without placeholders: its name in lower case, and its value.
type Header<'a> = (&'a str, &'a [u8]);

/// A request that is not encoded yet.
pub(crate) struct RequestHeaders {
    /// The headers, whose names are in lower case. Those that begin with a colon come first.
    pub(crate) list: Vec<(String, Template)>,
    pub(crate) body: Template,
    pub(crate) expected: Expected,
}

/// A request, ready to be sent on any stream of any connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Http2Request {
    /// The headers for the first request of a connection, which enters them into the server's table.
    pub(super) first: Vec<u8>,
    /// The headers for all later ones, which refer to the table.
    pub(super) again: Vec<u8>,
    /// The headers without use of the table, for servers that allow none.
    pub(super) plain: Vec<u8>,
    /// The body, if it has no placeholders.
    pub(super) body: Vec<u8>,
    pub(super) expected: Expected,
    templates: Option<Templates>,
}

/// What has placeholders in a request, and the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Templates {
    /// Headers that begin with a colon, and the others: what comes before the value, and the value.
    pseudo: Vec<(Vec<u8>, Template)>,
    regular: Vec<(Vec<u8>, Template)>,
    body: Template,
}

/// The parts of a request whose placeholders were replaced.
#[derive(Default)]
pub(crate) struct RenderedHeaders {
    /// What comes before the headers that are encoded already, and behind them.
    pub(super) before: Vec<u8>,
    pub(super) behind: Vec<u8>,
    pub(super) body: Vec<u8>,
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
    /// Encodes the requests of a run. There is at least one.
    pub(crate) fn encode(requests: Vec<RequestHeaders>) -> Vec<Self> {
        let shared: Vec<(String, Vec<u8>)> =
            shared_by_all(&requests).into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        requests.into_iter().map(|request| Self::new(request, &shared)).collect()
    }

    /// Encodes a request; the headers that are shared enter the table, or are in it.
    fn new(request: RequestHeaders, shared: &[(String, Vec<u8>)]) -> Self {
        let RequestHeaders { list, body, expected } = request;
        let (mut first, mut again, mut plain) = (Vec::new(), Vec::new(), Vec::new());
        let is_shared = |(name, value): Header<'_>| shared.iter().any(|(other, same)| other == name && same == value);
        let own = |pseudo: bool| {
            let literal = list.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_literal()?)));
            literal.filter(move |header| header.0.starts_with(':') == pseudo && !is_shared(*header))
        };
        let add_own = |pseudo: bool, block: &mut Vec<u8>| {
            for header in own(pseudo) {
                match exact(header) {
                    Some(index) => integer(block, 0x80, 7, index),
                    None => literal(block, 0, 4, header),
                }
            }
        };
        for block in [&mut first, &mut again, &mut plain] {
            add_own(true, block);
        }
        for (number, (name, value)) in shared.iter().enumerate() {
            literal(&mut plain, 0, 4, (name, value));
            literal(&mut first, 0x40, 6, (name, value));
            // The last one that was entered is the first one in the table.
            integer(&mut again, 0x80, 7, STATIC_TABLE.len() + shared.len() - number);
        }
        for block in [&mut first, &mut again, &mut plain] {
            add_own(false, block);
        }
        let mut templates = Templates::default();
        for (name, value) in &list {
            if value.as_literal().is_none() {
                let mut begin = Vec::new();
                name_of_literal(&mut begin, 0, 4, name);
                let group = if name.starts_with(':') { &mut templates.pseudo } else { &mut templates.regular };
                group.push((begin, value.clone()));
            }
        }
        let literal_body = body.as_literal().map(<[u8]>::to_vec);
        let any = literal_body.is_none() || !templates.pseudo.is_empty() || !templates.regular.is_empty();
        let templates = any.then_some(Templates { body, ..templates });
        let body = literal_body.filter(|_| templates.is_none()).unwrap_or_default();
        Self { first, again, plain, body, expected, templates }
    }

    /// What has placeholders, if anything has.
    pub(crate) fn templates(&self) -> Option<&Templates> {
        self.templates.as_ref()
    }
}

impl Templates {
    /// Writes the parts with the values of a request. `body` is an empty buffer.
    pub(crate) fn render(&self, values: &mut Values<'_>, body: &mut Vec<u8>, output: &mut RenderedHeaders) {
        self.body.render(values, &mut output.body);
        values.body_length = output.body.len();
        for (group, block) in [(&self.pseudo, &mut output.before), (&self.regular, &mut output.behind)] {
            for (begin, value) in group {
                // The length comes before the value.
                body.clear();
                value.render(values, body);
                block.extend_from_slice(begin);
                string(block, body);
            }
        }
    }
}

/// The headers without placeholders that all requests have, each as the only one of its name, and that the table of the
/// standard does not have. There are none if they do not fit into the server's table.
fn shared_by_all(requests: &[RequestHeaders]) -> Vec<Header<'_>> {
    let Some((first, others)) = requests.split_first() else { return Vec::new() };
    let is_in = |request: &RequestHeaders, header: Header<'_>| {
        let mut same = request.list.iter().filter(|(name, _)| name == header.0);
        same.next().is_some_and(|(_, value)| value.as_literal() == Some(header.1)) && same.next().is_none()
    };
    let literal = first.list.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_literal()?)));
    let shared: Vec<Header<'_>> = literal
        .filter(|header| exact(*header).is_none() && is_in(first, *header))
        .filter(|header| others.iter().all(|other| is_in(other, *header)))
        .collect();
    let size = |(name, value): &Header<'_>| name.len() + value.len() + OVERHEAD;
    if shared.iter().map(size).sum::<usize>() > TABLE_SIZE { Vec::new() } else { shared }
}

/// The index of a header that the static table has with its value.
fn exact((name, value): Header<'_>) -> Option<usize> {
    let is = |entry: &(&str, &str)| entry.0 == name && entry.1.as_bytes() == value;
    STATIC_TABLE.iter().position(is).map(|index| index + 1)
}

/// Appends a header with its value, and with its name if the static table does not have it.
fn literal(block: &mut Vec<u8>, pattern: u8, prefix: u32, (name, value): Header<'_>) {
    name_of_literal(block, pattern, prefix, name);
    string(block, value);
}

/// Appends the begin of such a header: everything before its value.
fn name_of_literal(block: &mut Vec<u8>, pattern: u8, prefix: u32, name: &str) {
    if let Some(index) = STATIC_TABLE.iter().position(|entry| entry.0 == name) {
        integer(block, pattern, prefix, index + 1);
    } else {
        block.push(pattern);
        string(block, name.as_bytes());
    }
}

/// Appends a string as it is.
fn string(block: &mut Vec<u8>, text: &[u8]) {
    integer(block, 0, 7, text.len());
    block.extend_from_slice(text);
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
    use fastrand::Rng;

    use super::super::hpack::Decoder;
    use super::*;

    type List<'a> = &'a [(&'a str, &'a str)];

    fn request(list: List<'_>) -> RequestHeaders {
        let parsed = |text: &str| Template::parse(text.as_bytes()).unwrap();
        let list = list.iter().map(|(name, value)| ((*name).to_owned(), parsed(value))).collect();
        RequestHeaders { list, body: Template::default(), expected: Expected::default() }
    }

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Vec<(String, String)> {
        let mut list = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder.decode(block, |name, value| list.push((text(name), text(value)))).unwrap();
        list
    }

    fn owned(list: List<'_>) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_block_has_the_same_headers() {
        let long = "x".repeat(1000);
        let list = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/items?page=2"),
            (":authority", "a:80"),
            ("user-agent", "evenkeel"),
            ("x-long", &long),
        ];
        let request = &Http2Request::encode(vec![request(&list)])[0];
        let mut decoder = Decoder::new();
        for block in [&request.first, &request.again, &request.plain, &request.again] {
            assert_eq!(decoded(&mut decoder, block), owned(&list));
        }
        assert_eq!(request.again.len(), list.len(), "one byte for each header");
        assert_eq!(decoded(&mut Decoder::new(), &request.plain), owned(&list));
    }

    #[test]
    fn headers_that_do_not_fit_into_the_table_are_not_entered() {
        let (y, z) = ("y".repeat(3000), "z".repeat(3000));
        let list = [(":method", "POST"), ("x-a", y.as_str()), ("x-b", z.as_str())];
        let request = &Http2Request::encode(vec![request(&list)])[0];
        assert_eq!((&request.first, &request.again), (&request.plain, &request.plain));
        assert_eq!(decoded(&mut Decoder::new(), &request.again), owned(&list));
    }

    #[test]
    fn any_request_of_a_run_may_be_the_first_one_of_a_connection() {
        let lists: [List<'_>; 3] = [
            &[(":method", "GET"), (":path", "/a"), (":authority", "a"), ("x-a", "1"), ("user-agent", "e")],
            &[
                (":method", "PATCH"),
                (":path", "/"),
                (":authority", "a"),
                ("x-a", "1"),
                ("x-a", "2"),
                ("user-agent", "e"),
            ],
            &[(":method", "GET"), (":path", "/c"), (":authority", "a"), ("user-agent", "e"), ("x-b", "1")],
        ];
        let requests = Http2Request::encode(lists.map(request).into());
        let sorted = |mut list: Vec<(String, String)>| {
            let pseudo = list.iter().take_while(|(name, _)| name.starts_with(':')).count();
            assert!(list[pseudo..].iter().all(|(name, _)| !name.starts_with(':')), "{list:?}");
            list.sort();
            list
        };
        for begin in 0..3 {
            let mut decoder = Decoder::new();
            let mut check = |index: usize, block: &[u8]| {
                assert_eq!(sorted(decoded(&mut decoder, block)), sorted(owned(lists[index])));
            };
            check(begin, &requests[begin].first);
            for (index, request) in requests.iter().enumerate() {
                check(index, &request.again);
                check(index, &request.plain);
            }
        }
        assert_eq!(requests[0].again.len(), 1 + 4 + 2 + 7, "two refer to the table: {:?}", requests[0].again);
    }

    #[test]
    fn placeholders_are_replaced_and_pseudo_headers_come_first() {
        let list = [(":method", "POST"), (":path", "/{{sequence}}"), ("user-agent", "e"), ("x-id", "{{sequence}}!")];
        let mut unfinished = request(&list);
        unfinished.body = Template::parse(b"{{sequence}}").unwrap();
        unfinished.list.push(("content-length".into(), Template::body_length()));
        let request = &Http2Request::encode(vec![unfinished])[0];
        let (mut random, mut unique, mut rendered) = (Rng::with_seed(1), Rng::with_seed(2), RenderedHeaders::default());
        let mut values = Values::new(1234, &mut random, &mut unique);
        request.templates().unwrap().render(&mut values, &mut Vec::new(), &mut rendered);
        let block = [&rendered.before[..], &request.first, &rendered.behind].concat();
        let expected =
            [(":path", "/1234"), (":method", "POST"), ("user-agent", "e"), ("x-id", "1234!"), ("content-length", "4")];
        assert_eq!(decoded(&mut Decoder::new(), &block), owned(&expected));
        assert_eq!((&rendered.body[..], request.body.len()), (&b"1234"[..], 0));
    }
}
