//! Reads answers as they arrive, in whatever pieces: pure, no sockets, and only an unfinished head is ever kept.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::chunked::Chunked;

/// The header by which a pod says who it is.
pub const POD_HEADER: &str = "x-evenkeel-pod";

/// The longest head that is read; a longer one is garbage.
const MAX_HEAD: usize = 64 * 1024;
/// The most headers that are read; more is garbage.
const MAX_HEADERS: usize = 64;

/// What came cannot be an HTTP/1 answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbage;

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code.
    pub(super) status: u16,
    /// Bytes of head and body.
    pub(super) bytes: u64,
    /// Whether the connection ends with it.
    pub(super) close: bool,
    /// Whether the pod's name differs from the one of the connection's last answer; see [`Reader::pod`].
    pub(super) new_pod: bool,
}

#[derive(Clone, Copy)]
enum Body {
    None,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Reads one answer after the other from one connection.
pub(super) struct Reader {
    /// The beginning of a head that is not whole yet.
    head: Vec<u8>,
    body: Option<Body>,
    answer: Answer,
    pod: Vec<u8>,
    bodiless: bool,
}

const NOTHING: Answer = Answer { status: 0, bytes: 0, close: false, new_pod: false };

impl Reader {
    /// `bodiless` when no answer has a body, whatever its headers say: those to HEAD.
    pub(super) fn new(bodiless: bool) -> Self {
        Self { head: Vec::new(), body: None, answer: NOTHING, pod: Vec::new(), bodiless }
    }

    /// The pod the last answer named; empty when it named none.
    pub(super) fn pod(&self) -> &[u8] {
        &self.pod
    }

    /// Forgets what was under way, for a new connection. The pod's name stays, as the one to compare with.
    pub(super) fn restart(&mut self) {
        self.head.clear();
        self.body = None;
        self.answer = NOTHING;
    }

    /// Whether nothing of an answer has come yet.
    #[cfg(test)]
    fn is_fresh(&self) -> bool {
        self.answer.bytes == 0 && self.head.is_empty()
    }

    /// Takes what was read; `Some` when the answer is whole.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<Option<Answer>, Garbage> {
        self.answer.bytes += input.len() as u64;
        let mut rest = input;
        while self.body.is_none() {
            let Some(used) = self.read_head(rest)? else { return Ok(None) };
            rest = &rest[used..];
        }
        let left = match &mut self.body {
            None | Some(Body::None) => Some(rest),
            Some(Body::Length(left)) => {
                let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                (*left == 0).then(|| &rest[taken..])
            }
            Some(Body::Chunked(chunked)) => chunked.feed(rest)?,
            Some(Body::UntilClose) => None,
        };
        match left {
            None => Ok(None),
            Some([]) => Ok(Some(self.finish())),
            // One request was sent, so one answer is due: more than that is nobody's answer.
            Some(_) => Err(Garbage),
        }
    }

    /// The server closed its side: the end of an answer that lasts until then, else nothing whole.
    pub(super) fn end(&mut self) -> Option<Answer> {
        matches!(self.body, Some(Body::UntilClose)).then(|| self.finish())
    }

    fn finish(&mut self) -> Answer {
        self.body = None;
        std::mem::replace(&mut self.answer, NOTHING)
    }

    /// Reads a head; says how much of `input` belonged to it, or `None` when it goes on.
    fn read_head(&mut self, input: &[u8]) -> Result<Option<usize>, Garbage> {
        let mut head = std::mem::take(&mut self.head);
        let before = head.len();
        let used = if before == 0 {
            self.parse_head(input)?
        } else {
            head.extend_from_slice(input);
            self.parse_head(&head)?
        };
        if let Some(used) = used {
            // What was kept held no whole head, so a head that is whole now ends within this input.
            return Ok(Some(used.saturating_sub(before)));
        }
        if before == 0 {
            head.extend_from_slice(input);
        }
        if head.len() > MAX_HEAD {
            return Err(Garbage);
        }
        self.head = head;
        Ok(None)
    }

    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Garbage> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
        let used = match parsed {
            Ok(Status::Complete(used)) => used,
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(Garbage),
        };
        let status = response.code.ok_or(Garbage)?;
        match status {
            // Nobody asked for another protocol.
            101 => return Err(Garbage),
            // A word in between: the answer itself is still to come.
            100..200 => return Ok(Some(used)),
            _ => {}
        }
        let head = Head::read(response.headers, response.version == Some(0))?;
        let body = if self.bodiless || status == 204 || status == 304 { Body::None } else { head.body };
        self.answer.status = status;
        self.answer.close = head.close || matches!(body, Body::UntilClose);
        self.answer.new_pod = head.pod != self.pod;
        if self.answer.new_pod {
            self.pod.clear();
            self.pod.extend_from_slice(head.pod);
        }
        self.body = Some(body);
        Ok(Some(used))
    }
}

/// What the headers say that matters here.
struct Head<'a> {
    close: bool,
    body: Body,
    pod: &'a [u8],
}

