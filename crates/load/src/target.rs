//! Where the load goes.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::tls::Tls;

/// An HTTP server: where to connect, and what to ask it for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The address to connect to.
    pub address: SocketAddr,
    /// The value of the `Host` header.
    pub host: String,
    /// The path to ask for, with its query, unless the request has a path of its own.
    pub path: String,
    /// How to speak TLS to the server, if it is to be spoken (`https`).
    pub tls: Option<Tls>,
}

impl Target {
    /// The scheme of its URL.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}{}", self.scheme(), self.host, self.path)
    }
}
