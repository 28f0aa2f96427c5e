//! Why a load could not be described, started or finished.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;

/// What can go wrong before, during and after a run. What goes wrong with single requests is a
/// [`Fault`](super::Fault) in the result of the run instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A text is not a value of its kind: a method, a path, a header or a list of status codes. The text itself is not
    /// repeated, because the caller has it.
    #[error("expected {expected}")]
    InvalidValue {
        /// What the text must be: "a path that begins with /".
        expected: &'static str,
    },
    /// A certificate or a key is not usable.
    #[error("{what} cannot be used: {why}")]
    Certificate {
        /// Which one: "the key".
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A server's certificate cannot have this name.
    #[error("{name:?} is neither a DNS name nor an IP address, so no certificate can be for it")]
    ServerName {
        /// The name.
        name: String,
    },
    /// The process may not open as many files as the connections need.
    #[error("{connections} connections need more open files than the {limit} that this process may have")]
    TooFewDescriptors {
        /// How many connections were asked for.
        connections: NonZeroU32,
        /// The hard limit on open files.
        limit: u64,
    },
    /// The limit on open files is unknown.
    #[error("the limit on open files could not be read: {source}")]
    DescriptorLimit {
        /// The error of the system.
        source: io::Error,
    },
    /// The list of addresses is empty.
    #[error("there is no address to send load to for {target}")]
    NoAddress {
        /// The address of the target.
        target: SocketAddr,
    },
    /// A worker's epoll instance could not be created.
    #[error("epoll could not be set up: {source}")]
    Epoll {
        /// The error of the system.
        source: io::Error,
    },
    /// A worker's thread could not be started.
    #[error("a thread could not be started: {source}")]
    Thread {
        /// The error of the system.
        source: io::Error,
    },
    /// A worker's epoll instance failed during the run.
    #[error("the load on {target} ended early: waiting for connections failed: {source}")]
    Poll {
        /// The address of the target.
        target: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// A worker's thread ended without a result.
    #[error("the load on {target} ended early: a thread ended without a result")]
    WorkerLost {
        /// The address of the target.
        target: SocketAddr,
    },
    /// The histogram of the latencies could not be created.
    #[error("a latency histogram could not be created: {why}")]
    Histogram {
        /// The error of the histogram library.
        why: String,
    },
}
