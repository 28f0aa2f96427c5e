//! Calls of gRPC.

use super::super::super::super::grpc::{GrpcReply, GrpcStatus};
use super::*;

/// After the response to one call of gRPC that consists of these frames of stream 1: how it ended, and the messages.
fn called(reply: GrpcReply, frames: &[Vec<u8>]) -> (Vec<Result<u16, Fault>>, u64) {
    let mut talk = Talk::begun(b"");
    talk.requests[0].expected.grpc = Some(reply);
    talk.receive(&settings(&[])).unwrap();
    talk.request();
    talk.receive(&frames.concat()).unwrap();
    (talk.ended(), talk.session.messages.count)
}

fn head() -> Vec<u8> {
    headers(0, 1, &[OK])
}

fn message(length: u8) -> Vec<u8> {
    frame(kind::DATA, 0, 1, &[&[0, 0, 0, 0, length], &vec![7; length.into()][..]].concat())
}

fn trailers(status: &str) -> Vec<u8> {
    headers(flag::END_STREAM, 1, &literal("grpc-status", status))
}

#[test]
fn calls_of_grpc_end_with_their_status() {
    let grpc = |code| Err(Fault::Grpc(GrpcStatus::new(code).unwrap()));
    let status = |code: &str| [&[0x08, 3], code.as_bytes()].concat();
    let only = |block: &[u8]| headers(flag::END_STREAM, 1, block);
    let cases = [
        (vec![head(), message(3), trailers("0")], Ok(200)),
        (vec![head(), message(3), trailers("14")], grpc(14)),
        (vec![head(), trailers("5")], grpc(5)),
        (vec![head(), message(3), trailers("x")], grpc(2)),
        // Trailers only.
        (vec![only(&[&[OK][..], &literal("grpc-status", "12")].concat())], grpc(12)),
        // No status.
        (vec![head(), message(3), frame(kind::DATA, flag::END_STREAM, 1, b"")], grpc(2)),
        (vec![head(), message(3), headers(flag::END_STREAM, 1, &literal("x-other", "1"))], grpc(2)),
        // Another status of HTTP than 200; that of gRPC is preferred where there is one.
        (vec![only(&status("503"))], Err(Fault::NotGrpc(503))),
        (
            vec![headers(0, 1, &status("404")), frame(kind::DATA, flag::END_STREAM, 1, b"not found")],
            Err(Fault::NotGrpc(404)),
        ),
        (vec![only(&[&status("503")[..], &literal("grpc-status", "8")].concat())], grpc(8)),
    ];
    for (frames, expected) in cases {
        assert_eq!(called(GrpcReply::One, &frames).0, [expected], "{frames:?}");
    }
}

#[test]
fn messages_of_grpc_that_are_not_valid_are_a_protocol_error() {
    let data = |bytes: &[u8]| frame(kind::DATA, 0, 1, bytes);
    let gzip = headers(0, 1, &[&[OK][..], &literal("grpc-encoding", "gzip")].concat());
    let compressed = || data(&[1, 0, 0, 0, 1, 7]);
    let error = Err(Fault::ProtocolError);
    let cases = [
        // Cut short: within the message, and within its prefix.
        (GrpcReply::One, vec![head(), data(&[0, 0, 0, 0, 9, 7]), trailers("0")], error),
        (GrpcReply::Stream, vec![head(), message(1), data(&[0, 0]), trailers("0")], error),
        // Compressed without an encoding, and with one.
        (GrpcReply::One, vec![head(), compressed(), trailers("0")], error),
        (GrpcReply::One, vec![gzip, compressed(), trailers("0")], Ok(200)),
        (GrpcReply::One, vec![head(), data(&[9, 0, 0, 0, 0]), trailers("0")], error),
        // The number of messages.
        (GrpcReply::One, vec![head(), trailers("0")], error),
        (GrpcReply::One, vec![head(), message(1), message(1), trailers("0")], error),
        (GrpcReply::Stream, vec![head(), trailers("0")], Ok(200)),
        (GrpcReply::Unknown, vec![head(), message(1), message(1), trailers("0")], Ok(200)),
    ];
    for (reply, frames, expected) in cases {
        assert_eq!(called(reply, &frames).0, [expected], "{frames:?}");
    }
}

#[test]
fn the_messages_of_streams_are_counted() {
    let frames = [head(), message(0), [message(3), message(200)].concat(), trailers("0")];
    assert_eq!(called(GrpcReply::Stream, &frames), (vec![Ok(200)], 3));
    assert_eq!(called(GrpcReply::Unknown, &frames).1, 3);
    assert_eq!(called(GrpcReply::Stream, &frames[..3]), (vec![], 3), "the stream goes on");
    assert_eq!(called(GrpcReply::One, &[head(), message(3), trailers("0")]).1, 0, "there is one in each response");
}
