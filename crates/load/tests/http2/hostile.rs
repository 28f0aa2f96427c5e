//! Servers that misbehave: each fault is counted by its kind, and the run ends on time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_load::{Fault, RequestTemplate, RunResult};

use crate::{plan, run};

/// A server that calls `treat` for each connection when the first bytes have arrived.
fn server(treat: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let treat = treat.clone();
            thread::spawn(move || {
                if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    treat(&mut stream);
                    // What is not read would reset the connection.
                    while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {}
                }
            });
        }
    });
    address
}

/// Runs against a server, asserts that all faults are of this kind, and that the run takes no longer than planned.
#[track_caller]
fn only(fault: Fault, treat: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> RunResult {
    let mut plan = plan(2, 10, 500);
    plan.timeout = Duration::from_millis(150);
    let began = Instant::now();
    let run = run(server(treat), &plan);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!run.faults.is_empty() && run.faults.keys().all(|at| at.fault == fault), "{run:?}");
    run
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[])
}

fn goaway(last: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn say(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

#[test]
fn half_a_frame() {
    only(Fault::TimedOut, |stream| {
        say(stream, &[&settings()[..], &frame(1, 4, 1, &[0x88])[..5]].concat());
    });
    only(Fault::Closed, |stream| {
        say(stream, &[&settings()[..], &frame(1, 4, 1, &[0x88])[..5]].concat());
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    });
}

#[test]
fn silence() {
    only(Fault::TimedOut, |_| {});
    only(Fault::TimedOut, |stream| {
        say(stream, &settings());
    });
}

#[test]
fn goaway_in_a_loop() {
    let run = only(Fault::NotProcessed, |stream| {
        let _ = (0..100_000).all(|_| say(stream, &[settings(), goaway(0)].concat()));
    });
    assert_eq!(run.answered, 0);
    // Each connection waits before it is opened again, so there are only a few.
    assert!(run.opened < 30, "{} connections", run.opened);
}

#[test]
fn a_window_that_is_never_opened() {
    let address = server(|stream| {
        // SETTINGS_INITIAL_WINDOW_SIZE is 0.
        say(stream, &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    });
    let mut plan = plan(1, 5, 500);
    plan.timeout = Duration::from_millis(150);
    // The first request is sent before the settings arrive, and fills the window that every connection begins with.
    plan.request = RequestTemplate::default().method("POST".parse().unwrap()).body(vec![7; 200_000]);
    let run = run(address, &plan);
    assert!(run.answered == 0 && run.faults.keys().all(|at| at.fault == Fault::TimedOut), "{run:?}");
    assert!(run.faults.values().sum::<u64>() >= 5, "{run:?}");
}

#[test]
fn a_flood_of_settings_and_pings() {
    for one in [frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]), frame(6, 0, 0, b"12345678")] {
        // The client's acknowledgements are never read.
        let flood = [settings(), one.repeat(1000)].concat();
        let run = run_until_end(move |stream| while say(stream, &flood) {});
        let kinds = [Fault::ProtocolError, Fault::TimedOut, Fault::Reset];
        assert!(run.answered == 0 && run.faults.keys().all(|at| kinds.contains(&at.fault)), "{run:?}");
    }
}

#[test]
fn responses_that_never_come_to_their_end() {
    // Interim responses without an end, a body of empty frames, a body of frames that are only padding, and windows that
    // open without end.
    let head = frame(1, 4, 1, &[0x88]);
    let endless: [(&[u8], Vec<u8>); 4] = [
        (&[], frame(1, 4, 1, &[0x08, 3, b'1', b'0', b'3'])),
        (&head, frame(0, 0, 1, &[])),
        (&head, frame(0, 8, 1, &[255; 256])),
        (&[], frame(8, 0, 1, &[0, 0, 0, 1])),
    ];
    for (begin, one) in endless {
        let flood = one.repeat(1000);
        let begin = [&settings()[..], begin].concat();
        let run = run_until_end(move |stream| {
            let mut alive = say(stream, &begin);
            while alive {
                alive = say(stream, &flood);
            }
        });
        let kinds = [Fault::ProtocolError, Fault::TimedOut, Fault::Reset];
        assert!(run.answered == 0 && !run.faults.is_empty(), "{run:?}");
        assert!(run.faults.keys().all(|at| kinds.contains(&at.fault)), "{run:?}");
    }
}

#[test]
fn headers_that_expand_without_end() {
    // A header of 4,000 bytes enters the table, and the same block refers to it again and again.
    let mut block = vec![0x88, 0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
    block.extend([b'x'; 4000]);
    block.extend([0xbe; 12_000]);
    only(Fault::ProtocolError, move |stream| {
        say(stream, &[settings(), frame(1, 5, 1, &block)].concat());
    });
}

#[test]
fn a_frame_longer_than_allowed() {
    only(Fault::ProtocolError, |stream| {
        say(stream, &[settings(), frame(0, 0, 1, &vec![0; 20_000])].concat());
    });
}

#[test]
fn windows_that_overflow() {
    only(Fault::ProtocolError, |stream| {
        let more = frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]);
        say(stream, &[settings(), more.clone(), more].concat());
    });
}

/// Runs against a server that never stops to send.
fn run_until_end(treat: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> RunResult {
    let mut plan = plan(2, 10, 500);
    plan.timeout = Duration::from_millis(150);
    let began = Instant::now();
    let run = run(server(treat), &plan);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    run
}

#[test]
fn bad_hpack() {
    only(Fault::ProtocolError, |stream| {
        say(stream, &[settings(), frame(1, 5, 1, &[0xff, 0xff, 0xff, 0xff])].concat());
    });
}

#[test]
fn huge_headers() {
    only(Fault::ProtocolError, |stream| {
        let mut alive = say(stream, &[settings(), frame(1, 1, 1, &[0x88])].concat());
        while alive {
            alive = say(stream, &frame(9, 0, 1, &[0x88; 16_000]));
        }
    });
}

#[test]
fn http_1_only() {
    only(Fault::NotHttp2, |stream| {
        say(stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
}

#[test]
fn closed_at_once() {
    only(Fault::Closed, |stream| stream.shutdown(std::net::Shutdown::Write).unwrap());
}
