//! Why a load could not be described, started or finished.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;

/// What can go wrong before, during and after a run. What goes wrong with single requests is a
/// [`Fault`](super::Fault) in the result of the run instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The text is not a request method that can be used here.
    #[error("{given:?} cannot be used as request method: {why}")]
    Method {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The text is not a request path.
    #[error("{given:?} cannot be used as request path: {why}")]
    Path {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The text is not a header that can be sent.
    #[error("{given:?} cannot be used as request header: {why}")]
    Header {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The text is not a list of status codes.
    #[error("{given:?} cannot be used as list of status codes: {why}")]
    Statuses {
        /// What was given.
        given: String,
        /// What is wrong with it.
        why: &'static str,
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
