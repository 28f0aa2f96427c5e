//! What is a response, and where it ends. The judge is RFC 9112.

use super::*;

/// Reads `bytes` as a whole, byte by byte, and in two pieces split at every place: the result is always the same.
#[track_caller]
fn read(bytes: &[u8], to_head: bool) -> Result<Option<Response>, ProtocolError> {
    let whole = ResponseReader::new(to_head).feed(bytes);
    let mut reader = ResponseReader::new(to_head);
    let mut last = Ok(None);
    for byte in bytes {
        last = reader.feed(std::slice::from_ref(byte));
        if last != Ok(None) {
            break;
        }
    }
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(last.is_err(), whole.is_err(), "byte by byte: {text:?}");
    if whole.is_ok() {
        assert_eq!(last, whole, "byte by byte: {text:?}");
        for at in 1..bytes.len() {
            let mut reader = ResponseReader::new(to_head);
            assert_eq!(reader.feed(&bytes[..at]), Ok(None), "split at {at}: {text:?}");
            assert_eq!(reader.feed(&bytes[at..]), whole, "split at {at}: {text:?}");
        }
    }
    whole
}

#[track_caller]
fn response(text: &str) -> Response {
    read(text.as_bytes(), false).unwrap().unwrap_or_else(|| panic!("incomplete: {text:?}"))
}

/// The head of a response to GET, without its end, the status, and whether the connection is closed.
#[test]
fn complete_responses() {
    const LEN: &str = "Content-Length: 0";
    for (head, body, status, close) in [
        // The status line (RFC 9112, section 4).
        (format!("HTTP/1.1 200 OK\r\n{LEN}"), "", 200, false),
        (format!("HTTP/1.1 200 \r\n{LEN}"), "", 200, false),
        (format!("HTTP/1.1 200\r\n{LEN}"), "", 200, false),
        (format!("HTTP/1.1 200 \u{e9}t\u{e9}\r\n{LEN}"), "", 200, false),
        (format!("\r\n\r\nHTTP/1.1 200 OK\r\n{LEN}"), "", 200, false),
        // Codes outside of 100 to 599 are responses, too (RFC 9110, section 15).
        (format!("HTTP/1.1 600 X\r\n{LEN}"), "", 600, false),
        (format!("HTTP/1.1 999 X\r\n{LEN}"), "", 999, false),
        (format!("HTTP/1.1 099 X\r\n{LEN}"), "", 99, false),
        // Line ends and folded lines (sections 2.2 and 5.2).
        (format!("HTTP/1.1 200 OK\n{LEN}"), "", 200, false),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nConnection: x,\r\n\tclose\r\nContent-Length:\r\n 2".into(), "ok", 200, true),
        (format!("HTTP/1.1 200 OK\r\nX:\r\nY: \u{e9}\r\n{LEN}"), "", 200, false),
        // Length (section 6.2; RFC 9110, section 8.6).
        ("HTTP/1.1 200 OK\r\ncontent-length: 002".into(), "ok", 200, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length:  2 ".into(), "ok", 200, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2".into(), "ok", 200, false),
        // Transfer codings (section 6.1); chunked overrides the length (section 6.3).
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: cHuNkEd".into(), "2\r\nok\r\n0\r\n\r\n", 200, false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip , chunked,".into(), "0\r\n\r\n", 200, false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked".into(), "0\r\n\r\n", 200, false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99".into(), "0\r\n\r\n", 200, false),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked".into(), "0\r\n\r\n", 200, false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 2".into(), "ok", 200, false),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive".into(), "0\r\n\r\n", 200, true),
        // Persistence (section 9.3).
        (format!("HTTP/1.1 200 OK\r\nConnection: Close\r\n{LEN}"), "", 200, true),
        (format!("HTTP/1.1 200 OK\r\nConnection: foo, close ,bar\r\n{LEN}"), "", 200, true),
        (format!("HTTP/1.1 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\n{LEN}"), "", 200, true),
        (format!("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n{LEN}"), "", 200, false),
        (format!("HTTP/1.1 200 OK\r\nConnection: closed\r\n{LEN}"), "", 200, false),
        (format!("HTTP/1.0 200 OK\r\n{LEN}"), "", 200, true),
        (format!("HTTP/1.0 200 OK\r\nConnection: foo\r\nConnection: Keep-Alive\r\n{LEN}"), "", 200, false),
        // Interim responses (RFC 9110, section 15.2); their headers announce nothing.
        (format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{LEN}"), "", 200, false),
        (format!("HTTP/1.1 103 X\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n{LEN}"), "", 200, false),
        (format!("{}HTTP/1.1 200 OK\r\n{LEN}", "HTTP/1.1 102 X\r\n\r\n".repeat(30)), "", 200, false),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x".into(), "", 101, true),
        // Without a body, even if the headers announce one (RFC 9112, section 6.3).
        ("HTTP/1.1 204 No Content".into(), "", 204, false),
        (format!("HTTP/1.1 204 No Content\r\n{LEN}"), "", 204, false),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5".into(), "", 204, true),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked".into(), "", 204, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5".into(), "", 304, false),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked".into(), "", 304, false),
    ] {
        let text = format!("{head}\r\n\r\n{body}");
        let found = response(&text);
        assert_eq!((found.status, found.close, found.bytes), (status, close, text.len() as u64), "{text:?}");
    }
}

