//! What carried the requests, where it was not plain HTTP/1.1.

use serde::{Deserialize, Serialize};

use super::Latency;

/// HTTP/2 in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http2 {
    /// How many requests each connection was to have in flight at most.
    pub streams_per_connection: u32,
    /// The most requests that were in flight at the same time on each connection, summed over all connections.
    pub streams: u64,
}

/// The TLS handshakes of a run, warm-up included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Handshakes {
    /// How long they took, in microseconds.
    pub time_us: Latency,
    /// How many of them resumed an earlier session.
    pub resumed: u64,
}
