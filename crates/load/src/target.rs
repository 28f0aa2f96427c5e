//! Where the load goes.

use std::fmt;
use std::net::SocketAddr;

/// An HTTP server: where to connect, and what to ask it for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The value of the `Host` header.
    pub host: String,
    /// The path to ask for, with its query, unless the request has a path of its own.
    pub path: String,
}

impl Target {
    /// The scheme of its URL.
    pub(super) fn scheme(&self) -> &'static str {
        "http"
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "http://{}{}", self.host, self.path)
    }
}