#[test]
fn incomplete_responses() {
    for text in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let mut reader = ResponseReader::new(false);
        assert_eq!(reader.feed(text.as_bytes()), Ok(None), "{text:?}");
        assert_eq!(reader.end(), None, "closed after {text:?}");
    }
}

#[test]
fn protocol_errors() {
    for text in [
        "SSH-2.0-OpenSSH_10.0\r\n",
        "ICY 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1,2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1,\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked;x=y\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx",
        "HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        assert_eq!(read(text.as_bytes(), false), Err(ProtocolError), "{text:?}");
    }
}

#[test]
fn more_than_a_response_is_an_error_unless_the_connection_ends_or_a_forbidden_body_explains_it() {
    for (head, to_head, accepted) in [
        ("200 OK\r\nContent-Length: 0", false, false),
        ("200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0", false, false),
        ("200 OK\r\nContent-Length: 0\r\nConnection: close", false, true),
        ("204 No Content", false, true),
        ("204 No Content\r\nTransfer-Encoding: chunked", false, true),
        ("304 Not Modified\r\nContent-Length: 5", false, true),
        ("101 Switching Protocols", false, true),
        ("200 OK\r\nContent-Length: 5", true, true),
        ("200 OK\r\nTransfer-Encoding: chunked", true, true),
    ] {
        let head = format!("HTTP/1.1 {head}\r\n\r\n");
        let found = ResponseReader::new(to_head).feed(format!("{head}hello").as_bytes());
        let found = found.map(|response| response.map(|response| (response.close, response.bytes)));
        let expected = if accepted { Ok(Some((true, head.len() as u64))) } else { Err(ProtocolError) };
        assert_eq!(found, expected, "{head:?}");
    }
}

#[test]
fn responses_to_head_have_no_body() {
    for header in ["content-length: 5", "transfer-encoding: chunked", "x: y"] {
        let text = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
        let found = read(text.as_bytes(), true).unwrap();
        assert!(found.is_some_and(|response| !response.close), "{header}");
    }
}

#[test]
fn bodies_that_end_with_the_connection() {
    for headers in ["", "Transfer-Encoding: gzip\r\nContent-Length: 1\r\n", "Transfer-Encoding: chunked, gzip\r\n"] {
        let mut reader = ResponseReader::new(false);
        let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        assert_eq!(reader.feed(format!("{head}hel").as_bytes()), Ok(None));
        assert_eq!(reader.feed(b"lo"), Ok(None));
        let response = reader.end().unwrap();
        assert!(response.close, "{headers:?}");
        assert_eq!(response.bytes, head.len() as u64 + 5);
        assert!(reader.response == EMPTY && reader.head.is_empty() && reader.end().is_none());
    }
}

#[test]
fn any_number_of_headers_within_the_limit() {
    for count in [USUAL_HEADERS - 1, USUAL_HEADERS, 200] {
        let text = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", "X: y\r\n".repeat(count));
        assert_eq!(ResponseReader::new(false).feed(text.as_bytes()).unwrap().unwrap().status, 200, "{count}");
        let (first, second) = text.as_bytes().split_at(text.len() / 2);
        let mut reader = ResponseReader::new(false);
        assert_eq!(reader.feed(first), Ok(None));
        assert!(reader.feed(second).unwrap().is_some(), "{count} in two pieces");
    }
    // The shortest headers, as many as fit.
    let first = "HTTP/1.1 200\nContent-Length:0\n";
    let longest = format!("{first}{}\n", "X:\n".repeat((MAX_HEAD - first.len() - 1) / 3));
    assert!(ResponseReader::new(false).feed(longest.as_bytes()).unwrap().is_some());
}

#[test]
fn a_head_over_the_limit_is_refused_in_whatever_pieces_it_comes() {
    let text = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(MAX_HEAD));
    for piece in [text.len(), MAX_HEAD - 1, 1000] {
        let mut reader = ResponseReader::new(false);
        let mut pieces = text.as_bytes().chunks(piece).map(|piece| reader.feed(piece));
        assert_eq!(pieces.find(|read| *read != Ok(None)), Some(Err(ProtocolError)), "{piece} bytes at a time");
    }
    let mut reader = ResponseReader::new(false);
    assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\nx: "), Ok(None));
    let fed = (0..1000).map(|_| reader.feed(&[b'a'; 1000])).find(Result::is_err);
    assert_eq!(fed, Some(Err(ProtocolError)));
    assert!(reader.head.capacity() <= 2 * MAX_HEAD);
}

#[test]
fn the_pod_is_compared_with_the_last_one() {
    let from = |pod: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nX-Evenkeel-Pod: {pod}\r\n\r\n");
    let mut reader = ResponseReader::new(false);
    let mut new_pod = |text: &str| reader.feed(text.as_bytes()).unwrap().unwrap().new_pod;
    assert!(new_pod(&from("a")));
    assert!(!new_pod(&from("a")));
    assert!(new_pod(&from("b")));
    assert!(new_pod("HTTP/1.1 204 No Content\r\n\r\n"));
    assert!(!new_pod("HTTP/1.1 204 No Content\r\n\r\n"));
    assert_eq!(reader.pod(), b"");
}
