//! Reads responses as they arrive, in pieces of any size. It does no I/O, and buffers only incomplete heads.

use std::mem::MaybeUninit;

use httparse::{Error, ParserConfig, Status};

use super::head::{Body, Head};
use super::protocol_error::ProtocolError;

/// The longest head that is accepted, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// How many headers are parsed without an allocation.
const USUAL_HEADERS: usize = 64;

/// A complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    /// The status code.
    pub(super) status: u16,
    /// The length of head and body, with interim responses, in bytes.
    pub(super) bytes: u64,
    /// Whether the connection cannot be used again.
    pub(super) close: bool,
    /// Whether the name of the pod is not that of the connection's last response; see [`ResponseReader::pod`].
    pub(super) new_pod: bool,
}

const EMPTY: Response = Response { status: 0, bytes: 0, close: false, new_pod: false };

/// Reads one response after the other from one connection.
pub(super) struct ResponseReader {
    /// The beginning of an incomplete head.
    head: Vec<u8>,
    body: Option<Body>,
    response: Response,
    pod: Vec<u8>,
    body_forbidden: bool,
    to_head: bool,
}

impl ResponseReader {
    /// A reader of responses; `to_head` is whether they respond to HEAD, so that they have no body.
    pub(super) fn new(to_head: bool) -> Self {
        Self { head: Vec::new(), body: None, response: EMPTY, pod: Vec::new(), body_forbidden: false, to_head }
    }

    /// Sets whether the next response is to HEAD.
    #[inline]
    pub(super) fn expect(&mut self, to_head: bool) {
        self.to_head = to_head;
    }

    /// The name of the pod in the last response; empty when there was none.
    pub(super) fn pod(&self) -> &[u8] {
        &self.pod
    }

    /// Whether the last response must not have a body, even if its headers announce one.
    pub(super) fn is_body_forbidden(&self) -> bool {
        self.body_forbidden
    }

    /// Discards an incomplete response, for a new connection. The name of the pod is kept to compare with.
    pub(super) fn restart(&mut self) {
        self.head.clear();
        self.body = None;
        self.response = EMPTY;
        self.body_forbidden = false;
    }

    /// Reads `input`; returns the response when it is complete.
    #[inline]
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<Option<Response>, ProtocolError> {
        self.response.bytes += input.len() as u64;
        let mut rest = input;
        while self.body.is_none() {
            let Some(used) = self.read_head(rest)? else { return Ok(None) };
            rest = &rest[used..];
        }
        let surplus = match &mut self.body {
            None | Some(Body::Forbidden) => Some(rest),
            Some(Body::Length(left)) => {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                (*left == 0).then(|| &rest[taken..])
            }
            Some(Body::Chunked(chunked)) => chunked.feed(rest)?,
            Some(Body::UntilClose) => None,
        };
        match surplus {
            None => Ok(None),
            Some([]) => Ok(Some(self.finish())),
            Some(surplus) => self.finish_with_surplus(surplus.len()).map(Some),
        }
    }

    /// The server has closed the connection; returns the response when that is how its body ends.
    pub(super) fn end(&mut self) -> Option<Response> {
        matches!(self.body, Some(Body::UntilClose)).then(|| self.finish())
    }

    fn finish(&mut self) -> Response {
        self.body = None;
        std::mem::replace(&mut self.response, EMPTY)
    }

    /// More was received than the response, though only one request was sent. Where the connection ends anyway, or a body
    /// that must not be there explains it, the surplus is discarded with the connection (RFC 9112, section 6.3).
    fn finish_with_surplus(&mut self, surplus: usize) -> Result<Response, ProtocolError> {
        if !self.response.close && !self.body_forbidden {
            return Err(ProtocolError);
        }
        self.response.close = true;
        self.response.bytes -= surplus as u64;
        Ok(self.finish())
    }

    /// Reads a head; returns how much of `input` belonged to it, or `None` when it is incomplete.
    fn read_head(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let mut head = std::mem::take(&mut self.head);
        let before = head.len();
        let used = if before == 0 {
            self.parse_head(input)?
        } else {
            head.extend_from_slice(input);
            self.parse_head(&head)?
        };
        if let Some(used) = used {
            // The buffered part was incomplete, so a head that is complete now ends within this input.
            return Ok(Some(used.saturating_sub(before)));
        }
        if before == 0 {
            head.extend_from_slice(input);
        }
        if head.len() > MAX_HEAD {
            return Err(ProtocolError);
        }
        self.head = head;
        Ok(None)
    }

    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut headers = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        match ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers) {
            Ok(Status::Complete(used)) => self.read_parsed(used, &parsed),
            Ok(Status::Partial) => Ok(None),
            Err(Error::TooManyHeaders | Error::HeaderName) => self.parse_unusual_head(bytes),
            Err(_) => Err(ProtocolError),
        }
    }

    /// Parses a head with many headers or with folded lines, which a user agent must accept (RFC 9112, section 5.2). It is
    /// apart because it is slower.
    #[cold]
    fn parse_unusual_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let mut config = ParserConfig::default();
        config.allow_obsolete_multiline_headers_in_responses(true);
        let mut headers = vec![MaybeUninit::uninit(); lines_of_head(bytes)];
        let mut parsed = httparse::Response::new(&mut []);
        match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers) {
            Ok(Status::Complete(used)) => self.read_parsed(used, &parsed),
            Ok(Status::Partial) => Ok(None),
            Err(_) => Err(ProtocolError),
        }
    }

    #[inline]
    fn read_parsed(
        &mut self,
        used: usize,
        parsed: &httparse::Response<'_, '_>,
    ) -> Result<Option<usize>, ProtocolError> {
        let status = parsed.code.ok_or(ProtocolError)?;
        if used > MAX_HEAD {
            return Err(ProtocolError);
        }
        if (100..200).contains(&status) && status != 101 {
            // An interim response; the final one follows.
            return Ok(Some(used));
        }
        let head = Head::read(status, parsed.headers, parsed.version == Some(0), self.to_head)?;
        self.response.status = status;
        self.response.close = head.close;
        self.body_forbidden = matches!(head.body, Body::Forbidden);
        self.response.new_pod = head.pod != self.pod;
        if self.response.new_pod {
            self.pod.clear();
            self.pod.extend_from_slice(head.pod);
        }
        self.body = Some(head.body);
        Ok(Some(used))
    }
}

/// An upper bound for the number of headers: the lines up to the empty one.
fn lines_of_head(bytes: &[u8]) -> usize {
    let is_empty = |line: &&[u8]| matches!(line, [] | [b'\r']);
    bytes.split(|byte| *byte == b'\n').skip_while(is_empty).take_while(|line| !is_empty(line)).count()
}

#[cfg(test)]
mod tests;
