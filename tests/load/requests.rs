//! The number of requests, and their bytes.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel_load::{Fault, LoadPlan, RequestTemplate, Schedule};

use super::server::{Server, from_pod, nobody};
use super::{plan, run};

fn so_many(count: u64, connections: u32) -> LoadPlan {
    LoadPlan { requests: NonZeroU64::new(count), ..plan(connections, 60_000) }
}

#[test]
fn a_run_ends_after_exactly_this_many_requests() {
    for (count, connections, threads, rate) in
        [(1, 30, 1, None), (1000, 7, 3, None), (5, 2, 8, None), (301, 4, 2, Some(1000.0))]
    {
        let server = Server::answering(from_pod("a"));
        let plan = LoadPlan {
            threads: NonZeroU32::new(threads).unwrap(),
            schedule: rate.map(Schedule::constant),
            ..so_many(count, connections)
        };
        let run = run(server.address, &plan);
        assert_eq!((run.sent, run.answered, run.in_flight), (count, count, 0), "{run:?}");
        assert_eq!(server.requests(), count);
        assert!(run.elapsed.as_secs() < 30 && !run.interrupted, "{run:?}");
    }
}

#[test]
fn failed_requests_are_counted() {
    let server = Server::start(|mut peer| {
        if peer.request() && peer.number % 2 == 0 {
            peer.say(&from_pod("a"));
        }
    });
    let run = run(server.address, &so_many(20, 2));
    let failed: u64 = run.faults.values().sum();
    assert_eq!(run.answered + failed, 20, "{run:?}");
    assert!(run.answered > 0 && failed > 0, "{run:?}");
}

#[test]
fn a_run_with_a_number_of_requests_ends_even_if_no_server_listens() {
    for schedule in [None, Some(Schedule::constant(1000.0))] {
        let run = run(nobody(), &LoadPlan { schedule, ..so_many(6, 2) });
        assert_eq!((run.faults.values().sum::<u64>(), run.answered), (6, 0), "{run:?}");
        assert!(run.faults.keys().all(|at| at.fault == Fault::Refused), "{run:?}");
    }
}

#[test]
fn a_run_ends_at_its_duration_if_that_comes_first() {
    let server = Server::answering(from_pod("a"));
    let run = run(server.address, &LoadPlan { requests: NonZeroU64::new(u64::MAX - 1), ..plan(2, 300) });
    assert!(run.answered > 0 && run.elapsed.as_millis() == 300, "{run:?}");
}

/// A server that reads requests of `length` bytes, stores the last one, and sends `answer` to each.
fn listening(length: usize, answer: &'static str) -> (Server, Arc<Mutex<Vec<u8>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    let server = Server::start(move |mut peer| {
        loop {
            let Some(bytes) = peer.bytes(length) else { return };
            *kept.lock().unwrap() = bytes;
            if !peer.say(answer) {
                return;
            }
        }
    });
    (server, heard)
}

#[test]
fn a_request_arrives_as_it_was_made() {
    let request = RequestTemplate::default().method("PUT".parse().unwrap()).path("/a?b=c".parse().unwrap());
    let request =
        request.header("Host: elsewhere".parse().unwrap()).header("X-Two: 2".parse().unwrap()).body(b"one\ntwo".into());
    let expected = "PUT /a?b=c HTTP/1.1\r\nUser-Agent: evenkeel\r\nAccept: */*\r\nContent-Length: 7\r\n\
                    Host: elsewhere\r\nX-Two: 2\r\n\r\none\ntwo";
    let (server, heard) = listening(expected.len(), "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n");
    let run = run(server.address, &LoadPlan { request, ..so_many(10, 1) });
    assert_eq!((run.answered, run.opened, run.faults.len()), (10, 1, 0), "{run:?}");
    assert_eq!(String::from_utf8(heard.lock().unwrap().clone()).unwrap(), expected);
}

#[test]
fn a_body_larger_than_the_socket_buffer_is_sent_completely() {
    let body = vec![b'x'; 20 << 20];
    let request =
        RequestTemplate::default().method("POST".parse().unwrap()).header("User-Agent: u".parse().unwrap()).body(body);
    // Any address of loopback has as many digits.
    let length =
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:12345\r\nAccept: */*\r\nContent-Length: 20971520\r\nUser-Agent: u\r\n\r\n"
            .len();
    let (server, heard) = listening(length + (20 << 20), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(server.address.port() > 9999, "its port has five digits");
    let run = run(server.address, &LoadPlan { request, ..so_many(3, 1) });
    assert_eq!((run.answered, run.opened, run.faults.len()), (3, 1, 0), "{run:?}");
    assert!(heard.lock().unwrap().ends_with(b"xxxx"));
}

#[test]
fn an_answer_before_the_whole_request_ends_the_connection() {
    // The server never reads the rest of the request, which is larger than the buffers of the sockets.
    let server = Server::start(|mut peer| {
        peer.bytes(100);
        peer.say("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n");
        std::thread::sleep(Duration::from_secs(5));
    });
    let request = RequestTemplate::default().method("POST".parse().unwrap()).body(vec![b'x'; 20 << 20]);
    let run = run(server.address, &LoadPlan { request, ..so_many(4, 1) });
    assert_eq!((run.answered, run.opened), (4, 4), "{run:?}");
    assert!(run.faults.keys().all(|at| at.fault == Fault::Status(413)), "{run:?}");
}

#[test]
fn answers_to_head_have_no_body() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nx-evenkeel-pod: a\r\ncontent-length: 5\r\n\r\n".into());
    let request = RequestTemplate::default().method("HEAD".parse().unwrap());
    let run = run(server.address, &LoadPlan { request, ..so_many(20, 2) });
    assert_eq!((run.answered, run.opened, run.faults.len()), (20, 2, 0), "{run:?}");
}
