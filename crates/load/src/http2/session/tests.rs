#![allow(clippy::cast_possible_truncation, reason = "lengths in tests are short")]

mod grpc;

use std::time::Duration;

use super::super::super::template::Template;
use super::super::request::{Expected, RequestHeaders};
use super::*;

/// A server's side of a session, that writes frames and reads what the client sends.
struct Talk {
    session: Session,
    requests: Vec<Http2Request>,
    record: Record,
}

/// A frame as the client sent it: kind, flags, stream and payload.
type SentFrame = (u8, u8, u32, Vec<u8>);

const SETTINGS_ACK: SentFrame = (kind::SETTINGS, flag::ACK, 0, Vec::new());
/// `:status: 200` in the static table.
const OK: u8 = 0x88;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, kind, flags, stream, payload);
    bytes
}

fn settings(list: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        list.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// A header that the table does not get.
fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, flags | flag::END_HEADERS, stream, block)
}

fn goaway(last: u32) -> Vec<u8> {
    frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, 0, stream, &number.to_be_bytes())
}

impl Talk {
    /// After the preface, before the server's settings.
    fn begun(body: &[u8]) -> Self {
        let headers = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("accept", "*/*")];
        let list = headers.map(|(name, value)| (name.to_owned(), Template::literal(value))).into();
        let headers = RequestHeaders { list, body: Template::literal(body), expected: Expected::default() };
        let requests = Http2Request::encode(vec![headers]);
        let record = Record::new(Duration::from_secs(1), false).unwrap();
        let mut talk = Self { session: Session::new(), requests, record };
        assert!(talk.session.output.starts_with(PREFACE));
        talk.session.output.drain(..PREFACE.len());
        let kinds: Vec<u8> = talk.sent().iter().map(|frame| frame.0).collect();
        assert_eq!(kinds, [kind::SETTINGS, kind::WINDOW_UPDATE]);
        talk
    }

    /// After both settings, with so many requests in flight.
    fn with_requests(count: u32) -> Self {
        let mut talk = Self::begun(b"");
        talk.receive(&settings(&[])).unwrap();
        for _ in 0..count {
            talk.request();
        }
        talk.sent();
        talk
    }

    fn request(&mut self) {
        let now = Instant::now();
        let sent = Sent { request: ScheduledRequest { due: now, index: 0, counts: true }, since: now };
        self.session.begin(&self.requests, None, sent);
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.session.receive(bytes, &self.requests, &mut self.record)
    }

    /// What the client has sent since the last look.
    fn sent(&mut self) -> Vec<SentFrame> {
        let output = std::mem::take(&mut self.session.output);
        let mut rest = &output[..];
        let mut frames = Vec::new();
        while let Some(length) = frame_length(rest).unwrap() {
            let frame = Frame::parse(&rest[..length]).unwrap();
            frames.push((frame.kind, frame.flags, frame.stream, frame.payload.to_vec()));
            rest = &rest[length..];
        }
        frames
    }

    /// How requests have ended since the last look: statuses, and failures.
    fn ended(&mut self) -> Vec<Result<u16, Fault>> {
        let ended = |finished: Finished| match finished.outcome {
            Outcome::Answered { status, .. } => Ok(status),
            Outcome::AnsweredCall { fault, .. } => fault.map_or(Ok(200), Err),
            Outcome::Failed(fault) => Err(fault),
        };
        self.session.finished.drain(..).map(ended).collect()
    }
}

#[test]
fn a_response_may_arrive_byte_by_byte() {
    let mut talk = Talk::with_requests(1);
    let block = [&[OK][..], &literal("x-evenkeel-pod", "pod-1"), &literal("content-length", "5")].concat();
    let response = [
        headers(0, 1, &[0x08, 0x03, b'1', b'0', b'3']),
        headers(0, 1, &block),
        frame(kind::DATA, 0, 1, b"hel"),
        frame(200, 0, 1, b"an unknown frame"),
        frame(kind::DATA, flag::PADDED, 1, b"\x03lo\0\0\0"),
        headers(flag::END_STREAM, 1, &literal("x-trailer", "1")),
    ]
    .concat();
    for byte in &response {
        talk.receive(&[*byte]).unwrap();
    }
    let finished = talk.session.finished[0];
    let of_the_stream = response.len() as u64 - 25;
    assert!(
        matches!(finished.outcome, Outcome::Answered { status: 200, bytes } if bytes == of_the_stream),
        "{finished:?}"
    );
    assert_eq!(talk.record.pods[0].name, "pod-1");
    assert_eq!((talk.session.in_flight(), talk.sent()), (0, vec![]));
}

