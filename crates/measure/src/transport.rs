//! What carried the requests, where it was not plain HTTP/1.1.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Latency, Throughput, samples};

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

/// The messages of a run whose calls of gRPC are answered with streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Messages {
    /// Messages received during the run, also on streams that the warm-up began.
    pub received: u64,
    /// Messages per second.
    pub per_second: Throughput,
    /// From when a call was due, or where the load had no rate from its first byte, to its first message, in microseconds.
    pub first_us: Latency,
    /// Messages in each second.
    pub timeline: Vec<u64>,
}

impl Messages {
    /// The messages in each second of a run of this length, and how long the first ones took.
    #[must_use]
    pub fn new(seconds: &[u64], elapsed: Duration, first_us: Latency) -> Self {
        let (per_second, _) = samples(seconds, elapsed);
        let per_second = Throughput::new(per_second);
        Self { received: seconds.iter().sum(), per_second, first_us, timeline: seconds.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_add_up() {
        let messages = Messages::new(&[10, 30, 5], Duration::from_millis(2500), Latency::default());
        assert_eq!((messages.received, messages.timeline.len()), (45, 3));
        assert_eq!((messages.per_second.average, messages.per_second.min), (20.0, 10.0));
    }
}
