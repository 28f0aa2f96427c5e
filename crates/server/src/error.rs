//! What can keep the server from serving, in one sentence each.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why the server did not start, or stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// An environment variable holds something that cannot be used.
    BadSetting {
        /// The variable.
        name: &'static str,
        /// What it holds.
        given: String,
        /// What it takes.
        takes: &'static str,
    },
    /// The address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something every server needs (signal handlers, an event loop).
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ServerError {
    /// 2: a setting is wrong, nothing was tried; 1: it failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::BadSetting { .. } => 2,
            Self::Listen { .. } | Self::System { .. } => 1,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadSetting { name, given, takes } => {
                write!(formatter, "{name}={given:?} cannot be used: it takes {takes}")
            }
            Self::Listen { address, source } => write!(formatter, "could not listen on {address}: {source}"),
            Self::System { action, source } => write!(formatter, "could not {action}: {source}"),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadSetting { .. } => None,
            Self::Listen { source, .. } | Self::System { source, .. } => Some(source),
        }
    }
}