#[test]
fn requests_refer_to_the_headers_of_the_first_one() {
    let mut talk = Talk::begun(b"");
    talk.request();
    talk.request();
    let sent = talk.sent();
    let flags = flag::END_HEADERS | flag::END_STREAM;
    assert_eq!(sent[0], (kind::HEADERS, flags, 1, talk.requests[0].first.clone()));
    assert_eq!(sent[1], (kind::HEADERS, flags, 3, talk.requests[0].again.clone()));
    talk.receive(&settings(&[(setting::HEADER_TABLE_SIZE, 0)])).unwrap();
    talk.request();
    talk.request();
    let blocks: Vec<_> =
        talk.sent().into_iter().filter(|frame| frame.0 == kind::HEADERS).map(|frame| frame.3).collect();
    assert_eq!(blocks, [[&[0x20], &talk.requests[0].plain[..]].concat(), talk.requests[0].plain.clone()]);
}

#[test]
fn settings_and_pings_are_acknowledged() {
    let mut talk = Talk::begun(b"");
    assert_eq!((talk.session.is_settled(), talk.session.max_streams()), (false, 1));
    talk.receive(&settings(&[(setting::MAX_CONCURRENT_STREAMS, 7), (99, 1)])).unwrap();
    assert_eq!((talk.session.is_settled(), talk.session.max_streams()), (true, 7));
    assert_eq!(talk.sent(), [SETTINGS_ACK]);
    talk.receive(&frame(kind::PING, 0, 0, b"12345678")).unwrap();
    talk.receive(&frame(kind::PING, flag::ACK, 0, b"12345678")).unwrap();
    assert_eq!(talk.sent(), [(kind::PING, flag::ACK, 0, b"12345678".to_vec())]);
}

#[test]
fn goaway_names_the_streams_that_are_not_processed() {
    let mut talk = Talk::with_requests(3);
    talk.receive(&goaway(MAX_31_BITS)).unwrap();
    assert!(talk.session.is_going_away());
    assert_eq!((talk.ended(), talk.session.in_flight()), (vec![], 3), "the first one only asks for no new streams");
    talk.receive(&goaway(3)).unwrap();
    assert_eq!((talk.ended(), talk.session.in_flight()), (vec![Err(Fault::NotProcessed)], 2));
    talk.receive(&headers(flag::END_STREAM, 1, &[OK])).unwrap();
    talk.receive(&headers(flag::END_STREAM, 3, &[OK])).unwrap();
    assert_eq!(talk.ended(), [Ok(200), Ok(200)]);
}

#[test]
fn streams_are_reset_one_by_one() {
    let mut talk = Talk::with_requests(3);
    talk.receive(&number(kind::RST_STREAM, 1, code::REFUSED_STREAM)).unwrap();
    talk.receive(&number(kind::RST_STREAM, 5, code::CANCEL)).unwrap();
    assert_eq!(talk.ended(), [Err(Fault::NotProcessed), Err(Fault::StreamReset)]);
    // What is still under way to a stream that has ended is ignored, and the table of headers is kept up.
    let block = [&[OK][..], &[0x40, 1, b'a', 1, b'b']].concat();
    talk.receive(&headers(0, 1, &block)).unwrap();
    talk.receive(&frame(kind::DATA, flag::END_STREAM, 1, b"x")).unwrap();
    talk.receive(&headers(flag::END_STREAM, 3, &[OK, 0xbe])).unwrap();
    assert_eq!(talk.ended(), [Ok(200)]);
}