impl<'a> Head<'a> {
    fn read(headers: &[Header<'a>], old: bool) -> Result<Self, Garbage> {
        let mut length = None;
        let mut coded = None;
        let mut close = old;
        let mut pod: &[u8] = &[];
        for header in headers {
            // The names' lengths sort out nearly everything before a letter is compared.
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case(POD_HEADER) => pod = header.value,
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let value = decimal(header.value).ok_or(Garbage)?;
                    if length.is_some_and(|other| other != value) {
                        return Err(Garbage);
                    }
                    length = Some(value);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => coded = tokens(header.value).last(),
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    close = has_token(header.value, b"close") || (close && !has_token(header.value, b"keep-alive"));
                }
                _ => {}
            }
        }
        let body = match (coded, length) {
            (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => Body::Chunked(Chunked::new()),
            (Some(_), _) | (None, None) => Body::UntilClose,
            (None, Some(0)) => Body::None,
            (None, Some(length)) => Body::Length(length),
        };
        Ok(Self { close, body, pod })
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    let digit = |sum: u64, c: &u8| sum.checked_mul(10)?.checked_add(u64::from(c.is_ascii_digit().then(|| c - b'0')?));
    if value.is_empty() { None } else { value.iter().try_fold(0, digit) }
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|c| *c == b',').map(<[u8]>::trim_ascii)
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    tokens(value).any(|t| t.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` whole, then byte by byte, then in two pieces split at every place: always the same answer.
    fn answer(text: &str) -> Result<Option<Answer>, Garbage> {
        let bytes = text.as_bytes();
        let whole = Reader::new(false).feed(bytes);
        let mut reader = Reader::new(false);
        let mut last = Ok(None);
        for byte in bytes {
            last = reader.feed(std::slice::from_ref(byte));
            if last != Ok(None) {
                break;
            }
        }
        assert_eq!(last.is_err(), whole.is_err(), "byte by byte: {text:?}");
        if whole.is_ok() {
            assert_eq!(last, whole, "byte by byte: {text:?}");
            for at in 1..bytes.len() {
                let mut reader = Reader::new(false);
                let first = reader.feed(&bytes[..at]).unwrap();
                assert_eq!(first, None, "split at {at}: {text:?}");
                assert_eq!(reader.feed(&bytes[at..]), whole, "split at {at}: {text:?}");
            }
        }
        whole
    }

    fn whole(text: &str) -> Answer {
        answer(text).unwrap().expect("a whole answer")
    }

    #[test]
    fn content_length() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Evenkeel-Pod: server-1\r\n\r\nhello";
        assert_eq!(whole(text), Answer { status: 200, bytes: text.len() as u64, close: false, new_pod: true });
        assert_eq!(answer("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello"), Ok(None));
    }

    #[test]
    fn no_body() {
        for head in ["200 OK\r\ncontent-length: 0", "204 No Content", "304 Not Modified\r\ncontent-length: 7"] {
            assert!(!whole(&format!("HTTP/1.1 {head}\r\n\r\n")).close, "{head}");
        }
    }

    #[test]
    fn chunked() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
        let body = "5\r\nhello\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        let text = format!("{head}{body}");
        assert_eq!(whole(&text).bytes, text.len() as u64);
        assert_eq!(answer(&format!("{head}5\r\nhello\r\n")), Ok(None));
        for bad in ["x\r\n", "\r\n", "5\r\nhelloX", "fffffffffffffffff\r\n"] {
            assert_eq!(answer(&format!("{head}{bad}")), Err(Garbage), "{bad:?}");
        }
    }

    #[test]
    fn until_close() {
        let mut reader = Reader::new(false);
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel"), Ok(None));
        assert_eq!(reader.feed(b"lo"), Ok(None));
        let answer = reader.end().unwrap();
        assert!(answer.close);
        assert_eq!(answer.bytes, 24);
        assert!(reader.is_fresh() && reader.end().is_none());
    }

    #[test]
    fn closed_in_the_middle_is_no_answer() {
        for text in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"] {
            let mut reader = Reader::new(false);
            assert_eq!(reader.feed(text.as_bytes()), Ok(None));
            assert_eq!(reader.end(), None, "{text:?}");
        }
    }

    #[test]
    fn an_answer_without_a_body_says_how_long_it_would_be() {
        let mut reader = Reader::new(true);
        for head in ["content-length: 5", "transfer-encoding: chunked", "x: y"] {
            let answer = reader.feed(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
            assert!(answer.unwrap().is_some_and(|answer| !answer.close), "{head}");
        }
        assert!(!whole("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n").close);
    }

    #[test]
    fn connection_header() {
        let close = |head: &str| whole(&format!("HTTP/{head}\r\ncontent-length: 0\r\n\r\n")).close;
        assert!(close("1.1 200 OK\r\nConnection: close"));
        assert!(close("1.1 200 OK\r\nconnection: foo, Close"));
        assert!(!close("1.1 200 OK\r\nConnection: keep-alive"));
        assert!(close("1.0 200 OK"));
        assert!(!close("1.0 200 OK\r\nConnection: Keep-Alive"));
    }

    #[test]
    fn words_in_between() {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(whole(text).status, 200);
        assert_eq!(answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), Err(Garbage));
    }

    #[test]
    fn garbage() {
        for text in [
            "SSH-2.0-OpenSSH_10.0\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        ] {
            assert_eq!(answer(text), Err(Garbage), "{text:?}");
        }
        let too_much = Reader::new(false).feed(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nokay");
        assert_eq!(too_much, Err(Garbage));
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let mut reader = Reader::new(false);
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\nx: "), Ok(None));
        let fed = (0..1000).map(|_| reader.feed(&[b'a'; 1000])).find(Result::is_err);
        assert_eq!(fed, Some(Err(Garbage)));
        assert!(reader.head.capacity() <= 2 * MAX_HEAD);
    }

    #[test]
    fn the_pod_is_compared_with_the_last_one() {
        let from = |pod: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-evenkeel-pod: {pod}\r\n\r\n");
        let mut reader = Reader::new(false);
        let mut new_pod = |text: &str| reader.feed(text.as_bytes()).unwrap().unwrap().new_pod;
        assert!(new_pod(&from("a")));
        assert!(!new_pod(&from("a")));
        assert!(new_pod(&from("b")));
        assert!(new_pod("HTTP/1.1 204 No Content\r\n\r\n"));
        assert!(!new_pod("HTTP/1.1 204 No Content\r\n\r\n"));
        assert_eq!(reader.pod(), b"");
    }
}
