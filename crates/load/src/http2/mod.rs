//! HTTP/2, without a library: the requests of a load are always the same, and its responses are only counted, so most of
//! what a library does for each of them is not needed. docs/benchmarks.md has the comparison.
//!
//! `session.rs` is the protocol, without I/O; `connection.rs` is a connection of the worker.

mod connection;
mod frame;
mod hpack;
mod huffman;
mod request;
mod session;
mod static_table;
mod stream;

pub(super) use connection::Http2Connection;
pub(super) use request::{Expected, Http2Request, RenderedHeaders, RequestHeaders};
pub(super) use session::Sent;