#[test]
fn a_malformed_response_ends_only_its_stream() {
    let cases: [(&str, Vec<Vec<u8>>); 9] = [
        ("no status", vec![headers(flag::END_STREAM, 1, &literal("a", "b"))]),
        ("two statuses", vec![headers(flag::END_STREAM, 1, &[OK, OK])]),
        ("a status that is not a number", vec![headers(flag::END_STREAM, 1, &[0x08, 0x03, b'2', b'x', b'0'])]),
        ("switching protocols", vec![headers(0, 1, &[0x08, 0x03, b'1', b'0', b'1'])]),
        ("an interim response at the end", vec![headers(flag::END_STREAM, 1, &[0x08, 0x03, b'1', b'0', b'3'])]),
        ("a body without head", vec![frame(kind::DATA, 0, 1, b"x")]),
        ("trailers in the middle", vec![headers(0, 1, &[OK]), headers(0, 1, &literal("a", "b"))]),
        (
            "a body that is shorter than announced",
            vec![
                headers(0, 1, &[&[OK][..], &literal("content-length", "5")].concat()),
                frame(0, flag::END_STREAM, 1, b"x"),
            ],
        ),
        ("a window update of 0", vec![number(kind::WINDOW_UPDATE, 1, 0)]),
    ];
    for (what, frames) in cases {
        let mut talk = Talk::with_requests(2);
        talk.receive(&frames.concat()).unwrap();
        assert_eq!(talk.ended(), [Err(Fault::ProtocolError)], "{what}");
        talk.receive(&headers(flag::END_STREAM, 3, &[OK])).unwrap();
        assert_eq!(talk.ended(), [Ok(200)], "{what}");
    }
}

#[test]
fn a_broken_connection_ends_at_once() {
    let cases: [(&str, Vec<u8>); 17] = [
        ("a frame that is too long", vec![0, 0x40, 1, 0, 0, 0, 0, 0, 1]),
        ("bad HPACK", headers(flag::END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff])),
        ("a stream that was not opened", headers(flag::END_STREAM, 5, &[OK])),
        ("a stream of the server", headers(flag::END_STREAM, 2, &[OK])),
        ("stream 0", headers(flag::END_STREAM, 0, &[OK])),
        ("a push", frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2, OK])),
        ("a short ping", frame(kind::PING, 0, 0, b"1")),
        ("half a setting", frame(kind::SETTINGS, 0, 0, b"1234")),
        ("settings of a stream", frame(kind::SETTINGS, 0, 1, b"")),
        ("a window that is too large", settings(&[(setting::INITIAL_WINDOW_SIZE, MAX_31_BITS + 1)])),
        ("a frame size that is too small", settings(&[(setting::MAX_FRAME_SIZE, 100)])),
        ("a short GOAWAY", frame(kind::GOAWAY, 0, 0, b"1234")),
        ("an update of 0", number(kind::WINDOW_UPDATE, 0, 0)),
        ("a window that overflows", number(kind::WINDOW_UPDATE, 0, MAX_31_BITS)),
        ("a reset of a stream that was not opened", number(kind::RST_STREAM, 9, 0)),
        ("a continuation of nothing", frame(kind::CONTINUATION, 0, 1, &[OK])),
        (
            "a frame between the headers",
            [frame(kind::HEADERS, 0, 1, &[OK]), frame(kind::PING, 0, 0, b"12345678")].concat(),
        ),
    ];
    for (what, bytes) in cases {
        let mut talk = Talk::with_requests(2);
        assert_eq!(talk.receive(&bytes), Err(Fault::ProtocolError), "{what}");
        assert_eq!(talk.sent().last().unwrap().0, kind::GOAWAY, "{what}");
    }
}

#[test]
fn a_server_that_does_not_speak_http_2_is_named_so() {
    for said in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x15\x03\x01\0\x02\x02\x46", &headers(0, 1, &[OK])] {
        assert_eq!(Talk::begun(b"").receive(said), Err(Fault::NotHttp2), "{said:?}");
    }
}

#[test]
fn floods_end_the_connection_and_take_no_memory() {
    // The client's answers to these are never read.
    for one in [settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]), frame(kind::PING, 0, 0, b"12345678")] {
        let mut talk = Talk::with_requests(1);
        let many = one.repeat(1000);
        let ended = (0..1000).find_map(|_| talk.receive(&many).err());
        assert_eq!(ended, Some(Fault::ProtocolError));
        assert!(talk.session.output.len() < MOST_UNSENT + many.len());
    }
    let mut talk = Talk::with_requests(1);
    talk.receive(&frame(kind::HEADERS, 0, 1, &[OK])).unwrap();
    let more = frame(kind::CONTINUATION, 0, 1, &[OK; 1000]);
    assert!((0..100).any(|_| talk.receive(&more).is_err()), "headers without an end");
}

