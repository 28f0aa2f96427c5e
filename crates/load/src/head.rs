//! Interprets the head of a response: where its body ends (RFC 9112, section 6.3), and whether the connection can be
//! used again (section 9.3).

use httparse::Header;

use super::chunked::Chunked;
use super::protocol_error::ProtocolError;

/// The response header with the name of the pod.
pub const POD_HEADER: &str = "x-evenkeel-pod";

/// Where the body of a response ends.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// There is no body, even if the headers announce one: the request was HEAD, or the status forbids a body.
    Forbidden,
    /// After as many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked(Chunked),
    /// With the connection.
    UntilClose,
}

/// The parts of a response head that the load generator uses.
pub(super) struct Head<'a> {
    pub(super) body: Body,
    /// Whether the connection cannot be used again after the response.
    pub(super) close: bool,
    /// The name of the pod; empty when there is none.
    pub(super) pod: &'a [u8],
}

impl<'a> Head<'a> {
    /// Interprets the headers of a final response. `http_1_0` is whether its version is HTTP/1.0, `to_head` is whether it
    /// responds to HEAD.
    #[inline]
    pub(super) fn read(
        status: u16,
        headers: &[Header<'a>],
        http_1_0: bool,
        to_head: bool,
    ) -> Result<Self, ProtocolError> {
        let mut fields = Fields::default();
        for header in headers {
            // The length distinguishes most names, before any letter is compared.
            match header.name.len() {
                14 if is_name(header.name, "content-length") => fields.content_length(header.value),
                14 if is_name(header.name, POD_HEADER) => fields.pod = header.value,
                17 if is_name(header.name, "transfer-encoding") => fields.transfer_encoding(header.value)?,
                10 if is_name(header.name, "connection") => fields.connection(header.value),
                _ => {}
            }
        }
        let close = fields.close || (http_1_0 && !fields.keep_alive);
        if to_head || matches!(status, 101 | 204 | 304) {
            // After 101 the connection speaks another protocol. With 204 no body may be announced; where one is, it may
            // follow, and would be taken for the next response.
            let unusable = status == 101 || (status == 204 && fields.announce_body());
            return Ok(Self { body: Body::Forbidden, close: close || unusable, pod: fields.pod });
        }
        let body = fields.body()?;
        // The framing of HTTP/1.0 with a transfer coding cannot be trusted (RFC 9112, section 6.1).
        let close = close || matches!(body, Body::UntilClose) || (http_1_0 && fields.coding != Coding::None);
        Ok(Self { body, close, pod: fields.pod })
    }
}

/// The value of `Content-Length`.
#[derive(Clone, Copy, Default, PartialEq)]
enum Length {
    #[default]
    None,
    Of(u64),
    Invalid,
}

/// The last transfer coding.
#[derive(Clone, Copy, Default, PartialEq)]
enum Coding {
    #[default]
    None,
    Chunked,
    Other,
}

#[derive(Default)]
struct Fields<'a> {
    length: Length,
    coding: Coding,
    close: bool,
    keep_alive: bool,
    pod: &'a [u8],
}

impl Fields<'_> {
    /// Equal values may be repeated, in several headers or in one (RFC 9110, section 8.6).
    #[inline]
    fn content_length(&mut self, value: &[u8]) {
        let parsed = decimal(value).or_else(|| {
            let mut values = value.split(|byte| *byte == b',').map(|value| decimal(value.trim_ascii()));
            let first = values.next().flatten();
            if values.all(|other| other == first) { first } else { None }
        });
        self.length = match (parsed, self.length) {
            (Some(value), Length::None) => Length::Of(value),
            (Some(value), Length::Of(before)) if value == before => Length::Of(value),
            _ => Length::Invalid,
        };
    }

    /// Only the last coding of all headers counts. Chunked has no parameters (RFC 9112, section 7.1).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), ProtocolError> {
        let Some(last) = tokens(value).last() else { return Ok(()) };
        if last.eq_ignore_ascii_case(b"chunked") {
            self.coding = Coding::Chunked;
            return Ok(());
        }
        self.coding = Coding::Other;
        let name = last.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"chunked") { Err(ProtocolError) } else { Ok(()) }
    }

    fn connection(&mut self, value: &[u8]) {
        for token in tokens(value) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn announce_body(&self) -> bool {
        self.coding != Coding::None || !matches!(self.length, Length::None | Length::Of(0))
    }

    /// A transfer coding overrides the length (RFC 9112, section 6.3).
    fn body(&self) -> Result<Body, ProtocolError> {
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Ok(Body::Chunked(Chunked::new())),
            (Coding::None, Length::Of(length)) => Ok(Body::Length(length)),
            (Coding::None, Length::Invalid) => Err(ProtocolError),
            (Coding::Other, _) | (Coding::None, Length::None) => Ok(Body::UntilClose),
        }
    }
}

/// Whether a header has this name, which is in lower case. It compares all bytes at once and without a branch. Setting the
/// bit 0x20 makes letters lower-case and leaves digits and dashes as they are; the parser lets no other byte through that
/// it could turn into one of them.
#[inline]
fn is_name(name: &str, lower_case: &str) -> bool {
    let bytes = name.bytes().zip(lower_case.bytes());
    name.len() == lower_case.len() && bytes.fold(0, |differs, (byte, lower)| differs | ((byte | 0x20) ^ lower)) == 0
}

pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    let digit = |sum: u64, c: &u8| sum.checked_mul(10)?.checked_add(u64::from(c.is_ascii_digit().then(|| c - b'0')?));
    if value.is_empty() { None } else { value.iter().try_fold(0, digit) }
}

/// The elements of a list; empty ones are ignored (RFC 9110, section 5.6.1).
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|c| *c == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}