#[test]
fn a_body_waits_for_the_windows() {
    let body = vec![7; 100_000];
    let mut talk = Talk::begun(&body);
    talk.receive(&settings(&[(setting::INITIAL_WINDOW_SIZE, 20_000)])).unwrap();
    talk.sent();
    let data = |talk: &mut Talk| {
        let sent = talk.sent();
        let ended = sent.iter().any(|frame| frame.0 == kind::DATA && frame.1 & flag::END_STREAM != 0);
        let lengths: Vec<_> = sent.iter().filter(|frame| frame.0 == kind::DATA).map(|frame| frame.3.len()).collect();
        (lengths, ended)
    };
    talk.request();
    assert_eq!(data(&mut talk), (vec![16_384, 3_616], false), "the stream's window");
    talk.receive(&number(kind::WINDOW_UPDATE, 1, 70_000)).unwrap();
    assert_eq!(data(&mut talk).0.iter().sum::<usize>(), 45_535, "the connection's window");
    talk.receive(&settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).unwrap();
    talk.receive(&number(kind::WINDOW_UPDATE, 0, 100_000)).unwrap();
    assert_eq!(data(&mut talk).0.iter().sum::<usize>(), 4_465, "settings change the windows of open streams");
    talk.receive(&number(kind::WINDOW_UPDATE, 1, 70_000)).unwrap();
    assert_eq!(data(&mut talk), (vec![16_384, 13_616], true));
    talk.receive(&headers(flag::END_STREAM, 1, &[OK])).unwrap();
    assert_eq!((talk.ended(), talk.sent()), (vec![Ok(200)], vec![]));
}

#[test]
fn a_response_before_the_end_of_the_request_cancels_the_rest() {
    let mut talk = Talk::begun(&[7; 100]);
    talk.receive(&settings(&[(setting::INITIAL_WINDOW_SIZE, 0)])).unwrap();
    talk.request();
    talk.sent();
    talk.receive(&headers(flag::END_STREAM, 1, &[0x8c])).unwrap();
    assert_eq!(talk.ended(), [Ok(400)]);
    assert_eq!(talk.sent(), [(kind::RST_STREAM, 0, 1, code::CANCEL.to_be_bytes().to_vec())]);
}

#[test]
fn the_windows_of_large_responses_are_opened_again() {
    let mut talk = Talk::with_requests(1);
    talk.receive(&headers(0, 1, &[OK])).unwrap();
    let data = frame(kind::DATA, 0, 1, &[0; LONGEST_PAYLOAD]);
    let frames = 5 * CONNECTION_WINDOW as usize / LONGEST_PAYLOAD;
    for _ in 0..frames {
        talk.receive(&data).unwrap();
    }
    let opened = |stream, sent: &[SentFrame]| -> u32 {
        let updates = sent.iter().filter(|frame| frame.0 == kind::WINDOW_UPDATE && frame.2 == stream);
        updates.map(|frame| u32::from_be_bytes(frame.3[..].try_into().unwrap())).sum()
    };
    let sent = talk.sent();
    let received = (frames * LONGEST_PAYLOAD) as u32;
    assert!(received - opened(0, &sent) < CONNECTION_WINDOW && received - opened(1, &sent) < STREAM_WINDOW);
    assert!(sent.len() < 100, "{} frames", sent.len());
}

#[test]
fn requests_that_took_too_long_are_cancelled() {
    let mut talk = Talk::with_requests(2);
    let all_sent = Instant::now();
    talk.request();
    talk.sent();
    talk.session.expire(all_sent);
    assert_eq!(talk.ended(), [Err(Fault::TimedOut), Err(Fault::TimedOut)]);
    let mut cancelled: Vec<_> = talk.sent().iter().map(|frame| (frame.0, frame.2)).collect();
    cancelled.sort_unstable();
    assert_eq!(cancelled, [(kind::RST_STREAM, 1), (kind::RST_STREAM, 3)]);
}
